"""Loads an adapter with PEFT and compares the logits it gives with ours. Run by hand.

    python scripts/interop/check_adapter.py MODEL_DIR ADAPTER_DIR LOGITS.safetensors

MODEL_DIR    a Hugging Face checkpoint
ADAPTER_DIR  adapter_config.json and adapter_model.safetensors, and a tokenizer where the adapter needs more tokens
LOGITS       `input_ids` (B, T) i64 and `logits` (B, T, V), which should be of the model with the adapter

Fails (exit code 1) when a key of the adapter is missing or unexpected, or when a logit is off by more than the
tolerance. Everything runs in float32. Versions: scripts/golden/requirements.txt.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    args = parse_args()
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    golden = load_file(args.logits)
    input_ids, expected = golden["input_ids"], golden[args.tensor].float()
    resize(base, args.adapter)
    base_logits = forward(base, input_ids)
    model = PeftModel.from_pretrained(base, args.adapter).eval()
    ok = check_keys(model, args.adapter / "adapter_model.safetensors")
    logits = forward(model, input_ids)
    print(f"the adapter moves the logits by at most {max_abs(logits - base_logits):.3e}")
    ok &= check_logits(logits, expected, args.tolerance)
    print("PASS" if ok else "FAIL")
    return 0 if ok else 1


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("adapter", type=Path, metavar="ADAPTER_DIR")
    parser.add_argument("logits", type=Path, metavar="LOGITS.safetensors")
    parser.add_argument("--tensor", default="logits", help="name of the logits in the file [logits]")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest difference that passes [1e-3]")
    return parser.parse_args()


def resize(base, adapter):
    """As PEFT's users do where a tokenizer with more tokens lies beside the adapter."""
    n_tokens = len(AutoTokenizer.from_pretrained(adapter)) if (adapter / "tokenizer.json").exists() else 0
    n_rows = base.get_input_embeddings().num_embeddings
    if n_tokens > n_rows:
        print(f"resizing the vocabulary from {n_rows} to {n_tokens} tokens")
        base.resize_token_embeddings(n_tokens)


@torch.no_grad()
def forward(model, input_ids):
    return model(input_ids=input_ids, use_cache=False).logits.float()


def check_keys(model, path):
    """PEFT itself only warns about a missing key, and ignores some unexpected ones."""
    with safe_open(path, "pt") as file:
        found = set(file.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    for key in sorted(wanted - found):
        print(f"missing key: {key}")
    for key in sorted(found - wanted):
        print(f"unexpected key: {key}")
    return found == wanted


def check_logits(logits, expected, tolerance):
    if logits.shape != expected.shape:
        print(f"shape: expected {tuple(logits.shape)}, got {tuple(expected.shape)}")
        return False
    difference = max_abs(logits - expected)
    print(f"max abs difference {difference:.3e}, tolerance {tolerance:.1e}, largest logit {max_abs(logits):.3e}")
    return difference <= tolerance  # false for NaN


def max_abs(tensor):
    return tensor.abs().max().item()


if __name__ == "__main__":
    sys.exit(main())
