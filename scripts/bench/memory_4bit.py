"""Peak memory of training on a base of Qwen2.5-0.5B's sizes, in bfloat16 and in four bits. Run by hand.

    cargo build --release -p metal-candle-cli
    python scripts/bench/memory_4bit.py [--build target/release] [--tokens 256]

Weights are random. The base is converted to every form of KINDS, those of four bits from bfloat16, and each is trained for two steps of one row, with
blocks that keep what backward needs and with blocks that are computed again. Prints the peak of the process, as the system counts
it, and its share of that of bfloat16. It takes numpy and safetensors, and 3 GB of a disk.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy
from safetensors.numpy import save_file

KINDS = ["bf16", "affine", "mxfp4", "nf4"]
TOKENIZER = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden/chat/qwen3"
CONFIG = dict(
    architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_act="silu", hidden_size=896, intermediate_size=4864,
    max_position_embeddings=32768, num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2, rms_norm_eps=1e-6,
    rope_theta=1e6, tie_word_embeddings=True, torch_dtype="float32", vocab_size=151936,
)


def write_base(folder):
    """In float32, in shards of a block each."""
    folder.mkdir()
    rng = numpy.random.default_rng(0)
    width, inner, keys = 896, 4864, 128
    normal = lambda *shape: (0.02 * rng.standard_normal(shape, dtype=numpy.float32))
    index = {}

    def save(name, tensors):
        save_file(tensors, folder / name)
        index.update({key: name for key in tensors})

    save("ends.safetensors", {"model.embed_tokens.weight": normal(151936, width), "model.norm.weight": numpy.ones(width, "f4")})
    for block in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{block}"
        rows = dict(q=width, k=keys, v=keys, o=width)
        tensors = {f"{at}.self_attn.{name}_proj.weight": normal(n, width) for name, n in rows.items()}
        tensors |= {f"{at}.self_attn.{name}_proj.bias": normal(rows[name]) for name in "qkv"}
        tensors |= {f"{at}.mlp.{name}_proj.weight": normal(inner, width) for name in ("gate", "up")}
        tensors[f"{at}.mlp.down_proj.weight"] = normal(width, inner)
        tensors |= {f"{at}.{name}_layernorm.weight": numpy.ones(width, "f4") for name in ("input", "post_attention")}
        save(f"block-{block}.safetensors", tensors)
    (folder / "model.safetensors.index.json").write_text(json.dumps(dict(weight_map=index)))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for file in TOKENIZER.glob("token*"):
        shutil.copy(file, folder)


def peak(program, model, folder, *more):
    words = [program, "train", "--model", model, "--data", folder / "data", "--adapter-path", folder / "adapters"]
    words += ["--iters", "2", "--batch-size", "1", "--val-batches", "0", "--steps-per-report", "1", *more]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "adapters/metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(folder / "adapters")
    return max(line.get("peak_memory_bytes") or 0 for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("target/release"))
    parser.add_argument("--tokens", type=int, default=256, help="tokens of a row, about [256]")
    args = parser.parse_args()
    program = args.build / "metal-candle"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_base(folder / "f32")
        (folder / "data").mkdir()
        rows = [json.dumps(dict(text=" ".join(str((i * 7 + row) % 10) for i in range(args.tokens // 2)))) for row in range(4)]
        (folder / "data/train.jsonl").write_text("\n".join(rows) + "\n")
        peaks = {}
        for kind in KINDS:
            base = folder / ("f32" if kind == "bf16" else "bf16")
            words = [program, "convert", "--model", base, "--save-path", folder / kind, "--type", kind]
            subprocess.run([str(word) for word in words], check=True, capture_output=True)
            for how in ((), ("--grad-checkpoint",)):
                peaks[kind, how] = peak(program, folder / kind, folder, *how)
                share = peaks[kind, how] / peaks["bf16", how]
                print(f"{kind:7} {' '.join(how):18} {peaks[kind, how] / 1e6:7.0f} MB  {share:.3f}", flush=True)
            shutil.rmtree(base if kind == "bf16" else folder / kind)


if __name__ == "__main__":
    main()
