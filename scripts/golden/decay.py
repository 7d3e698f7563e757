"""Which parameters transformers' Trainer leaves out of weight decay, and three steps with its two groups.

Writes decay/:

    names.json           {<name>: names of the parameters that decay, for each of models.NAMES}
    adapters.json        [[<run>, trained tensors, those of them that decay]], for each of training.ADAPTERS
    model.safetensors    qwen2's weights after STEPS steps of torch.optim.AdamW on the batches of qwen2/train
                         (labels_masked), all of them trained
    losses.json          [STEPS]: mean over trained tokens, before each step
"""

import torch
from common import GOLDEN, load_base, save_json, save_json_lines, save_tensors
from models import NAMES
from training import ADAPTERS, base_of, load_trainable, make_batches, train_with
from transformers import Trainer

MODEL, STEPS = "qwen2", 3
ADAMW = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-6)
WEIGHT_DECAY = 0.1


def write_all():
    folder = GOLDEN / "decay"
    folder.mkdir(exist_ok=True)
    save_json(folder / "names.json", {name: decaying(load_base(name)) for name in NAMES})
    save_json_lines(folder / "adapters.json", [[run, *counts(load_trainable(run))] for run in ADAPTERS])
    model = base_of(f"{MODEL}/train")
    batches = make_batches()
    steps = zip(batches["input_ids"][:STEPS], batches["labels_masked"][:STEPS])
    losses, _ = train_with(torch.optim.AdamW(groups(model), **ADAMW), model, steps)
    save_json(folder / "losses.json", losses)
    save_tensors(folder / "model.safetensors", dict(model.named_parameters()))


def decaying(model):
    return sorted(Trainer.get_decay_parameter_names(None, model))


def counts(model):
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return len(trained), len(trained & set(decaying(model)))


def groups(model):
    """As Trainer.create_optimizer makes them."""
    names = set(decaying(model))
    chosen = lambda decays: [p for name, p in model.named_parameters() if (name in names) == decays]
    return [dict(params=chosen(True), weight_decay=WEIGHT_DECAY), dict(params=chosen(False), weight_decay=0.0)]


if __name__ == "__main__":
    write_all()
