"""Trains an adapter of every method with metal-candle and with PEFT, has each program read the other's, and prints the table
of docs/adapters.md. Run by hand.

    cargo build -p metal-candle-cli
    cargo build -p metal-candle --example logits
    python scripts/interop/check_peft_methods.py [--build target/debug] [--keep FOLDER] [METHOD ...]

Both train STEPS steps on the same rows, over tiny random checkpoints of Qwen3: one with an output head of its own, and `tied` one
whose head is its embedding. Ours are read by PeftModel.from_pretrained, after resize_token_embeddings where the tokenizer beside the
adapter has more tokens, and PEFT's by the example `logits`. A cell is the largest difference of a logit of TEXT between the two
programs, beside what the adapter moves logits by. Fails (exit code 1) when a key is missing or unexpected, a difference is over
TOLERANCE, or an adapter moves little. Everything runs in float32. Versions: scripts/golden/requirements.txt.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import torch
from check_adapter import check_keys, forward, max_abs, resize
from peft import EvaConfig, LoHaConfig, LoraConfig, PeftModel, get_peft_model, initialize_lora_eva_weights
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config
from transformers.utils import logging

STEPS, BATCH, RATE, TOLERANCE, LEAST_MOVED = 8, 4, 1e-2, 1e-4, 1e-2
TEXT = "The lamp <tool>beside</tool> the window was lit at seven."
NEW = ["<tool>", "</tool>"]
WORDS = "lamp window river seven stone cloud beside under".split()
ROWS = [f"The {a} {c} the {b} was <tool>{a}</tool> at {d}." for a in WORDS[:4] for b in WORDS[3:6] for c in WORDS[6:] for d in WORDS[2:4]]
ENDS = ["q_proj", "embed_tokens", "lm_head"]

# What --fine-tune-type and its like are in PEFT; `tied` runs over the checkpoint whose head is its embedding.
METHODS = {
    "LoRA": ("", {}),
    "rsLoRA": ("--rslora", dict(use_rslora=True)),
    "DoRA": ("--fine-tune-type dora", dict(use_dora=True)),
    "PiSSA": ("--init-lora-weights pissa", dict(init_lora_weights="pissa")),
    "OLoRA": ("--init-lora-weights olora", dict(init_lora_weights="olora")),
    "EVA": ("--init-lora-weights eva", dict(init_lora_weights="eva", eva_config=EvaConfig())),
    "EVA with DoRA and rsLoRA": (
        "--init-lora-weights eva --fine-tune-type dora --rslora",
        dict(init_lora_weights="eva", eva_config=EvaConfig(), use_dora=True, use_rslora=True),
    ),
    "LoHa": ("--fine-tune-type loha", dict(loha=True)),
    "whole head and embedding": (
        "--targets q_proj --modules-to-save lm_head,embed_tokens",
        dict(target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    ),
    "LoRA on head and embedding": (f"--targets {','.join(ENDS)}", dict(target_modules=ENDS)),
    "LoRA on head and embedding, tied": (f"--targets {','.join(ENDS)}", dict(target_modules=ENDS)),
    "DoRA on head and embedding": (f"--targets {','.join(ENDS)} --fine-tune-type dora", dict(target_modules=ENDS, use_dora=True)),
    "new tokens": (f"--add-tokens {','.join(NEW)}", dict(new=["embed_tokens", "lm_head"])),
    "new tokens, tied": (f"--add-tokens {','.join(NEW)}", dict(new=["embed_tokens"])),
}


def main():
    args = parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        check = Check(args.build, folder)
        for name in args.methods or METHODS:
            check.method(name)
        check.table()
    return 0 if check.ok else 1


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="rows of the table [all]")
    parser.add_argument("--build", type=Path, default=Path("target/debug"), help="folder of metal-candle [target/debug]")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where files stay")
    args = parser.parse_args()
    if unknown := set(args.methods) - set(METHODS):
        parser.error(f"METHOD: expected some of {', '.join(METHODS)}, got {', '.join(unknown)}")
    return args


class Check:
    def __init__(self, build, folder):
        self.build, self.folder = build.resolve(), folder.resolve()
        self.ok, self.rows = True, []
        write_rows(self.folder / "data")
        for name in ("untied", "tied"):
            write_base(self.folder / name, is_tied=name == "tied")

    def method(self, name):
        words, settings = METHODS[name]
        base = self.folder / ("tied" if name.endswith("tied") else "untied")
        ours, theirs = (self.folder / f"{name.replace(' ', '-')}-{who}" for who in ("ours", "peft"))
        self.train(base, ours, words.split())
        train_with_peft(base, theirs, settings)
        self.rows.append((name, self.compared(name, base, ours), self.compared(name, base, theirs)))

    def train(self, base, out, words):
        self.run(
            "metal-candle", "train", "--model", base, "--data", self.folder / "data", "--adapter-path", out, "--overwrite",
            "--rank", 4, "--alpha", 8, "--iters", STEPS, "--batch-size", BATCH, "--learning-rate", RATE, "--num-layers", -1,
            "--val-batches", 0, "--no-verify", "--no-report", *words,
        )

    def compared(self, name, base, adapter):
        """The largest difference of a logit between both programs, and the largest that the adapter makes."""
        out = adapter / "logits.safetensors"
        self.run("examples/logits", base, adapter, TEXT, out)
        golden = load_file(out)
        input_ids, expected = golden["input_ids"], golden["logits"]
        model = load(base)
        resize(model, adapter)
        before = forward(model, input_ids)
        model = PeftModel.from_pretrained(model, adapter).eval()
        logits = forward(model, input_ids)
        difference, moved = max_abs(logits - expected), max_abs(logits - before)
        is_good = check_keys(model, adapter / "adapter_model.safetensors") and difference < TOLERANCE and moved > LEAST_MOVED
        print(f"{name}: {adapter.name}: {difference:.1e} of {moved:.1e}{'' if is_good else ' FAIL'}", file=sys.stderr)
        self.ok &= is_good
        return difference, moved

    def run(self, program, *words):
        done = subprocess.run([str(self.build / program), *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{program} {' '.join(map(str, words))}: {done.stderr}")

    def table(self):
        print("| method | ours, read by PEFT | moves logits by | PEFT's, read here | moves logits by |\n|---|---|---|---|---|")
        for name, ours, theirs in self.rows:
            cells = [f"{number:.1e}" for number in (*ours, *theirs)]
            print(f"| {name} | {' | '.join(cells)} |")


def write_rows(folder):
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(dict(text=row)) + "\n" for row in ROWS]
    (folder / "train.jsonl").write_text("".join(lines), encoding="utf-8")


def write_base(folder, is_tied):
    """A random checkpoint with weights large enough that a wrong number shows, and a byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([*ROWS, TEXT], trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[0], pad_token=special[1])
    wrapped.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, max_position_embeddings=128, tie_word_embeddings=is_tied, eos_token_id=0, pad_token_id=None, bos_token_id=None,
    )
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)


def load(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()


def train_with_peft(base, out, settings):
    torch.manual_seed(4)
    settings = dict(target_modules="all-linear") | copy.deepcopy(settings)
    tokenizer, model = AutoTokenizer.from_pretrained(base), load(base)
    if new := settings.pop("new", None):
        tokenizer.add_tokens(NEW, special_tokens=True)
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        ids = tokenizer.convert_tokens_to_ids(NEW)
        settings["trainable_token_indices"] = {layer: ids for layer in new}
    if settings.pop("loha", False):
        config = LoHaConfig(r=4, alpha=8, task_type="CAUSAL_LM", **settings)
    else:
        config = LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **settings)
    model = get_peft_model(model, config)
    batches = batches_of(tokenizer)
    if settings.get("init_lora_weights") == "eva":
        initialize_lora_eva_weights(model, batches, show_progress_bar=False)
    steps(model, batches)
    model.save_pretrained(out, save_embedding_layers=False)
    if new:
        tokenizer.save_pretrained(out)


def batches_of(tokenizer):
    """As many batches as steps; padding, which is behind, has no label."""
    rows = [row for _ in range(STEPS) for row in ROWS][: STEPS * BATCH]
    batches = []
    for i in range(0, len(rows), BATCH):
        encoded = tokenizer(rows[i : i + BATCH], return_tensors="pt", padding=True)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        batches.append(dict(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)))
    return batches


def steps(model, batches):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    for batch in batches:
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    sys.exit(main())
