"""Regenerates what gguf-py computes and writes, under tests/golden/ of the crates:

    pip install -r scripts/golden/requirements.txt -r scripts/golden/requirements-gguf.txt
    python scripts/golden/make_gguf.py

kernels: gguf.safetensors, a matrix (4, 512) f32 and, for each type of block,

    <type>.bytes        (4, 512 / numbers * bytes) u8, random, with finite factors
    <type>.dense        (4, 512) f32, gguf.quants.dequantize of these
    <type>.quantized    u8, gguf.quants.quantize of the matrix, where gguf-py has a quantizer

metal-candle: gguf/, for each architecture of gguf_models.py

    <architecture>.gguf         two blocks or more, float16 matrices, as llama.cpp's converter lays them out
    <architecture>.safetensors  ids (24) i64; logits (24, 64) f32, by transformers

and for each tokenizer of gguf_tokenizers.py

    <tokenizer>.gguf            no tensor: tokens, scores and types
    tokenizers.json             {tokenizer: [{text, ids, decoded}]}, by transformers, without a token before a text
"""

from pathlib import Path

import gguf_models
import gguf_tokenizers
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
from safetensors.numpy import save_file

CRATES = Path(__file__).resolve().parents[2] / "crates"
ROWS, NUMBERS = 4, 512

# Where float16 factors are in a block, in bytes.
FACTORS = dict(
    Q4_0=[0], Q4_1=[0, 2], Q5_0=[0], Q5_1=[0, 2], Q8_0=[0], Q2_K=[80, 82], Q3_K=[108], Q4_K=[0, 2], Q5_K=[0, 2],
    Q6_K=[208], IQ4_NL=[0],
)
QUANTIZERS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def random_blocks(random, name):
    numbers, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = random.integers(0, 256, (ROWS * NUMBERS // numbers, size), dtype=np.uint8)
    for at in FACTORS[name]:
        factors = random.normal(0, 0.05, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = factors.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def matrix(random):
    values = random.normal(0, 1, (ROWS, NUMBERS)).astype(np.float32)
    values[0, :32] = 0  # a block of zeros
    values[1, 32:64] = 0.75  # a block without a range
    values[2, 64:96] *= 1e-6  # a step below float16's normal numbers
    values[3, 96:128] = np.arange(32) - 15.5  # halves, for the rounding
    return values


def kernels():
    random = np.random.default_rng(7)
    tensors = {"matrix": matrix(random)}
    for name in FACTORS:
        kind = GGMLQuantizationType[name]
        tensors[f"{name}.bytes"] = random_blocks(random, name)
        tensors[f"{name}.dense"] = quants.dequantize(tensors[f"{name}.bytes"], kind)
        if name in QUANTIZERS:
            tensors[f"{name}.quantized"] = quants.quantize(tensors["matrix"], kind)
    save_file(tensors, CRATES / "kernels/tests/golden/gguf.safetensors")


def models():
    folder = CRATES / "metal-candle/tests/golden/gguf"
    folder.mkdir(exist_ok=True)
    for arch in gguf_models.MODELS:
        gguf_models.write(folder, arch)
    gguf_tokenizers.write_all(folder)


if __name__ == "__main__":
    kernels()
    models()
