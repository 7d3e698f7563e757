"""Loads a fused, quantized folder with mlx-lm and compares what is left of the adapter with our report. Run by hand.

    metal-candle fuse --model MODEL_DIR --adapter-path PEFT_DIR --save-path FUSED_DIR --json > REPORT.json
    python scripts/interop/check_fused_mlx.py MODEL_DIR PEFT_DIR FUSED_DIR REPORT.json

MODEL_DIR   a checkpoint that mlx-lm has quantized
PEFT_DIR    adapter_config.json and adapter_model.safetensors of LoRA, with one rank and alpha for all layers
FUSED_DIR   what was written
REPORT      what `--json` printed

Weights are made dense by MLX, and the figures computed in float64. Fails (exit code 1) when mlx-lm refuses the folder, when a
layer has other bits or groups than its base, when a figure is off by more than the tolerance, or when a logit of the fused model
is not finite. Everything runs on the CPU. Versions: scripts/golden/requirements-mlx.txt.
"""

import argparse
import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
from check_adapter_mlx import load

PREFIX = "base_model.model."


def main():
    args = parse_args()
    mx.set_default_device(mx.cpu)
    base, fused = (dict(load(path).named_modules()) for path in (args.model, args.fused))
    adapter = mx.load(str(args.adapter / "adapter_model.safetensors"))
    settings = json.loads((args.adapter / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    worst, ok = 0.0, True
    layers = json.loads(args.report.read_text())["layers"]
    for layer in layers:
        path = layer["path"]
        ok &= packing(base[path]) == packing(fused[path])
        a, b = (float64(adapter[f"{PREFIX}{path}.lora_{part}.weight"]) for part in "AB")
        kept, error = survival(dense(base[path]), scale * b @ a, dense(fused[path]))
        worst = max(worst, abs(kept - layer["kept"]), abs(error - layer["error"]) / max(error, 1))
    print(f"{len(layers)} layers, max abs difference of a figure {worst:.2e}, tolerance {args.tolerance:.1e}")
    logits = load(args.fused)(mx.array([[1, 2, 3]]))
    ok &= len(layers) > 0 and worst <= args.tolerance and mx.isfinite(logits).all().item()
    print("PASS" if ok else "FAIL")
    return 0 if ok else 1


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR")
    parser.add_argument("adapter", type=Path, metavar="PEFT_DIR")
    parser.add_argument("fused", type=Path, metavar="FUSED_DIR")
    parser.add_argument("report", type=Path, metavar="REPORT.json")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest difference that passes [1e-3]")
    return parser.parse_args()


def survival(before, update, after):
    change = after - before
    square = (update * update).sum()
    return (change * update).sum() / square, np.sqrt(((change - update) ** 2).sum() / square)


def packing(layer):
    return tuple(getattr(layer, name, None) for name in ("bits", "group_size", "mode"))


def dense(layer):
    if not hasattr(layer, "scales"):
        return float64(layer.weight)
    parts = (layer.scales.astype(mx.float32), layer.biases.astype(mx.float32))
    return float64(mx.dequantize(layer.weight, *parts, group_size=layer.group_size, bits=layer.bits))


def float64(array):
    return np.array(array.astype(mx.float32), dtype=np.float64)


if __name__ == "__main__":
    sys.exit(main())
