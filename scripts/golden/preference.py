"""Ten steps of DPO and ORPO, and rows of preference data in tokens, as TRL computes them, under
crates/metal-candle/tests/golden/preference/:

    pip install -r scripts/golden/requirements.txt datasets==5.2.0      and      python scripts/golden/preference.py

    adapter/               of the checkpoint qwen3; A and B random, not zero
    pairs.json             [[{"prompt_ids", "chosen_ids", "rejected_ids"}] of a step] of 10 steps
    runs.json              for each run of RUNS
                               {"losses": [10], "metrics": {name: [10]}}, before each step
    gradients.safetensors  <run>.<key>, of the first step: the gradient of each tensor of the adapter, keyed as in its file
    rows.json              for each row of ROWS and family
                               {"family", "has_template", "row", "n_prompt", "chosen", "rejected"}; the ids are of prompt and completion

The reference is the checkpoint without its adapter. Everything is computed in float32. TRL's loss `sigmoid` knows no label
smoothing; its loss `aot` with one pair a batch is the smoothed one.
"""

import os

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import json
import tempfile

import torch
from common import GOLDEN, generator, load_base, save_adapter, save_json, save_json_lines, save_tensors
from datasets import Dataset
from models import N_VOCAB
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch.nn.utils import clip_grad_norm_
from transformers import AutoTokenizer
from transformers.utils import logging
from trl import DPOConfig, DPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

FOLDER = GOLDEN / "preference"
LORA = dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"], task_type="CAUSAL_LM")
RUNS = {
    "sigmoid": dict(beta=0.1, loss_type="sigmoid"),
    "smoothed": dict(beta=0.3, loss_type="aot", label_smoothing=0.2),
    "robust": dict(beta=0.3, loss_type="robust", label_smoothing=0.1),
    "hinge": dict(beta=0.2, loss_type="hinge"),
    "ipo": dict(beta=0.1, loss_type="ipo"),
    "orpo": dict(beta=0.25),
}
METRICS = [f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")] + ["logps/chosen", "logps/rejected"]
ADAMW = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
MAX_GRAD_NORM = 1.0
N_STEPS, N_PAIRS = 10, 3

USER, ANSWER, OTHER = ({"role": role, "content": text} for role, text in (
    ("user", "What is the time?"), ("assistant", "It's noon, and then rain."), ("assistant", "I am a model."),
))
SYSTEM = {"role": "system", "content": "You are a small test model."}
CONVERSATIONS = [
    dict(prompt=[USER], chosen=[ANSWER], rejected=[OTHER]),
    dict(prompt=[SYSTEM, USER], chosen=[OTHER], rejected=[ANSWER]),
    dict(prompt=[USER, ANSWER, USER], chosen=[ANSWER, USER, OTHER], rejected=[OTHER]),
    dict(chosen=[USER, ANSWER], rejected=[USER, OTHER]),
    dict(chosen=[SYSTEM, USER, ANSWER, USER, OTHER], rejected=[SYSTEM, USER, ANSWER, USER, ANSWER]),
]
TEXTS = [
    dict(prompt="The weather of the city is", chosen=" rain again.", rejected=" green"),
    dict(prompt="Name another colour.\n\n", chosen="naïve 世界", rejected="Why that one?"),
    dict(prompt="Hello, who are y", chosen="ou? I am", rejected="es"),
    dict(chosen="The colour of the grass is green.", rejected="The colour of the grass is seen."),
    dict(chosen="Hello, who are you?", rejected="Hello, who am I?"),
]
ROWS = {"qwen2.5": (CONVERSATIONS, TEXTS), "llama3": (CONVERSATIONS, TEXTS), "qwen3": (CONVERSATIONS[:2], [])}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    logging.disable_progress_bar()
    FOLDER.mkdir(exist_ok=True)
    write_adapter()
    steps = make_steps()
    save_json_lines(FOLDER / "pairs.json", steps)
    runs, gradients = {}, {}
    for name, settings in RUNS.items():
        runs[name], first = run(name, settings, steps)
        gradients |= {f"{name}.{key}": gradient for key, gradient in first.items()}
    save_json(FOLDER / "runs.json", runs)
    save_tensors(FOLDER / "gradients.safetensors", gradients)
    rows = [row for family, (conversations, texts) in ROWS.items() for row in tokenized(family, conversations, texts)]
    save_json_lines(FOLDER / "rows.json", rows)


def write_adapter():
    torch.manual_seed(40)
    model = get_peft_model(load_base("qwen3"), LoraConfig(**LORA))
    rng = generator(41)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=rng))
    save_adapter(model, FOLDER / "adapter")


def make_steps():
    """Tokens of a Zipf distribution, in sequences of many lengths."""
    rng = generator(42)
    zipf = 1 / torch.arange(1.0, N_VOCAB + 1)

    def ids(least, most):
        n = int(torch.randint(least, most, (), generator=rng))
        return torch.multinomial(zipf, n, True, generator=rng).tolist()

    pair = lambda: dict(prompt_ids=ids(2, 9), chosen_ids=ids(2, 14), rejected_ids=ids(2, 14))
    return [[pair() for _ in range(N_PAIRS)] for _ in range(N_STEPS)]


def run(name, settings, steps):
    """Losses and metrics of each step, and the gradients of the first."""
    trainer = make_trainer(name, settings)
    model = trainer.model
    trainable = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), **ADAMW)
    losses, metrics, first = [], {}, None
    for step in steps:
        loss, found = compute(name, trainer, step)
        first = first or {key.replace(".default", ""): parameter.grad.clone() for key, parameter in trainable.items()}
        losses.append(loss)
        for key, value in found.items():
            metrics.setdefault(key, []).append(value)
        clip_grad_norm_(trainable.values(), MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
    return dict(losses=losses, metrics=metrics), first


def make_trainer(name, settings):
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "chat/qwen2.5")
    common = dict(output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False)
    config, trainer = (ORPOConfig, ORPOTrainer) if name == "orpo" else (DPOConfig, DPOTrainer)
    trainer = trainer(
        model=load_base("qwen3"),
        args=config(**settings, **common),
        train_dataset=Dataset.from_list([dict(prompt="a", chosen="b", rejected="c")]),
        processing_class=tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    set_peft_model_state_dict(trainer.model, load_file(FOLDER / "adapter/adapter_model.safetensors"))
    return trainer


def compute(name, trainer, step):
    """The loss of a step and its metrics; gradients are left in the model."""
    if name == "orpo":
        trainer.padding_value = 0  # of the tokenizer, whose ids the checkpoint has not
        loss, metrics = trainer.get_batch_loss_metrics(trainer.model, orpo_batch(step))
        loss.backward()
        return loss.item(), {key: metrics[key] for key in METRICS + ["nll_loss"]}
    batches = [[pair] for pair in step] if name == "smoothed" else [step]
    trainer.model.train()
    total = 0.0
    for batch in batches:
        inputs = DataCollatorForPreference(pad_token_id=0)(batch)
        loss = trainer._compute_loss(trainer.model, inputs, return_outputs=False) / len(batches)
        loss.backward()
        total += loss.item()
    recorded = trainer._metrics["train"]
    metrics = {key: sum(recorded[key]) / len(recorded[key]) for key in METRICS}
    recorded.clear()
    return total, metrics


def orpo_batch(step):
    """What ORPOTrainer's collator makes of pairs."""

    def side(key):
        whole = [pair["prompt_ids"] + pair[key] for pair in step]
        width = max(len(ids) for ids in whole)
        pad = lambda rows, value: torch.tensor([row + [value] * (width - len(row)) for row in rows])
        labels = [[-100] * len(pair["prompt_ids"]) + pair[key] for pair in step]
        return pad(whole, 0), pad([[1] * len(ids) for ids in whole], 0), pad(labels, -100)

    batch = {}
    for key in ("chosen", "rejected"):
        ids, mask, labels = side(f"{key}_ids")
        batch |= {f"{key}_input_ids": ids, f"{key}_attention_mask": mask, f"{key}_labels": labels}
    return batch


def tokenized(family, conversations, texts):
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "chat" / family)
    trainer = make_trainer("sigmoid", RUNS["sigmoid"])
    trainer._tokenizer = tokenizer
    for has_template, rows in ((True, conversations), (False, texts)):
        for row in rows:
            dataset = Dataset.from_list([row])
            dataset = trainer._prepare_dataset(dataset, tokenizer, trainer.args, "rows")
            found = dataset[0]
            prompt = found["prompt_ids"]
            yield dict(
                family=family,
                has_template=has_template,
                row=row,
                n_prompt=len(prompt),
                chosen=prompt + found["chosen_ids"],
                rejected=prompt + found["rejected_ids"],
            )


if __name__ == "__main__":
    main()
