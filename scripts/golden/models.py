"""Tiny random checkpoints, an adapter for each, and the values both compute.

Writes, for each <name> of NAMES:

    <name>/model/               config.json, generation_config.json, *.safetensors
    <name>/fused/               qwen3_moe: the same with all experts of a block in two tensors
    <name>/adapter/             written by PEFT; A and B random, not zero
    <name>/golden.safetensors   B = 2, T = 40, V = 96
        input_ids       (B, T) i64
        logits          (B, T, V) f32   base model, no padding
        adapter_logits  (B, T, V) f32   base model with adapter/
        prompt          (12) i64
        greedy          (32) i64        argmax continuation of prompt, EOS ignored
    <name>/gradients.safetensors        of the adapter, at the same input_ids
        labels          (B, T) i64      -100 where not trained
        loss            () f32          mean over the trained tokens
        grad.<key>      of each tensor of the adapter, keyed as in its file

The configurations are in checkpoints.py. Everything is computed in float32 with plain ("eager") attention.
"""

import json

import torch
from adapters import ADAPTERS, DEFAULT
from checkpoints import CHECKPOINTS, LLAMA3_ROPE, N_VOCAB
from common import GOLDEN, generator, load_base, save_adapter, save_json, save_tensors
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

NAMES = list(CHECKPOINTS)
IGNORED = -100


def write(name):
    write_checkpoint(name)
    if name == "llama3":
        write_transformers4_config(GOLDEN / name / "model")
    if name == "qwen3_moe":
        write_fused(name)
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
    save_tensors(GOLDEN / name / "gradients.safetensors", gradients(name, input_ids))


def write_checkpoint(name):
    config, seed, dtype, max_shard_size = CHECKPOINTS[name]
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, generator(seed))
    model.to(dtype).save_pretrained(GOLDEN / name / "model", max_shard_size=max_shard_size)


def write_fused(name):
    """The same checkpoint with all experts of a block in two tensors, as transformers 5 has them in memory."""
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / name / "model")
    model.save_pretrained(GOLDEN / name / "fused", save_original_format=False)


@torch.no_grad()
def randomise(model, rng):
    """Weights and biases of std 0.2, and norms about what they start as, 1 or (where 1 is added) 0: large enough
    that a wrong op shows in the logits."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=rng)
        parameter.copy_(parameter + 0.1 * noise if "norm" in name else 0.2 * noise)


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
    model = get_peft_model(base, LoraConfig(**ADAPTERS.get(name, DEFAULT), task_type="CAUSAL_LM")).eval()
    rng = generator(20)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    save_adapter(model, GOLDEN / name / "adapter")
    return model


def gradients(name, input_ids):
    """The loss of some of the tokens with the adapter, and its gradients."""
    model = PeftModel.from_pretrained(load_base(name), GOLDEN / name / "adapter", is_trainable=True)
    labels = input_ids.masked_fill(torch.arange(input_ids.shape[1]) < torch.tensor([[5], [13]]), IGNORED)
    loss = model(input_ids=input_ids, labels=labels, use_cache=False).loss
    loss.backward()
    trained = ((key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad)
    named = {f"grad.{key.replace('.default', '')}": parameter.grad for key, parameter in trained}
    return dict(labels=labels, loss=loss) | named
