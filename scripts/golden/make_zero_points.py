"""Regenerates what GPTQ, AWQ and compressed-tensors pack, under tests/golden/ of the crates:

    pip install -r scripts/golden/requirements.txt
    pip download --no-deps --no-build-isolation -d PACKERS -r scripts/golden/requirements-zero-points.txt
    python scripts/golden/make_zero_points.py PACKERS

PACKERS is a folder of their archives, of which single files are taken: installed, AutoGPTQ would change PEFT.

kernels: zero_point.safetensors, of matrices (32, 64) f32, or (32, 256) where a group is, and, for each of CASES,

    <case>.{words,zeros,scales,groups}    as the tool's files have them, words and zeros as the u32 of their bits; without
                                          zeros each is the middle number, without groups they lie side by side
    <case>.dense                          what the tool makes of them, with scales in float32, f32

metal-candle: for each <name> of CHECKPOINTS

    zero-point/<name>/model/               config.json, model.safetensors: as published ones are, AutoGPTQ's with biases of zeros
    zero-point/<name>/golden.safetensors   input_ids, logits, prompt, greedy as models.py has them, of the model made dense
    zero-point/gptq/train/                 as training.py has it: PEFT on the dense model

The second version of GPTQ is the first with zero points that are one more, as GPTQModel converts it.
"""

import importlib.util
import json
import os
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import torch
import training
from checkpoints import LLAMA3, QWEN3
from common import GOLDEN, generator, save_adapter, save_json, save_tensors
from models import N_VOCAB, discriminating_prompt, forward, randomise
from packed_models import wide
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging

KERNELS = Path(__file__).resolve().parents[2] / "crates/kernels/tests/golden"
GPTQ = ("auto_gptq", "nn_modules/qlinear/qlinear_cuda.py")
AWQ = ("awq", "utils/packing_utils.py")
COMPRESSED_TENSORS = ("compressed_tensors", "compressors/pack_quantized/helpers.py")
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def owned(packers, package, path):
    """A module of an archive, without its package."""
    for archive in sorted(packers.iterdir()):
        if archive.suffix == ".whl":
            names = zipfile.ZipFile(archive)
            text = names.read(f"{package}/{path}") if f"{package}/{path}" in names.namelist() else None
        else:
            names = tarfile.open(archive)
            inner = [name for name in names.getnames() if name.endswith(f"/{package}/{path}")]
            text = names.extractfile(inner[0]).read() if inner else None
        if text is not None:
            with tempfile.NamedTemporaryFile(suffix=".py") as file:
                Path(file.name).write_bytes(text)
                spec = importlib.util.spec_from_file_location(package, file.name)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise FileNotFoundError(f"{package}/{path} in {packers}")


def grid(weight, bits, group, order=None, least_zero=1):
    """Scales in float16 and zero points, (N, K / group), whose grid covers the numbers of each group."""
    columns = weight if order is None else weight[:, order]
    groups = columns.reshape(weight.shape[0], -1, group)
    low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
    scales = ((high - low) / (2**bits - 1)).half().float()
    zeros = (-low / scales).round().clamp(least_zero, 2**bits - 1)
    return scales, zeros


def gptq(weight, bits, group, by_activation=False, second=False):
    n, k = weight.shape
    order = torch.randperm(k, generator=generator(7)) if by_activation else torch.arange(k)
    groups = torch.empty(k, dtype=torch.int32)
    groups[order] = torch.arange(k, dtype=torch.int32) // group
    scales, zeros = grid(weight, bits, group, order)
    linear = nn.Linear(k, n, bias=False)
    spread = lambda factors: factors[:, groups.long()]
    # Its packing does not keep numbers in the grid.
    most, scale, zero = 2**bits - 1, spread(scales), spread(zeros)
    linear.weight.data = weight.clamp(-zero * scale, (most - zero) * scale)
    layer = TOOLS[GPTQ].QuantLinear(bits, group, k, n, False, weight_dtype=torch.float32)
    layer.pack(linear, scales, zeros, groups)
    layer.g_idx = groups
    dense = layer(torch.eye(k)).T.contiguous()
    tensors = dict(words=layer.qweight, zeros=layer.qzeros, scales=layer.scales.half(), groups=groups)
    if second:
        ones = sum(1 << (i * bits) for i in range(32 // bits))
        tensors["zeros"] = tensors["zeros"] + ones
    return tensors | dict(dense=dense)


def awq(weight, bits, group):
    n, k = weight.shape
    scales, zeros = grid(weight, bits, group, least_zero=0)
    spread = lambda factors: factors.repeat_interleave(group, 1)
    numbers = (weight / spread(scales) + spread(zeros)).round().clamp(0, 2**bits - 1)
    words, zeros = (packed_across(part.T.int()) for part in (numbers, zeros))
    scales = scales.T.contiguous()
    dense = TOOLS[AWQ].dequantize_gemm(words, zeros, scales, bits, group).T.contiguous()
    return dict(words=words, zeros=zeros, scales=scales.half(), dense=dense)


def packed_across(numbers):
    """As AutoAWQ's `from_linear`: eight numbers of a row in a word, in its order."""
    words = numbers.reshape(numbers.shape[0], -1, 8)
    shifted = [words[:, :, column].long() << (4 * i) for i, column in enumerate(AWQ_ORDER)]
    words = torch.stack(shifted).sum(0)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).int().contiguous()


def compressed_tensors(weight, bits, group, symmetric=True, by_activation=False):
    n, k = weight.shape
    tool = TOOLS[COMPRESSED_TENSORS]
    order = torch.randperm(k, generator=generator(8)) if by_activation else torch.arange(k)
    groups = torch.empty(k, dtype=torch.int32)
    groups[order] = torch.arange(k, dtype=torch.int32) // group
    scales, zeros = grid(weight, bits, group, order, least_zero=0)
    middle = 2 ** (bits - 1)
    zeros = torch.zeros_like(zeros) if symmetric else zeros - middle
    if symmetric:
        scales = (scales * 2).half().float()  # a grid about zero
    spread = lambda factors: factors[:, groups.long()]
    numbers = (weight / spread(scales) + spread(zeros)).round().clamp(-middle, middle - 1).to(torch.int8)
    words = tool.pack_to_int32(numbers, bits)
    tensors = dict(words=words, scales=scales.half())
    if not symmetric:
        tensors["zeros"] = tool.pack_to_int32(zeros.to(torch.int8), bits, packed_dim=0).contiguous()
        zeros = tool.unpack_from_int32(tensors["zeros"], bits, zeros.shape, packed_dim=0).float()
    if by_activation:
        tensors["groups"] = groups
    numbers = tool.unpack_from_int32(words, bits, weight.shape).float()
    return tensors | dict(dense=(numbers - spread(zeros)) * spread(scales))


CASES = {
    "gptq.2": (gptq, 2, 64, {}),
    "gptq.3": (gptq, 3, 64, {}),
    "gptq.4": (gptq, 4, 32, {}),
    "gptq.8": (gptq, 8, 32, {}),
    "gptq.4.whole": (gptq, 4, 256, {}),
    "gptq.4.columns": (gptq, 4, 32, dict(by_activation=True)),
    "gptq.3.columns": (gptq, 3, 32, dict(by_activation=True)),
    "gptq_v2.4": (gptq, 4, 64, dict(second=True)),
    "awq.4": (awq, 4, 64, {}),
    "compressed-tensors.4": (compressed_tensors, 4, 32, {}),
    "compressed-tensors.8": (compressed_tensors, 8, 64, {}),
    "compressed-tensors.4.zeros": (compressed_tensors, 4, 64, dict(symmetric=False)),
    "compressed-tensors.4.columns": (compressed_tensors, 4, 32, dict(by_activation=True)),
}


def write_matrices():
    tensors = {}
    for name, (pack, bits, group, settings) in CASES.items():
        weight = torch.randn((32, max(group, 64)), generator=generator(51))
        weight[3] = weight[3].abs()
        parts = pack(weight, bits, group, **settings)
        error = (parts["dense"] - weight).abs().max()
        assert error < (2.0 if bits == 2 else 1.0 if bits == 3 else 0.6), (name, error)
        for part, tensor in parts.items():
            tensors[f"{name}.{part}"] = tensor.view(torch.uint32) if tensor.dtype == torch.int32 else tensor
    save_tensors(KERNELS / "zero_point.safetensors", tensors)


GPTQ_SETTINGS = dict(
    quant_method="gptq", bits=4, group_size=32, desc_act=True, sym=False, damp_percent=0.01, true_sequential=True,
    static_groups=False, checkpoint_format="gptq", model_file_base_name="model", model_name_or_path="",
)
AWQ_SETTINGS = dict(quant_method="awq", bits=4, group_size=32, zero_point=True, version="gemm", modules_to_not_convert=None)
SCHEME = dict(
    targets=["Linear"],
    input_activations=None,
    output_activations=None,
    weights=dict(num_bits=4, type="int", strategy="group", group_size=32, symmetric=True, dynamic=False, actorder=None,
                 block_structure=None, observer="minmax", observer_kwargs={}),
)
COMPRESSED_SETTINGS = dict(
    quant_method="compressed-tensors", format="pack-quantized", config_groups=dict(group_0=SCHEME), ignore=["lm_head"],
    kv_cache_scheme=None, quantization_status="compressed", global_compression_ratio=None,
)

# name: (config, seed, function, its settings, names of parts in files, configuration)
CHECKPOINTS = {
    "gptq": (wide(QWEN3), 61, gptq, dict(by_activation=True),
             dict(words="qweight", zeros="qzeros", scales="scales", groups="g_idx"), GPTQ_SETTINGS),
    "awq": (wide(LLAMA3), 62, awq, {}, dict(words="qweight", zeros="qzeros", scales="scales"), AWQ_SETTINGS),
    "compressed-tensors": (wide(LLAMA3), 63, compressed_tensors, {},
                           dict(words="weight_packed", scales="weight_scale"), COMPRESSED_SETTINGS),
}


def write_checkpoint(name):
    """Returns the model made dense."""
    config, seed, pack, settings, names, quantization = CHECKPOINTS[name]
    folder = GOLDEN / "zero-point" / name / "model"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomise(model, generator(seed))
    model.save_pretrained(folder)
    tensors, dense = load_file(folder / "model.safetensors"), model.state_dict()
    for key in [key for key in tensors if "_proj.weight" in key]:
        path, weight = key.removesuffix(".weight"), tensors.pop(key)
        parts = pack(weight, 4, 32, **settings)
        dense[key] = parts["dense"]
        tensors |= {f"{path}.{file}": parts[part] for part, file in names.items()}
        if name == "gptq":
            tensors[f"{path}.bias"] = torch.zeros(weight.shape[0], dtype=torch.float16)
        if name == "compressed-tensors":
            tensors[f"{path}.weight_shape"] = torch.tensor(weight.shape)
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata=dict(format="pt"))
    config = json.loads((folder / "config.json").read_text())
    save_json(folder / "config.json", config | dict(quantization_config=quantization))
    model.load_state_dict(dense)
    model.name_or_path = f"golden/zero-point/{name}"
    return model


def write_values(name, model):
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(10))
    prompt, greedy = discriminating_prompt(model)
    values = dict(input_ids=input_ids, logits=forward(model, input_ids), prompt=prompt, greedy=greedy)
    save_tensors(GOLDEN / "zero-point" / name / "golden.safetensors", values)


def write_training(model):
    folder = GOLDEN / "zero-point/gptq/train"
    torch.manual_seed(30)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    model.get_input_embeddings().padding_idx = None
    adapted = get_peft_model(model, config)
    save_adapter(adapted, folder / "initial_adapter")
    batches = training.make_batches()
    save_tensors(folder / "batches.safetensors", batches)
    losses, norms = training.train(adapted, zip(batches["input_ids"], batches["labels_full"]))
    save_adapter(adapted, folder / "final_adapter_full")
    save_json(folder / "losses.json", dict(full=losses, full_grad_norm=norms))


if __name__ == "__main__":
    TOOLS = {tool: owned(Path(sys.argv[1]), *tool) for tool in (GPTQ, AWQ, COMPRESSED_TENSORS)}
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    write_matrices()
    for name in CHECKPOINTS:
        model = write_checkpoint(name)
        write_values(name, model)
        if name == "gptq":
            write_training(model)
