"""Tiny random checkpoints, an adapter for each, and the values both compute.

Writes, for each <name> of NAMES:

    <name>/model/               config.json, generation_config.json, *.safetensors
    <name>/adapter/             written by PEFT; A and B random, not zero
    <name>/golden.safetensors   B = 2, T = 40, V = 96
        input_ids       (B, T) i64
        logits          (B, T, V) f32   base model, no padding
        adapter_logits  (B, T, V) f32   base model with adapter/
        prompt          (12) i64
        greedy          (32) i64        argmax continuation of prompt, EOS ignored

Everything is computed in float32 with plain ("eager") attention.
"""

import json

import torch
from adapters import ADAPTERS
from common import GOLDEN, generator, load_base, save_adapter, save_json, save_tensors
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

N_VOCAB = 96
SHAPE = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=64,
    vocab_size=N_VOCAB,
    max_position_embeddings=512,
)
# The original length is shorter than T, so that the scaled frequencies show in the logits.
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=10_000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
QWEN2 = Qwen2Config(
    **SHAPE,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    eos_token_id=[94, 95],
    pad_token_id=93,
)
QWEN3 = Qwen3Config(
    **SHAPE | {"num_hidden_layers": 3},
    head_dim=16,
    tie_word_embeddings=False,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    eos_token_id=95,
)
LLAMA3 = LlamaConfig(
    **SHAPE,
    tie_word_embeddings=False,
    rope_parameters=LLAMA3_ROPE,
    rms_norm_eps=1e-5,
    bos_token_id=93,
    eos_token_id=[94, 95],
)
MISTRAL = MistralConfig(
    **SHAPE,
    head_dim=12,
    sliding_window=None,
    tie_word_embeddings=False,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    rms_norm_eps=1e-5,
    bos_token_id=93,
    eos_token_id=95,
)
# name: (config, seed of the weights, dtype on disk, largest shard)
CHECKPOINTS = {
    "qwen2": (QWEN2, 1, torch.float32, "5GB"),
    "qwen3": (QWEN3, 2, torch.float32, "64KB"),
    "llama3": (LLAMA3, 3, torch.float32, "5GB"),
    "mistral": (MISTRAL, 5, torch.float32, "5GB"),
    "qwen2-bf16": (QWEN2, 4, torch.bfloat16, "5GB"),
}
NAMES = list(CHECKPOINTS)


def write(name):
    write_checkpoint(name)
    if name == "llama3":
        write_transformers4_config(GOLDEN / name / "model")
    model = load_base(name)
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(10))
    logits = forward(model, input_ids)
    prompt, greedy = discriminating_prompt(model)
    adapter_logits = forward(write_adapter(name, model), input_ids)
    assert (adapter_logits - logits).abs().mean() > 0.1, "the adapter hardly changes the logits"
    save_tensors(
        GOLDEN / name / "golden.safetensors",
        dict(input_ids=input_ids, logits=logits, adapter_logits=adapter_logits, prompt=prompt, greedy=greedy),
    )


def write_checkpoint(name):
    config, seed, dtype, max_shard_size = CHECKPOINTS[name]
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, generator(seed))
    model.to(dtype).save_pretrained(GOLDEN / name / "model", max_shard_size=max_shard_size)


@torch.no_grad()
def randomise(model, rng):
    """Weights and biases of std 0.2 and norms about 1: large enough that a wrong op shows in the logits."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=rng)
        parameter.copy_(1 + 0.1 * noise if "norm" in name else 0.2 * noise)


def write_transformers4_config(folder):
    """The same configuration as transformers 4 spells it, which most published checkpoints still do."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["torch_dtype"] = config.pop("dtype")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    config["transformers_version"] = "4.46.0"
    save_json(folder / "config.transformers4.json", dict(sorted(config.items())))
    assert LlamaConfig.from_json_file(folder / "config.transformers4.json").rope_parameters == LLAMA3_ROPE


@torch.no_grad()
def forward(model, input_ids):
    """(B, T) -> (B, T, V)"""
    return model(input_ids=input_ids, use_cache=False).logits


def discriminating_prompt(model, n_prompt=12, n_new=32):
    """The first seeded prompt whose greedy continuation is clear at each step, and varied."""
    for seed in range(100, 200):
        prompt = torch.randint(N_VOCAB, (n_prompt,), generator=generator(seed))
        greedy, margin = continue_greedily(model, prompt, n_new)
        if margin > 1e-3 and len(set(greedy.tolist())) >= 8:
            return prompt, greedy
    raise RuntimeError("no prompt gives a clear and varied continuation")


def continue_greedily(model, prompt, n_new):
    """The continuation (n_new), and the smallest lead of a chosen token's logit over the second best."""
    ids, margin = prompt, float("inf")
    for _ in range(n_new):
        top = forward(model, ids[None])[0, -1].topk(2)
        margin = min(margin, (top.values[0] - top.values[1]).item())
        ids = torch.cat([ids, top.indices[:1]])
    return ids[len(prompt) :], margin


def write_adapter(name, base):
    """Wraps `base` in its adapter, with random A and B, and saves that."""
    model = get_peft_model(base, LoraConfig(**ADAPTERS[name], task_type="CAUSAL_LM")).eval()
    rng = generator(20)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    save_adapter(model, GOLDEN / name / "adapter")
    return model
