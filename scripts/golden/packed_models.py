"""Tiny checkpoints whose matrices are packed, the values that they compute when they are made dense, and LoRA training
on them.

Writes, for each <name> of CHECKPOINTS:

    <name>/model/               config.json, model.safetensors: as transformers and bitsandbytes save them, or (fp8) as
                                published ones are
    <name>/golden.safetensors   input_ids, logits, prompt, greedy as models.py has them, of the model made dense by the
                                tool that packed it
    <name>/train/               as training.py has it: PEFT on bitsandbytes' own layers, or (fp8, int8) on dense ones

bitsandbytes' layers round activations to 8 bits in `int8`; elsewhere they are compared with the dense ones here.
"""

import copy
import json

import bitsandbytes as bnb
import torch
import training
from checkpoints import LLAMA3, QWEN3
from common import GOLDEN, generator, load_base, save_adapter, save_json, save_tensors
from models import N_VOCAB, discriminating_prompt, forward, randomise
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

PLAIN = "model.layers.1.mlp.up_proj"
NF4 = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.float32,
    llm_int8_skip_modules=["lm_head", PLAIN],
)
FP4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_compute_dtype=torch.float32)
INT8 = BitsAndBytesConfig(load_in_8bit=True)
# Blocks that do not divide the sizes.
BLOCK = (24, 20)
E4M3 = torch.float8_e4m3fn


def wide(config):
    """Rows of at least a block: bitsandbytes 0.50.2's kernel for CPUs takes wrong scales where a row is shorter."""
    config = copy.deepcopy(config)
    config.hidden_size = 64
    config.head_dim = 16
    return config


# name: (config, seed, how it is packed)
CHECKPOINTS = {
    "bnb-nf4": (wide(QWEN3), 41, NF4),
    "bnb-fp4": (wide(LLAMA3), 42, FP4),
    "bnb-int8": (LLAMA3, 43, INT8),
    "fp8": (LLAMA3, 44, None),
}
TRAINED = {
    "bnb-nf4": dict(r=4, lora_alpha=8, target_modules="all-linear"),
    "fp8": dict(r=4, lora_alpha=8, target_modules="all-linear"),
}


def write_all():
    for name, (config, seed, how) in CHECKPOINTS.items():
        write_checkpoint(name, config, seed, how)
        write_values(name)
        if name in TRAINED:
            write_training(name)


def write_checkpoint(name, config, seed, how):
    folder = GOLDEN / name / "model"
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, generator(seed))
    model.save_pretrained(folder)
    match how:
        case None:
            pack_fp8(folder)
        case how:
            packed = AutoModelForCausalLM.from_pretrained(folder, quantization_config=how, dtype=torch.float32)
            packed.save_pretrained(folder)


def pack_fp8(folder):
    """As fine-grained FP8 checkpoints are: the linear layers of blocks, with `weight_scale_inv` beside each."""
    tensors = load_file(folder / "model.safetensors")
    for name, weight in list(tensors.items()):
        if "_proj." in name:
            tensors[name], tensors[f"{name}_scale_inv"] = fp8(weight)
    save_file(tensors, folder / "model.safetensors", metadata=dict(format="pt"))
    settings = dict(
        activation_scheme="dynamic",
        fmt="e4m3",
        modules_to_not_convert=["lm_head"],
        quant_method="fp8",
        weight_block_size=list(BLOCK),
    )
    config = json.loads((folder / "config.json").read_text())
    save_json(folder / "config.json", config | dict(quantization_config=settings))


def fp8(weight):
    scales = torch.stack([torch.stack([b.abs().max() for b in rows.split(BLOCK[1], 1)]) for rows in weight.split(BLOCK[0])])
    scales = scales / torch.finfo(E4M3).max
    return (weight / spread(scales, weight)).to(E4M3), scales


def spread(scales, weight):
    """A scale for each number."""
    rows = scales.repeat_interleave(BLOCK[0], 0)[: weight.shape[0]]
    return rows.repeat_interleave(BLOCK[1], 1)[:, : weight.shape[1]]


def packed(name):
    """The model with bitsandbytes' layers. Its kernel for some processors computes in bfloat16."""
    model = load_base(name)
    for layer in model.modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            layer.support_avx512bf16_for_cpu = False
    return model


def dense(name):
    """The model with plain layers, whose weights are what the packed ones stand for."""
    config, _, how = CHECKPOINTS[name]
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    model.name_or_path = f"golden/{name}"
    if how is None:
        tensors = load_file(GOLDEN / name / "model/model.safetensors")
        of = lambda key: tensors[key].float() * spread(tensors[f"{key}_scale_inv"], tensors[key])
        values = {key: of(key) if f"{key}_scale_inv" in tensors else tensors[key] for key in tensors}
        values = {key: value for key, value in values.items() if not key.endswith("_scale_inv")}
    else:
        values = unpacked(packed(name))
    model.load_state_dict(values)
    return model


def unpacked(model):
    """The state of a model of bitsandbytes, made dense by it."""
    values = {key: value for key, value in model.state_dict().items()}
    kept = {key: value for key, value in values.items() if value.is_floating_point() and "quant" not in key}
    kept = {key: value for key, value in kept.items() if not key.endswith(("absmax", "SCB"))}
    for path, layer in model.named_modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            kept[f"{path}.weight"] = bnb.functional.dequantize_4bit(layer.weight, layer.weight.quant_state)
        if isinstance(layer, bnb.nn.Linear8bitLt):
            rows = layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB
            kept[f"{path}.weight"] = bnb.functional.int8_vectorwise_dequant(layer.weight.data, rows)
    return kept


def is_four_bits(name):
    how = CHECKPOINTS[name][2]
    return how is not None and how.load_in_4bit


def write_values(name):
    model = dense(name)
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(10))
    logits = forward(model, input_ids)
    if is_four_bits(name):
        difference = (forward(packed(name), input_ids) - logits).abs().max()
        assert difference < 1e-3, difference
    prompt, greedy = discriminating_prompt(model)
    values = dict(input_ids=input_ids, logits=logits, prompt=prompt, greedy=greedy)
    save_tensors(GOLDEN / name / "golden.safetensors", values)


def write_training(name):
    folder = GOLDEN / name / "train"
    base = lambda: packed(name) if is_four_bits(name) else dense(name)
    torch.manual_seed(30)
    config = LoraConfig(**TRAINED[name], lora_dropout=0.0, task_type="CAUSAL_LM")
    save_adapter(get_peft_model(base(), config), folder / "initial_adapter")
    batches = training.make_batches()
    save_tensors(folder / "batches.safetensors", batches)
    model = PeftModel.from_pretrained(base(), folder / "initial_adapter", is_trainable=True)
    losses, norms = training.train(model, zip(batches["input_ids"], batches["labels_full"]))
    save_adapter(model, folder / "final_adapter_full")
    save_json(folder / "losses.json", dict(full=losses, full_grad_norm=norms))
