"""Losses of the training by which a device is tested, crates/metal-candle/src/self_test/losses.json:

    {"losses": [S], "grad_norms": [S]}    mean over trained tokens, before each step; before clipping

Of a model without a file: its weights, an adapter and the tokens are numbers of a formula, which numbers.rs there has too.
Weights are numbers of 8 bits, which bf16 and f16 hold exactly, so the losses are those of every dtype that they are stored in.
"""

import json

import torch
from common import GOLDEN, save_json
from peft import LoraConfig, get_peft_model
from training import IGNORED, train
from transformers import Qwen3Config, Qwen3ForCausalLM

FOLDER = GOLDEN.parents[1] / "src/self_test"
LEARNING_RATE = 3e-2  # so high that a wrong update is a tenth of the last loss
N_STEPS, N_ROWS, N_TOKENS = 10, 4, 24


class Numbers:
    """Highest bytes of a linear congruential generator (Knuth, MMIX)."""

    def __init__(self, seed):
        self.state = seed

    def byte(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 56

    def matrix(self, shape, divisor):
        """Whole numbers of -128 to 127, divided by a power of two."""
        n = torch.Size(shape).numel()
        return torch.tensor([(self.byte() - 128) / divisor for _ in range(n)]).reshape(shape)

    def norm(self, shape):
        """Near one, in steps of 1/64."""
        n = torch.Size(shape).numel()
        return torch.tensor([1 + (self.byte() // 16 - 8) / 64 for _ in range(n)]).reshape(shape)

    def token(self, n):
        """Small ones more often, so that there is something to learn in ten steps."""
        return self.byte() * self.byte() * n // 2**16


def base():
    config = json.loads((FOLDER / "model.json").read_text())
    model = Qwen3ForCausalLM(Qwen3Config(**config, attn_implementation="eager"))
    model.name_or_path = "self-test"
    numbers = Numbers(1)
    with torch.no_grad():
        for _, tensor in sorted(model.state_dict().items()):
            tensor.copy_(numbers.norm(tensor.shape) if tensor.dim() == 1 else numbers.matrix(tensor.shape, 512))
    return model, config


def adapted(model):
    """With both factors of every layer other than zero: all have gradients in the first step."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    numbers = Numbers(2)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                divisor = 512 if ".lora_A." in name else 2048
                parameter.copy_(numbers.matrix(parameter.shape, divisor))
    return model


def steps(vocab_size):
    """Tokens, and labels that leave out the beginning of each row."""
    numbers = Numbers(3)
    for step in range(N_STEPS):
        ids = torch.tensor([[numbers.token(vocab_size) for _ in range(N_TOKENS)] for _ in range(N_ROWS)])
        labels = ids.clone()
        for row in range(N_ROWS):
            labels[row, : 3 + (step + 5 * row) % 7] = IGNORED
        yield ids, labels


def write():
    model, config = base()
    losses, norms = train(adapted(model), steps(config["vocab_size"]), lr=LEARNING_RATE)
    save_json(FOLDER / "losses.json", {"losses": losses, "grad_norms": norms})


if __name__ == "__main__":
    write()
