"""gpt-oss with experts of mxfp4, as OpenAI published it: gpt-oss-mxfp4/. make.py calls it.

    model/               config.json, model.safetensors: experts in blocks and scales, every byte of a block random
    golden.safetensors   input_ids, logits, prompt, greedy as models.py has them, of the model that transformers makes dense
        dense.<name>     (E, D, 2I) or (E, I, D) f32    the experts of a block as it makes them
    train/               as training.py has it: PEFT on the dense model, experts as linear layers
"""

import json

import torch
import training
from checkpoints import ODD, rope
from common import GOLDEN, generator, save_adapter, save_json, save_tensors
from experts import unfuse
from models import N_VOCAB, discriminating_prompt, forward, randomise
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig, Mxfp4Config

NAME = "gpt-oss-mxfp4"
CONFIG = GptOssConfig(
    **ODD | dict(num_hidden_layers=2, hidden_size=64, intermediate_size=96),
    head_dim=10,
    num_local_experts=3,
    num_experts_per_tok=2,
    sliding_window=7,
    rope_parameters=rope("yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=8.0, truncate=False),
)
QUANTIZATION = dict(
    quant_method="mxfp4",
    modules_to_not_convert=["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
)
ADAPTER = dict(r=2, lora_alpha=4, target_modules="all-linear")


def write_all():
    write_checkpoint()
    model = dense()
    names = [name for name in model.state_dict() if name.startswith("model.layers.0.mlp.experts.") and "bias" not in name]
    values = {f"dense.{name}": model.state_dict()[name].clone() for name in names}
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(10))
    prompt, greedy = discriminating_prompt(model)
    values |= dict(input_ids=input_ids, logits=forward(model, input_ids), prompt=prompt, greedy=greedy)
    save_tensors(GOLDEN / NAME / "golden.safetensors", values)
    write_training()


def write_checkpoint():
    folder, rng = GOLDEN / NAME / "model", generator(45)
    model = AutoModelForCausalLM.from_config(CONFIG)
    randomise(model, rng)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        n_experts, width, rows = tensors.pop(name).shape
        blocks = (n_experts, rows, width // 32)
        tensors[f"{name}_blocks"] = torch.randint(256, (*blocks, 16), generator=rng, dtype=torch.uint8)
        tensors[f"{name}_scales"] = torch.randint(121, 125, blocks, generator=rng, dtype=torch.uint8)
    save_file(tensors, folder / "model.safetensors", metadata=dict(format="pt"))
    config = json.loads((folder / "config.json").read_text())
    save_json(folder / "config.json", config | dict(quantization_config=QUANTIZATION))


def dense():
    model = AutoModelForCausalLM.from_pretrained(
        GOLDEN / NAME / "model",
        dtype=torch.float32,
        attn_implementation="eager",
        quantization_config=Mxfp4Config(dequantize=True),
    )
    model.name_or_path = f"golden/{NAME}"
    return model.float().eval()


def write_training():
    folder = GOLDEN / NAME / "train"
    base = lambda: unfuse(dense())
    torch.manual_seed(30)
    save_adapter(get_peft_model(base(), LoraConfig(**ADAPTER, task_type="CAUSAL_LM")), folder / "initial_adapter")
    batches = training.make_batches()
    save_tensors(folder / "batches.safetensors", batches)
    model = PeftModel.from_pretrained(base(), folder / "initial_adapter", is_trainable=True)
    losses, norms = training.train(model, zip(batches["input_ids"], batches["labels_full"]))
    save_adapter(model, folder / "final_adapter_full")
    save_json(folder / "losses.json", dict(full=losses, full_grad_norm=norms))
