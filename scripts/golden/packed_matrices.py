"""What bitsandbytes and torch make of matrices, under crates/kernels/tests/golden/.

bitsandbytes.safetensors, of matrix (37, 90) f32, whole (16, 128) bf16 and, where magnitudes are nested, another
(130, 130), which has more blocks than a block of blocks:

    nf4, nf4.nested, nf4.128, fp4, nf4.whole.bf16
        .{weight,absmax,quant_map}                         functional.quantize_4bit, as as_dict() names them
        .{nested_absmax,nested_quant_map,nested_offset}    with double quantization
        .dense                                             functional.dequantize_4bit, f32
    int8.{weight,SCB}       functional.int8_vectorwise_quant; weight as the u8 of its bits
    int8.dense              functional.int8_vectorwise_dequant, f32

fp8.safetensors, of a matrix (35, 100) f32: e4m3 as the u8 of its bits, scales f32, and their product

    {block,tensor,row}.{weight,scales,dense}               blocks of 16 x 32, one scale, a scale for each row
"""

from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from common import generator, save_tensors

FOLDER = Path(__file__).resolve().parents[2] / "crates/kernels/tests/golden"
E4M3 = torch.float8_e4m3fn


def matrix(seed, *shape):
    return torch.randn(shape, generator=generator(seed))


def four_bits(values, kind, **settings):
    weight, state = bnb.quantize_4bit(values, quant_type=kind, **settings)
    tensors = dict(weight=weight, absmax=state.absmax, quant_map=state.code)
    if state.nested:
        tensors |= dict(
            nested_absmax=state.state2.absmax,
            nested_quant_map=state.state2.code,
            nested_offset=state.offset,
        )
    state.dtype = torch.float32
    return tensors | dict(dense=bnb.dequantize_4bit(weight, state))


def eight_bits(values):
    weight, largest, _ = bnb.int8_vectorwise_quant(values.to(torch.float16))
    dense = bnb.int8_vectorwise_dequant(weight, largest)
    return dict(weight=weight.view(torch.uint8), SCB=largest, dense=dense)


def bitsandbytes():
    values = matrix(1, 37, 90)
    values[3] = 0.0  # whole blocks of zeros
    values[5, :7] *= 40.0
    whole = matrix(2, 16, 128).to(torch.bfloat16)
    cases = {
        "nf4": four_bits(values, "nf4"),
        "nf4.nested": four_bits(matrix(4, 130, 130), "nf4", compress_statistics=True),
        "nf4.128": four_bits(values, "nf4", blocksize=128),
        "nf4.whole.bf16": four_bits(whole, "nf4"),
        "fp4": four_bits(values, "fp4"),
        "int8": eight_bits(values),
    }
    return dict(matrix=values, whole=whole) | named(cases)


def fp8(values, rows, columns):
    scales = torch.empty(-(-values.shape[0] // rows), -(-values.shape[1] // columns))
    weight = torch.empty(values.shape, dtype=E4M3)
    dense = torch.empty(values.shape)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            block = (slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns))
            scales[i, j] = values[block].abs().max() / torch.finfo(E4M3).max
            weight[block] = (values[block] / scales[i, j]).to(E4M3)
            dense[block] = weight[block].float() * scales[i, j]
    return dict(weight=weight.view(torch.uint8), scales=scales, dense=dense)


def named(cases):
    return {f"{name}.{part}": tensor for name, parts in cases.items() for part, tensor in parts.items()}


def write_all():
    save_tensors(FOLDER / "bitsandbytes.safetensors", bitsandbytes())
    values = matrix(3, 35, 100)
    blocks = dict(block=(16, 32), tensor=(35, 100), row=(1, 100))
    save_tensors(FOLDER / "fp8.safetensors", named({name: fp8(values, *size) for name, size in blocks.items()}))
