"""Losses with NEFTune's noise, as transformers' `activate_neftune` adds it to embeddings.

Writes neftune/losses.json: {<run>: {"losses", "grad_norms": [len(SEEDS)]}}, means over the trained tokens of step 0 of
training.py (labels_full) from its initial adapter. What is drawn is no random number of PyTorch's but element
`position * width + i` of the stream of a row, which metal-candle draws too: `uniform_` is replaced by it.
"""

from unittest import mock

import torch
from common import GOLDEN, save_json
from torch.nn.utils import clip_grad_norm_
from training import load_trainable, make_batches
from transformers.integrations.neftune import activate_neftune

# An embedding as it is read, and one that is scaled.
RUNS = ["qwen2/train", "gemma2/train-dora-ends"]
SEEDS, ALPHA = [0, 7, 2**40 + 1], 5.0
MASK = 2**64 - 1


def split_mix(state):
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def mix(seed, stream):
    return split_mix(split_mix(seed) ^ (stream * 0xD6E8FEB86659FD93 & MASK))


def name_stream(name):
    """FNV-1a."""
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = ((hashed ^ byte) * 0x100000001B3) & MASK
    return hashed


def drawing(seed):
    """`uniform_` of a tensor (rows, tokens, width), whose rows are streams of `seed`."""

    def uniform_(tensor, low, high):
        rows, tokens, width = tensor.shape
        streams = [mix(mix(seed, name_stream("neftune")), row) for row in range(rows)]
        drawn = [[(mix(stream, i) >> 11) / 2**53 for i in range(tokens * width)] for stream in streams]
        drawn = torch.tensor(drawn, dtype=torch.float64).reshape(tensor.shape)
        return tensor.copy_(low + (high - low) * drawn)

    return mock.patch.object(torch.Tensor, "uniform_", uniform_)


def measured(run, seed):
    model = load_trainable(run).train()
    hook = activate_neftune(model, ALPHA)
    batches = make_batches()
    with drawing(seed):
        loss = model(input_ids=batches["input_ids"][0], labels=batches["labels_full"][0]).loss
    hook.remove()
    loss.backward()
    return loss.item(), clip_grad_norm_(model.parameters(), 1.0).item()


def write_all():
    golden = {}
    for run in RUNS:
        losses, norms = zip(*(measured(run, seed) for seed in SEEDS))
        golden[run] = dict(losses=losses, grad_norms=norms)
    (GOLDEN / "neftune").mkdir(exist_ok=True)
    save_json(GOLDEN / "neftune" / "losses.json", dict(alpha=ALPHA, seeds=SEEDS, runs=golden))


if __name__ == "__main__":
    write_all()
