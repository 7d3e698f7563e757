"""Adapter folders as they are in the world, for the checkpoint llama3, and what PEFT computes with them.

Writes, for each <case> of CASES:

    adapter-files/<case>/           written by PEFT, adapter_config.json edited by the case; A and B random, not zero,
                                    magnitudes of DoRA not those of the rows
    adapter-files/golden.safetensors
        input_ids    (B, T) i64     B = 2, T = 40
        <case>       (B, V) f32     logits of the last token, V = 96, of the folder as PEFT loads it
"""

import json
import warnings

import torch
from common import GOLDEN, generator, load_base, save_tensors
from models import N_VOCAB, forward
from peft import LoraConfig, MontecloraConfig, PeftModel, VeloraConfig, get_peft_model

BASE = "llama3"
EVA = dict(rho=2.0, tau=0.99, use_label_mask=True, label_mask_value=-100, whiten=False, adjust_scaling_factors=True)
# name: (LoraConfig, edits of the saved file)
CASES = {
    "look-ahead": (dict(target_modules=r"^(?!.*(?:lm_head|vision)).*\.(?=q|v)\w_proj"), {}),
    "look-behind": (dict(target_modules=r".*(?<!k)(?<!o)(?<!gate)(?<!up)(?<!down)_proj", exclude_modules=r".*layers\.(?!1).*"), {}),
    "pattern-keys": (
        dict(
            target_modules=["q_proj", "v_proj"],
            rank_pattern={r"(?!.*layers\.0).*q_proj": 1},
            alpha_pattern={"w1": 64, r".*(?<=v)_proj": 3},
        ),
        {},
    ),
    "absent-names": (
        dict(target_modules=["q_proj"], layers_to_transform=[1]),
        dict(target_modules=["query_key_value", "q_proj", "c_attn"], layers_to_transform=[1, 7], rank_pattern={"w1": 16}),
    ),
    "whole-paths": (dict(target_modules=["model.layers.0.self_attn.q_proj", "v_proj"], layers_to_transform=[1]), {}),
    "inert": (
        dict(target_modules=["q_proj"]),
        dict(
            init_lora_weights="eva",
            eva_config=EVA,
            loftq_config=dict(loftq_bits=4, loftq_iter=1),
            fan_in_fan_out=True,
            ensure_weight_tying=True,
            task_type="SEQ_2_SEQ_LM",
            revision="main",
        ),
    ),
    "corda-left-over": (dict(target_modules=["q_proj"]), dict(corda_config=dict(corda_method="kpm"), layers_to_transform=[])),
    "mica": (dict(target_modules=["q_proj"], init_lora_weights="mica"), {}),
    "velora": (dict(target_modules=["q_proj"], velora_config=VeloraConfig(num_groups=4)), {}),
    "monteclora": (dict(target_modules=["q_proj"], monteclora_config=MontecloraConfig(num_samples=2, buffer_size=2)), {}),
    "dora": (dict(target_modules="all-linear", use_dora=True), {}),
    "dora-scaled": (
        dict(target_modules=["q_proj", "down_proj"], use_dora=True, use_rslora=True, rank_pattern={"down_proj": 3}),
        {},
    ),
    "embeddings": (dict(target_modules=["q_proj"]), {}),
    "embedding": (dict(target_modules=["k_proj", "embed_tokens"]), {}),
    "head": (dict(target_modules=["up_proj", "lm_head"], use_dora=True), {}),
    "saved-embedding": (dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]), {}),
    "saved-head": (dict(target_modules=["q_proj", "lm_head"], modules_to_save=["lm_head"]), {}),
}


def write_all():
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(10))
    golden = dict(input_ids=input_ids)
    base = forward(load_base(BASE), input_ids)[:, -1]
    for name, (config, edits) in CASES.items():
        folder = GOLDEN / "adapter-files" / name
        write(folder, config, edits, with_embeddings=name == "embeddings")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fields that PEFT ignores
            golden[name] = forward(PeftModel.from_pretrained(load_base(BASE), folder).eval(), input_ids)[:, -1]
        assert (golden[name] - base).abs().mean() > 0.02, f"{name} hardly changes the logits"
    save_tensors(GOLDEN / "adapter-files" / "golden.safetensors", golden)


@torch.no_grad()
def write(folder, config, edits, with_embeddings):
    config = LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", **config)
    model = get_peft_model(load_base(BASE), config)
    rng = generator(30)
    for key, parameter in model.named_parameters():
        if any(name in key for name in (".lora_A.", ".lora_B.", ".lora_embedding_", ".modules_to_save.")):
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=rng))
        if ".lora_magnitude_vector." in key:
            parameter.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=rng))
    model.save_pretrained(folder, save_embedding_layers=with_embeddings)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edits, indent=2, sort_keys=True))
