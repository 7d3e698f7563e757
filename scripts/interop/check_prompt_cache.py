"""Compares texts behind a kept prompt, between metal-candle and mlx-lm, in every direction:

    pip install -r scripts/golden/requirements-mlx.txt
    python scripts/interop/check_prompt_cache.py target/release/metal-candle FOLDER_OF_A_MODEL

For each of the settings below, both programs keep a prompt, and both go on from both files: behind one file their texts must be one, and without a bound, which mlx-lm leaves out
with some families, all four.
"""

import contextlib
import importlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import mlx.core as mx

PROMPT = "def area_of_a_circle(radius): returns the area of a circle with this radius. " * 8
REST = "Write one sentence of documentation for it."
SETTINGS = [[], ["--max-kv-size", "64"]]
N = 40


def of_mlx(program, words):
    """What a program of mlx-lm prints."""
    sys.argv, printed = [program, *words], io.StringIO()
    with contextlib.redirect_stdout(printed):
        importlib.import_module(f"mlx_lm.{program}").main()
    return printed.getvalue()


def text_of_mlx(file):
    words = ["--prompt-cache-file", file, "--prompt", REST, "--max-tokens", str(N), "--verbose", "False", "--temp", "0"]
    return of_mlx("generate", words).strip()


def text_of_ours(program, file):
    words = ["generate", "--prompt-cache-file", file, "--prompt", REST, "--max-tokens", str(N), "--json", "-q"]
    return json.loads(subprocess.run([program, *words], check=True, capture_output=True).stdout)["text"].strip()


def main(program, model):
    with tempfile.TemporaryDirectory() as folder:
        for settings in SETTINGS:
            ours, theirs = [str(Path(folder) / name) for name in ("ours.safetensors", "theirs.safetensors")]
            words = ["--model", model, "--prompt", PROMPT, *settings, "--prompt-cache-file"]
            subprocess.run([program, "cache-prompt", *words, ours, "-q"], check=True)
            of_mlx("cache_prompt", [*words, theirs])
            texts = {name: text_of_mlx(file) for name, file in (("mlx, mlx", theirs), ("ours, mlx", ours))}
            texts |= {name: text_of_ours(program, file) for name, file in (("mlx, ours", theirs), ("ours, ours", ours))}
            print(*settings or ["all tokens"])
            for name, text in texts.items():
                print(f"  {name}: {text!r}")
            for made_by in ("mlx", "ours"):
                assert texts[f"{made_by}, mlx"] == texts[f"{made_by}, ours"] != "", settings
            assert settings or len(set(texts.values())) == 1


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    main(*sys.argv[1:])
