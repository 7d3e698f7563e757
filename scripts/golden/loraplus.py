"""Learning rates of peft.optimizers.create_loraplus_optimizer, and three of its steps.

Writes loraplus/:

    rates.json            {<run>: {tensor: RATIO or 1, its share of the learning rate}, for each of training.ADAPTERS
                          with LoRA}, keyed as in the adapter's file
    adapter.safetensors   tensors of RUN after STEPS steps on its batches (labels_masked), keyed so
    losses.json           [STEPS]: mean over trained tokens, before each step

PEFT trains both factors of an embedding at a rate of their own, 1e-6 unless one is given: here the learning rate is.
"""

import torch
from common import GOLDEN, save_json, save_tensors
from peft.optimizers import create_loraplus_optimizer
from training import ADAPTERS, key_in_file, load_trainable, make_batches, train_with

RUN, STEPS, RATIO, LR = "qwen2/train-dora", 3, 16.0, 1e-3
RUNS = [run for run, config in ADAPTERS.items() if "lora_alpha" in config]


def write_all():
    folder = GOLDEN / "loraplus"
    folder.mkdir(exist_ok=True)
    save_json(folder / "rates.json", {run: rates(load_trainable(run)) for run in RUNS})
    model = load_trainable(RUN)
    batches = make_batches()
    steps = zip(batches["input_ids"][:STEPS], batches["labels_masked"][:STEPS])
    losses, _ = train_with(optimizer_of(model), model, steps)
    save_json(folder / "losses.json", losses)
    save_tensors(folder / "adapter.safetensors", dict(named(model)))


def optimizer_of(model):
    return create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=LR, loraplus_lr_ratio=RATIO, loraplus_weight_decay=0.1, loraplus_lr_embedding=LR
    )


def named(model):
    trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    return [(key_in_file(name).replace(".modules_to_save", ""), parameter) for name, parameter in trained]


def rates(model):
    groups = optimizer_of(model).param_groups
    rate = {id(parameter): group["lr"] / LR for group in groups for parameter in group["params"]}
    return {key: rate[id(parameter)] for key, parameter in named(model)}


if __name__ == "__main__":
    write_all()
