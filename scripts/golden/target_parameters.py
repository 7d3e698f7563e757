"""Adapters of experts as PEFT has them with transformers 5: of two tensors that hold all experts (`target_parameters`).

Writes, for the checkpoints <name> of CASES:

    <name>/target-parameters/<case>/   written by PEFT; every factor random, so that experts differ
    <name>/target-parameters/golden.safetensors
        input_ids   (2, 20) i64
        <case>      (2, 20, V) f32    logits with the adapter

`converted` is qwen3_moe/adapter/, whose layers are those of single experts: PEFT reads it, with gate and upper projection as
one of twice the rank, and computes what it does on layers; but for the block without experts, whose layers of the same names
PEFT leaves out.
"""

import torch
from common import GOLDEN, generator, load_base, save_adapter, save_tensors
from models import N_VOCAB, forward
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

GATE_UP, DOWN = "mlp.experts.gate_up_proj", "mlp.experts.down_proj"
CONVERTED = "qwen3_moe"
CASES = {
    "qwen3_moe": {
        "both": dict(r=3, lora_alpha=5, target_modules=["q_proj"], target_parameters=[GATE_UP, DOWN, "mlp.gate.weight"]),
        "down": dict(r=2, lora_alpha=3, target_modules=["v_proj"], target_parameters=[DOWN], use_rslora=True),
        "gate-up": dict(
            r=2,
            lora_alpha=3,
            target_modules=["v_proj"],
            target_parameters=["gate_up_proj"],
            rank_pattern={r".*\.gate_up_proj": 4},
            alpha_pattern={r".*\.gate_up_proj": 7},
        ),
    },
    # Columns of the gate and of the upper projection alternate.
    "gpt_oss": {
        "both": dict(r=3, lora_alpha=5, target_modules=["q_proj"], target_parameters=[GATE_UP, DOWN, "mlp.router.weight"]),
        "gate-up": dict(r=2, lora_alpha=3, target_modules=["v_proj"], target_parameters=[GATE_UP]),
    },
}


def write_all():
    for name in CASES:
        write(name)


def write(base):
    folder = GOLDEN / base / "target-parameters"
    input_ids = torch.randint(N_VOCAB, (2, 20), generator=generator(60))
    golden = dict(input_ids=input_ids)
    for name, settings in CASES[base].items():
        model = get_peft_model(load_fused(base), LoraConfig(**settings, task_type="CAUSAL_LM")).eval()
        rng = generator(61)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_" in key:
                    parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
        save_adapter(model, folder / name)
        golden[name] = forward(model, input_ids)
    if base == CONVERTED:
        golden["converted"] = write_converted(folder, input_ids)
    save_tensors(folder / "golden.safetensors", golden)


def write_converted(folder, input_ids):
    adapter = GOLDEN / CONVERTED / "adapter"
    model = PeftModel.from_pretrained(load_fused(CONVERTED), adapter).eval()
    save_adapter(model, folder / "converted")
    logits = forward(model, input_ids)
    layers = PeftModel.from_pretrained(load_base(CONVERTED), adapter).eval()
    leave_out_plain_block(layers)
    assert (logits - forward(layers, input_ids)).abs().max() < 1e-4
    return logits


@torch.no_grad()
def leave_out_plain_block(model):
    for key, parameter in model.named_parameters():
        if "layers.1.mlp" in key and "lora_B" in key:
            parameter.zero_()


def load_fused(name):
    path = GOLDEN / name / "model"
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = f"golden/{name}"
    return model.eval()
