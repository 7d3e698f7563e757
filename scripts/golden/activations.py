"""What 16 bits cost transformers and PEFT: crates/metal-candle/tests/golden/activations.json, for each checkpoint of models.py
and each of DTYPES the root mean square of differences from the same in float32,

    logits      of the model whose weights were rounded to the dtype, at the checkpoint's input_ids
    loss        of the adapter at the labels of gradients.safetensors: the difference itself, positive
    gradients   of all of the adapter's tensors together, the adapter in float32 (PEFT's autocast_adapter_dtype), over the root
                mean square of the gradients

Both sides have the rounded weights: what differs are activations.
"""

import torch
from common import GOLDEN, load_base, save_json
from peft import PeftModel
from safetensors.torch import load_file

DTYPES = dict(bf16=torch.bfloat16, f16=torch.float16)


def write_all(names):
    save_json(GOLDEN / "activations.json", {name: of_checkpoint(name) for name in names})


def of_checkpoint(name):
    input_ids = load_file(GOLDEN / name / "golden.safetensors")["input_ids"]
    labels = load_file(GOLDEN / name / "gradients.safetensors")["labels"]
    return {key: of_dtype(name, dtype, input_ids, labels) for key, dtype in DTYPES.items()}


def of_dtype(name, dtype, input_ids, labels):
    wide, narrow = (computed(name, dtype, computing, input_ids, labels) for computing in (torch.float32, dtype))
    return dict(
        logits=rms(narrow["logits"] - wide["logits"]),
        loss=abs(narrow["loss"] - wide["loss"]),
        gradients=rms(narrow["gradients"] - wide["gradients"]) / rms(wide["gradients"]),
    )


def computed(name, rounded_to, computing, input_ids, labels):
    """All of it with weights that were rounded, in the dtype `computing`."""
    base = load_base(name).to(rounded_to).to(computing)
    with torch.no_grad():
        logits = base(input_ids=input_ids, use_cache=False).logits.double()
    model = PeftModel.from_pretrained(base, GOLDEN / name / "adapter", is_trainable=True)
    loss = model(input_ids=input_ids, labels=labels, use_cache=False).loss
    loss.backward()
    gradients = [parameter.grad.double().flatten() for parameter in model.parameters() if parameter.requires_grad]
    return dict(logits=logits, loss=loss.item(), gradients=torch.cat(gradients))


def rms(difference):
    return difference.square().mean().sqrt().item()
