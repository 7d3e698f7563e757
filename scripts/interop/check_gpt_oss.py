"""Loads folders of gpt-oss that metal-candle wrote with the tool that they are for, and compares logits. Run by hand.

    metal-candle convert --model crates/metal-candle/tests/golden/gpt-oss-mxfp4/model --save-path DENSE --type f32
    python scripts/interop/check_gpt_oss.py transformers DENSE gpt-oss-mxfp4

    metal-candle convert --hf-path crates/metal-candle/tests/golden/mlx-gpt-oss-float/model --mlx-path PACKED -q --q-bits 8 --q-group-size 32
    python scripts/interop/check_gpt_oss.py mlx PACKED mlx-gpt-oss-float --tolerance 2

`convert` needs a tokenizer beside the model: that of a golden `chat/<family>/` does. The golden logits are those of the model before it was converted: packing it again costs something, which `--tolerance` allows.
Fails (exit code 1) when the tool refuses the folder, or a logit differs by more. Everything runs on the CPU. Versions:
scripts/golden/requirements.txt, scripts/golden/requirements-mlx.txt.
"""

import argparse
import sys
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden"


def main():
    args = parse_args()
    difference = dict(transformers=of_transformers, mlx=of_mlx)[args.tool](args.folder, GOLDEN / args.golden / "golden.safetensors")
    print(f"max abs difference of a logit {difference:.2e}, tolerance {args.tolerance:.1e}")
    print("PASS" if difference <= args.tolerance else "FAIL")
    return 0 if difference <= args.tolerance else 1


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=["transformers", "mlx"])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("golden", metavar="CHECKPOINT")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest difference that passes [1e-4]")
    return parser.parse_args()


def of_transformers(folder, golden):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    want = load_file(golden)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not any(info.values()), info
    with torch.no_grad():
        logits = model.eval()(input_ids=want["input_ids"], use_cache=False).logits
    return (logits - want["logits"]).abs().max().item()


def of_mlx(folder, golden):
    import mlx.core as mx
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    want = mx.load(str(golden))
    model, _ = load_model(folder)
    return mx.abs(model(want["input_ids"]) - want["logits"]).max().item()


if __name__ == "__main__":
    sys.exit(main())
