"""Ten steps of LoRA training, and one accumulated gradient, as PyTorch, transformers and PEFT compute them.

Writes, for each <run> of ADAPTERS, a folder below that of its checkpoint (S = 10 steps, B = 4, T = 24):

    <run>/initial_adapter/        step 0 as PEFT initialises it: A uniform, B zero, magnitudes the lengths of rows
    <run>/batches.safetensors
        input_ids      (S, B, T) i64
        labels_full    (S, B, T) i64     input_ids
        labels_masked  (S, B, T) i64     -100 on a prompt prefix of each row and on the right padding of some
    <run>/final_adapter_{full,masked}/   after the last step
    <run>/losses.json             {"full": [S], "masked": [S]}: mean over trained tokens, before each step
                                         {"full_grad_norm", "masked_grad_norm": [S]}: before clipping

for those of LOGITS what final_adapter_full computes, and for those of CONVERTED what it is beside the base weight as it
was:

    <run>/logits.safetensors      input_ids (2, 24) i64, logits (2, 24, V) f32
    <run>/converted_adapter/      plain LoRA of twice the rank, with the same logits

and for those of ACCUMULATED, from two micro-batches of two rows of step 0 (labels_masked), each loss the sum over
its tokens divided by the trained tokens of both:

    <run>/accumulation_adapter/   initial_adapter with zeros small and random, and magnitudes changed
    <run>/gradients.safetensors   gradient of every adapter tensor, keyed as in the adapter's file
    losses.json: "accumulated": the loss

The input is never masked (no attention_mask): right padding cannot be seen from the left.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from common import GOLDEN, generator, load_base, save_adapter, save_json, save_tensors
from models import N_VOCAB, forward
from peft import LoHaConfig, LoraConfig, PeftModel, get_peft_model
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

ADAPTERS = {
    "qwen2/train": dict(r=8, lora_alpha=16, target_modules="all-linear"),
    "qwen3/train": dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
    "qwen2/train-dora": dict(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True),
    # The head is the embedding; each has an adapter of its own.
    "qwen2/train-ends": dict(r=3, lora_alpha=6, target_modules=["q_proj", "embed_tokens", "lm_head"]),
    "qwen3/train-saved": dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head"]),
    # The initial product is taken from the base weight, which PEFT does again whenever it loads one of these.
    "qwen3/train-pissa": dict(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights="pissa"
    ),
    "qwen3/train-olora": dict(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights="olora", use_rslora=True
    ),
    "qwen3/train-loha": dict(r=3, alpha=5, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"v_proj": 2}),
    "qwen3_moe/train": dict(r=2, lora_alpha=4, target_modules="all-linear"),
    "gpt_oss/train": dict(r=2, lora_alpha=4, target_modules="all-linear"),
    # Its embedding is scaled, its logits bounded, and its head the embedding.
    "gemma2/train-dora-ends": dict(
        r=2, lora_alpha=4, target_modules=["o_proj", "embed_tokens", "lm_head"], use_dora=True
    ),
}
CONVERTED = ["qwen3/train-pissa", "qwen3/train-olora"]
LOGITS = [*CONVERTED, "qwen3/train-loha"]
ACCUMULATED = ["qwen3_moe/train", "gpt_oss/train", "qwen3/train-loha", "qwen2/train", "qwen2/train-dora", "qwen2/train-ends", "gemma2/train-dora-ends"]
ADAMW = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
MAX_GRAD_NORM = 1.0
N_STEPS, N_ROWS, N_TOKENS = 10, 4, 24
IGNORED = -100


def write(run):
    folder = GOLDEN / run
    torch.manual_seed(30)  # PEFT draws A from the global generator
    config = (LoHaConfig if "alpha" in ADAPTERS[run] else LoraConfig)(**ADAPTERS[run], task_type="CAUSAL_LM")
    save_adapter(get_peft_model(base_of(run), config), folder / "initial_adapter")
    batches = make_batches()
    save_tensors(folder / "batches.safetensors", batches)
    losses = {}
    for variant in ("full", "masked"):
        model = load_trainable(run)
        steps = zip(batches["input_ids"], batches[f"labels_{variant}"])
        losses[variant], losses[f"{variant}_grad_norm"] = train(model, steps)
        save_adapter(model, folder / f"final_adapter_{variant}")
    save_json(folder / "losses.json", losses)


def make_batches():
    """Tokens of a Zipf distribution, so that there is something to learn in ten steps."""
    rng = generator(31)
    shape = (N_STEPS, N_ROWS, N_TOKENS)
    zipf = 1 / torch.arange(1.0, N_VOCAB + 1)
    input_ids = torch.multinomial(zipf, N_STEPS * N_ROWS * N_TOKENS, True, generator=rng).reshape(shape)
    position = torch.arange(N_TOKENS)
    n_prompt = torch.randint(3, 15, (N_STEPS, N_ROWS, 1), generator=rng)
    n_padding = torch.randint(0, 7, (N_STEPS, N_ROWS, 1), generator=rng)
    n_padding[:, ::2] = 0
    padded = position >= N_TOKENS - n_padding
    input_ids = input_ids.masked_fill(padded, 0)
    labels_masked = input_ids.masked_fill(padded | (position < n_prompt), IGNORED)
    return dict(input_ids=input_ids, labels_full=input_ids.clone(), labels_masked=labels_masked)


def base_of(run):
    model = load_base(run.split("/")[0])
    model.get_input_embeddings().padding_idx = None  # else that token's row would have no gradient
    return model


def load_trainable(run):
    return PeftModel.from_pretrained(base_of(run), GOLDEN / run / "initial_adapter", is_trainable=True)


def train(model, steps, **settings):
    """As `train_with`; `settings` go before those of ADAMW."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return train_with(AdamW(parameters, **ADAMW | settings), model, steps)


def train_with(optimizer, model, steps):
    """The loss and the gradient norm of each step; the model is left as trained."""
    losses, norms = [], []
    for input_ids, labels in steps:
        loss = model(input_ids=input_ids, labels=labels).loss
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms


def write_logits(run):
    input_ids = make_batches()["input_ids"][0][:2]
    save_tensors(GOLDEN / run / "logits.safetensors", dict(input_ids=input_ids, logits=logits(run, "final_adapter_full", input_ids)))


@torch.no_grad()
def logits(run, adapter, input_ids):
    return forward(PeftModel.from_pretrained(base_of(run), GOLDEN / run / adapter).eval(), input_ids)


def write_converted(run):
    """PEFT subtracts the initial adapter, which it must take for a plain one."""
    folder = GOLDEN / run
    model = PeftModel.from_pretrained(base_of(run), folder / "final_adapter_full", is_trainable=True)
    with tempfile.TemporaryDirectory() as plain:
        initial = Path(plain) / "initial"
        shutil.copytree(folder / "initial_adapter", initial)
        config = json.loads((initial / "adapter_config.json").read_text())
        (initial / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": True}))
        model.save_pretrained(folder / "converted_adapter", path_initial_model_for_weight_conversion=str(initial))
    (folder / "converted_adapter" / "README.md").unlink()
    input_ids = make_batches()["input_ids"][0][:2]
    before, after = (logits(run, adapter, input_ids) for adapter in ("final_adapter_full", "converted_adapter"))
    assert (before - after).abs().max() < 1e-4


def write_accumulation(run):
    folder = GOLDEN / run
    model = load_trainable(run)
    randomise(model, generator(32))
    save_adapter(model, folder / "accumulation_adapter")
    batches = make_batches()
    loss, gradients = accumulate(model, batches["input_ids"][0], batches["labels_masked"][0])
    save_tensors(folder / "gradients.safetensors", gradients)
    losses = json.loads((folder / "losses.json").read_text())
    save_json(folder / "losses.json", losses | {"accumulated": loss})


@torch.no_grad()
def randomise(model, rng):
    """With B zero the gradient of A would be zero, with A zero on an embedding that of B, and with magnitudes as they begin the factor of DoRA one."""
    for key, parameter in model.named_parameters():
        if any(name in key for name in ("lora_B", "lora_embedding_A", "hada_w2_b")):
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=rng))
        if "lora_magnitude_vector" in key:
            parameter.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=rng))


def accumulate(model, input_ids, labels):
    """The loss and the gradients by PEFT key, over two micro-batches weighted by their trained tokens."""
    n_trained = [(half[:, 1:] != IGNORED).sum() for half in labels.split(2)]
    assert n_trained[0] != n_trained[1], "equal counts would hide a mean of means"
    total_loss = 0.0
    for ids, targets in zip(input_ids.split(2), labels.split(2)):
        loss = model(input_ids=ids, labels=targets, num_items_in_batch=sum(n_trained)).loss
        loss.backward()
        total_loss += loss.item()
    trained = ((key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad)
    return total_loss, {key_in_file(key): parameter.grad for key, parameter in trained}


def key_in_file(key):
    return key.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")
