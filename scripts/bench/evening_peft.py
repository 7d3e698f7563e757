"""PyTorch + PEFT's side of evening.py, in a process of its own: a plain training loop on the CPU.

    python scripts/bench/evening_peft.py MODEL DATA ADAPTER [--steps N] [--max-length 256] ...

ADAPTER is where training begins; where it is not there, it is made and nothing else is done. Rows are padded to the
longest of their batch, and the loss is the one that transformers computes. Prints one JSON line.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import peft
import torch
import transformers
from evening_order import batches
from transformers import AutoModelForCausalLM, AutoTokenizer

LAST = "<|im_end|>"
IGNORED = -100


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    if not args.adapter.exists():
        lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        return peft.get_peft_model(base, lora).save_pretrained(args.adapter)
    model = peft.PeftModel.from_pretrained(base, args.adapter, is_trainable=True)
    print(json.dumps(run(model, AutoTokenizer.from_pretrained(args.model), args)))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "data", "adapter"):
        parser.add_argument(name, type=Path)
    for name, value in dict(steps=1, batch_size=8, max_length=256, seed=0, threads=2, epochs=1).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--no-validation", action="store_true")
    return parser.parse_args()


def run(model, tokenizer, args):
    train, valid = (read(args.data / f"{part}.jsonl", tokenizer, args.max_length) for part in ("train", "valid"))
    loss = lambda: [] if args.no_validation else [validation_loss(model.eval(), valid, args.batch_size)]
    before, taken = loss(), list(steps(model.train(), train, args))
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
    return dict(steps=taken, valid=before + loss(), versions=versions)


def read(path, tokenizer, max_length):
    """Rows with a token to train, as metal-candle leaves the others out."""
    rows = (tokens(json.loads(line), tokenizer, max_length) for line in path.read_text().splitlines())
    return [(ids, labels) for ids, labels in rows if any(label != IGNORED for label in labels)]


def tokens(row, tokenizer, max_length):
    """Ids of a row and its labels: the answer with the token that ends it."""
    said = [dict(role="user", content=row["prompt"]), dict(role="assistant", content=row["completion"])]
    prompt = tokenizer.apply_chat_template(said[:1], add_generation_prompt=True, return_dict=False)
    ids = tokenizer.apply_chat_template(said, return_dict=False)
    assert ids[: len(prompt)] == prompt, row
    end = len(ids) - ids[::-1].index(tokenizer.convert_tokens_to_ids(LAST))
    labels = [IGNORED] * len(prompt) + ids[len(prompt) : end] + [IGNORED] * (len(ids) - end)
    return ids[:max_length], labels[:max_length]


def steps(model, rows, args):
    """Loss, times and tokens of each step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.learning_rate)
    lengths = [len(ids) for ids, _ in rows]
    chosen = [batch for epoch in range(args.epochs) for batch in batches(lengths, args.batch_size, args.seed, epoch)]
    for batch in chosen[: args.steps]:
        start, cpu_start = time.perf_counter(), time.process_time()
        inputs = padded([rows[row] for row in batch])
        loss = model(**inputs, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss = loss.item()
        secs, cpu_secs = time.perf_counter() - start, time.process_time() - cpu_start
        counts = dict(tokens=sum(lengths[row] for row in batch), trained=n_trained(inputs))
        yield dict(loss=loss, secs=secs, cpu_secs=cpu_secs) | counts
        print(f"step {loss:.3f} {secs:.2f} s", file=sys.stderr, flush=True)


def padded(rows):
    longest = max(len(ids) for ids, _ in rows)
    fill = lambda part, value: torch.tensor([one + [value] * (longest - len(one)) for one in part])
    ids, labels = zip(*rows)
    mask = fill([[1] * len(one) for one in ids], 0)
    return dict(input_ids=fill(ids, 0), attention_mask=mask, labels=fill(labels, IGNORED))


def n_trained(inputs):
    return int((inputs["labels"][:, 1:] != IGNORED).sum())


def validation_loss(model, rows, batch_size):
    """Mean over trained tokens of all rows, as perplexity is defined."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    total = count = 0
    with torch.no_grad():
        for at in range(0, len(rows), batch_size):
            inputs = padded(rows[at : at + batch_size])
            total += model(**inputs, use_cache=False).loss.item() * n_trained(inputs)
            count += n_trained(inputs)
    return total / count


if __name__ == "__main__":
    main()
