"""Loads an adapter folder of mlx-lm with mlx-lm and compares the logits it gives with ours. Run by hand.

    metal-candle adapter convert ADAPTER MLX_DIR --to mlx --model MODEL_DIR
    cargo run --release --example logits -p metal-candle -- MODEL_DIR ADAPTER "3 March 2021" LOGITS.safetensors
    python scripts/interop/check_adapter_mlx.py MODEL_DIR MLX_DIR LOGITS.safetensors

MODEL_DIR   a Hugging Face checkpoint
MLX_DIR     adapter_config.json and adapters.safetensors
LOGITS      `input_ids` (B, T) i64 and `logits` (B, T, V), which should be of the model with the adapter

Fails (exit code 1) when mlx-lm refuses the adapter, when it leaves an adapter's tensor as it was, or when a logit is off
by more than the tolerance. Everything runs on the CPU. Versions: scripts/golden/requirements-mlx.txt.
"""

import argparse
import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model


def main():
    args = parse_args()
    mx.set_default_device(mx.cpu)
    golden = mx.load(str(args.logits))
    input_ids, expected = golden["input_ids"], golden[args.tensor].astype(mx.float32)
    base = load(args.model)(input_ids)
    model = load_adapters(load(args.model), args.adapter)
    ok = check_keys(model, args.adapter / "adapters.safetensors")
    logits = model(input_ids).astype(mx.float32)
    print(f"the adapter moves the logits by at most {max_abs(logits - base):.3e}")
    difference = max_abs(logits - expected)
    print(f"max abs difference {difference:.3e}, tolerance {args.tolerance:.1e}, largest logit {max_abs(logits):.3e}")
    ok &= difference <= args.tolerance  # false for NaN
    print("PASS" if ok else "FAIL")
    return 0 if ok else 1


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("adapter", type=Path, metavar="MLX_DIR")
    parser.add_argument("logits", type=Path, metavar="LOGITS.safetensors")
    parser.add_argument("--tensor", default="logits", help="name of the logits in the file [logits]")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest difference that passes [1e-3]")
    return parser.parse_args()


def load(path):
    # transformers 5 writes rope_parameters, mlx-lm reads what transformers 4 wrote.
    rope = json.loads((path / "config.json").read_text()).get("rope_parameters")
    override = {}
    if rope:
        theta = rope.pop("rope_theta")
        override = dict(rope_theta=theta, rope_scaling=None if rope["rope_type"] == "default" else rope)
    return load_model(path, model_config=override)[0]


def check_keys(model, path):
    """mlx-lm refuses tensors that it has no place for, and says nothing of those that the file lacks."""
    found = set(mx.load(str(path)))
    ends = ("lora_a", "lora_b", "m")
    wanted = {name for name, _ in tree_flatten(model.parameters()) if name.rsplit(".", 1)[-1] in ends}
    for key in sorted(wanted - found):
        print(f"missing key: {key}")
    return found == wanted


def max_abs(array):
    return mx.abs(array).max().item()


if __name__ == "__main__":
    sys.exit(main())
