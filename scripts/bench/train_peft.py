"""Times a LoRA training step of PyTorch + PEFT on the CPU, on a Qwen2 with random weights.

    python scripts/bench/train_peft.py [--threads 2] HIDDEN LAYERS HEADS KV INTER VOCAB SEQ BATCH STEPS [bf16]

Rank 8, alpha 16, every linear but the head, AdamW with lr 1e-4. A step is forward, backward, optimizer and
zero_grad; the first two, which allocate, are run but not timed. `bf16` stores the base in bf16; the adapter stays
in float32. Prints one JSON line, as `metal-candle-bench train` reads it. `--compile` compiles the model, which
takes minutes.
"""

import argparse
import json
import resource
import sys
import time

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

SIZES = ["hidden", "layers", "heads", "kv", "inter", "vocab", "seq", "batch", "steps"]


def main():
    args = parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = build_model(args)
    input_ids = torch.randint(args.vocab, (args.batch, args.seq))
    how = "compile" if args.compile else "eager"
    if args.compile:
        model.compile()
    print(json.dumps(report(how, time_steps(model, input_ids, args.steps))))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    for size in SIZES:
        parser.add_argument(size, type=int, metavar=size.upper())
    parser.add_argument("dtype", nargs="?", choices=["f32", "bf16"], default="f32")
    return parser.parse_args()


def build_model(args):
    config = Qwen2Config(
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.kv,
        intermediate_size=args.inter,
        vocab_size=args.vocab,
        max_position_embeddings=max(args.seq, 2048),
        tie_word_embeddings=True,
    )
    base = Qwen2ForCausalLM(config)
    if args.dtype == "bf16":
        base = base.to(torch.bfloat16)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    return get_peft_model(base, lora).train()


def time_steps(model, input_ids, n_steps):
    """Seconds of each of n_steps steps, after two that are not counted."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    step_secs = []
    for _ in range(n_steps + 2):
        start = time.perf_counter()
        model(input_ids=input_ids, labels=input_ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step_secs.append(time.perf_counter() - start)
    return step_secs[2:]


def report(how, step_secs):
    return {
        "secs": {"step": {how: step_secs}},
        "peak_bytes": {"step": peak_bytes()},
        "versions": {module.__name__: module.__version__ for module in (torch, transformers, peft)},
    }


def peak_bytes():
    """Peak resident memory of the process; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
