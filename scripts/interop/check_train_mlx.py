"""Runs mlx_lm.lora and `metal-candle train -c` on the same files of settings, and compares every loss. Run by hand.

    cargo build --release
    python scripts/interop/check_train_mlx.py target/release/metal-candle

Model, data and settings are those of scripts/golden/mlx_lm_train.py, made anew in a folder of their own: a tiny llama, data
of one batch for most of them. Prints the table of docs/mlx-lm.md, and fails (exit code 1) when a loss is off by more than the
tolerance or a count of tokens by one. MLX runs on the CPU. Versions: scripts/golden/requirements-mlx.txt.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
import mlx.core as mx  # noqa: E402
import mlx_lm_train as golden  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, metavar="METAL_CANDLE")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest difference that passes [1e-4]")
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    print("| settings | first loss | last loss of mlx-lm | of metal-candle | largest difference of any |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with redirect_stdout(StringIO()):
            golden.write_inputs(folder)
        ok = [compare(name, folder, args) for name in golden.CASES]
    print("PASS" if all(ok) else "FAIL")
    return 0 if all(ok) else 1


def compare(name, folder, args):
    config = golden.config_of(name)
    scratch = folder / "scratch" / name.replace(" ", "_")
    with redirect_stdout(StringIO()):
        theirs = golden.losses_of_mlx(config, folder, scratch)
    reports = ours(args.program.resolve(), scratch / "config.yaml", folder, scratch / "ours")
    losses = [report["train_loss"] for report in reports if "train_loss" in report]
    val_losses = [report["val_loss"] for report in reports if "val_loss" in report]
    assert len(losses) == len(theirs.losses), f"{name}: {len(losses)} losses, mlx-lm has {len(theirs.losses)}"
    # Later evaluations come a step later than mlx-lm's.
    pairs = [*zip(losses, theirs.losses), *zip(val_losses[:1], theirs.val_losses[:1])]
    off = max(abs(a - b) for a, b in pairs)
    print(f"| {name} | {theirs.losses[0]:.6f} | {theirs.losses[-1]:.6f} | {losses[-1]:.6f} | {off:.1e} |", flush=True)
    has_tokens = max(report["trained_tokens"] for report in reports) == theirs.trained_tokens
    return has_tokens and off <= args.tolerance  # false for NaN


def ours(program, config, folder, adapter_path):
    words = [program, "train", "-c", config, "--adapter-path", adapter_path]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    lines = (adapter_path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
