"""Beginnings of LoRA from what the layers' inputs vary in, as PEFT's `initialize_lora_eva_weights` finds them.

Writes, for each <run> of RUNS, whose rows are those of training.py's batches with the first token of each not trained:

    eva/<run>/config.json           the settings, and the number of batches that were looked at
    eva/<run>/initial_adapter/      what begins: A the components, B zero; ranks in rank_pattern
    eva/<run>/losses.json           losses and gradient norms of training.py's "full" steps from there

PEFT looks at the batches again and again until all components have settled. Where it asks for more than there are, the run
is no example: those here settle before, but for those of one batch, whose second time leaves them where they are.
"""

import torch
from common import GOLDEN, save_adapter, save_json
from peft import EvaConfig, LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import eva
from training import IGNORED, base_of, make_batches, train

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# tau, the number of batches, the labels' name, settings of EVA and of LoRA
RUNS = {
    "one-batch": (0.99, 1, "labels_masked", dict(rho=2.0), dict(r=4, lora_alpha=8, target_modules=TARGETS)),
    "batches": (0.8, 10, "labels_full", dict(rho=2.0), dict(r=3, lora_alpha=8, target_modules=TARGETS)),
    # Some layers have rank 0 in the end.
    "left-out": (0.8, 10, "labels_full", dict(rho=4.0), dict(r=1, lora_alpha=3, target_modules=TARGETS, use_rslora=True)),
    "same-ranks": (
        0.8, 10, "labels_masked", dict(rho=1.0),
        dict(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj", "lm_head"], use_rslora=True),
    ),
    "patterns": (
        0.8, 10, "labels_masked", dict(rho=1.5),
        dict(
            r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "up_proj", "embed_tokens"], use_dora=True,
            rank_pattern={"v_proj": 5}, alpha_pattern={"v_proj": 20, "up_proj": 3},
        ),
    ),
}


def write_all():
    for run in RUNS:
        write(run)


def write(run):
    tau, n_batches, labels, settings, lora = RUNS[run]
    folder = GOLDEN / "eva" / run
    torch.manual_seed(33)
    config = LoraConfig(**lora, task_type="CAUSAL_LM", init_lora_weights="eva", eva_config=EvaConfig(tau=tau, **settings))
    model = get_peft_model(base_of("qwen3"), config)
    seen = []
    rows = Counted(batches_of(labels)[:n_batches], seen)
    eva.initialize_lora_eva_weights(model, rows, show_progress_bar=False)
    # The first is drawn once more, to tell layers apart, and the last to find that all have settled.
    looked_at = len(seen) - 2 if n_batches > 1 else 1
    assert looked_at < n_batches - 1 or n_batches == 1
    save_adapter(model, folder / "initial_adapter")
    save_json(folder / "config.json", dict(tau=tau, labels=labels, n_batches=looked_at, **settings))
    save_json(folder / "losses.json", losses(folder / "initial_adapter"))


class Counted(list):
    """Batches that count how often one is drawn."""

    def __init__(self, batches, seen):
        super().__init__(batches)
        self.seen = seen

    def __iter__(self):
        for batch in super().__iter__():
            self.seen.append(1)
            yield batch


def batches_of(name):
    batches = make_batches()
    labels = batches[name].clone()
    labels[:, :, 0] = IGNORED
    return [dict(input_ids=ids, labels=of_ids) for ids, of_ids in zip(batches["input_ids"], labels)]


def losses(adapter):
    model = PeftModel.from_pretrained(base_of("qwen3"), adapter, is_trainable=True)
    batches = make_batches()
    values, norms = train(model, zip(batches["input_ids"], batches["labels_full"]))
    return dict(full=values, full_grad_norm=norms)


if __name__ == "__main__":
    write_all()
