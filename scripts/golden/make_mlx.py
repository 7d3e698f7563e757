"""Regenerates what MLX and mlx-lm compute, under tests/golden/ of the crates:

    pip install -r scripts/golden/requirements-mlx.txt
    python scripts/golden/make_mlx.py

kernels: affine.safetensors, a matrix (4, 256) f32 and, for each of BITS and GROUPS,

    <bits>.<group>.{words,scales,biases}    mx.quantize
    <bits>.<group>.dense                    mx.dequantize, f32

microscaling.safetensors, the same matrix and, for each of SMALL_FLOATS,

    <mode>.{words,scales}                   mx.quantize
    <mode>.dense                            mx.dequantize, f32

metal-candle: mlx-4bit/, a qwen3 with 4 bits in groups of 32, whose head has 8 bits in groups of 64, and mlx-mxfp4/,
one with mxfp4, whose head is mxfp8 and whose layer MIXED is nvfp4; one layer of each is not quantized:

    model/               config.json, model.safetensors as mlx-lm saves them
    golden.safetensors   B = 2, T = 24, V = 96
        input_ids (B, T) i64;  logits (B, T, V) f32
        bounded.<n> (T, V) f32              logits of the first row with a cache of n tokens (`max_kv_size`), for each of BOUNDS: the
                                            tokens come as CHUNKS say, and then one by one
        prompt (12) i64;  greedy (24) i64   argmax continuation
        targets (B, T) i64      -100 where not trained
        loss () f32             mean over the trained tokens, with the adapter below
        <path>.lora_{A,B}.weight            an adapter in PEFT's shapes, scale 2
        grad.<path>.lora_{A,B}.weight       its gradients of the loss
        steps (S, B, T) i64;  losses (S) f32    that of each batch (all tokens trained) before a step of AdamW on the
                                                adapter, gradients clipped to a norm of 1

mlx-4bit/caches/{whole,bounded,quantized}.safetensors: keys and values of the first N_KEPT tokens of the first row as
mlx_lm.cache_prompt writes them: of all tokens, with a `max_kv_size` of 8, and in 8 bits and groups of 32. For the last,
golden.safetensors has `quantized` (T - N_KEPT, V), logits of the other tokens behind the numbers that its bits stand for.

mlx-experts/: see mlx_experts.py.

mlx-gpt-oss/, mlx-gpt-oss-float/: see mlx_gpt_oss.py.

mlx-adapters/: see adapter_mlx.py.

sampling.json: see mlx_sampling.py.

cli: mlx_lm/: see mlx_lm_train.py.

Everything is computed on the CPU in float32.
"""

import json
import shutil
from itertools import accumulate, pairwise
from pathlib import Path

import adapter_mlx
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import mlx_experts
import mlx_gpt_oss
import mlx_lm_train
import mlx_sampling
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache, make_prompt_cache, save_prompt_cache
from mlx_lm.models.qwen3 import Model, ModelArgs
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.utils import quantize_model, save_config, save_model

CRATES = Path(__file__).resolve().parents[2] / "crates"
BITS, GROUPS = (2, 3, 4, 5, 6, 8), (32, 64, 128)
SMALL_FLOATS = ("mxfp4", "mxfp8", "nvfp4")
N_VOCAB, N_TOKENS, IGNORED = 96, 24, -100
CONFIG = dict(
    model_type="qwen3",
    hidden_size=64,
    num_hidden_layers=2,
    intermediate_size=128,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    rms_norm_eps=1e-6,
    vocab_size=N_VOCAB,
    max_position_embeddings=128,
    rope_theta=1_000_000.0,
    tie_word_embeddings=False,
    eos_token_id=95,
    torch_dtype="float32",
)
PLAIN = "model.layers.1.mlp.up_proj"
MIXED = "model.layers.0.mlp.down_proj"
N_STEPS = 10
BOUNDS, CHUNKS = (5, 8, 16), (9, 3)
N_KEPT = 13
ADAPTED = ("q_proj", "up_proj", "down_proj")
R, SCALE = 4, 2.0


def odd_matrix():
    matrix = mx.random.normal((4, 256), key=mx.random.key(1))
    # Groups whose largest number is negative, all equal, and zero.
    matrix[1] = -mx.abs(matrix[1])
    matrix[2, :128] = 0.75
    matrix[3, 128:] = 0.0
    return matrix


def write_affine(path):
    matrix = odd_matrix()
    tensors = {"matrix": matrix}
    for bits in BITS:
        for group in GROUPS:
            packed = mx.quantize(matrix, group_size=group, bits=bits)
            named = zip(("words", "scales", "biases"), packed)
            tensors |= {f"{bits}.{group}.{name}": tensor for name, tensor in named}
            tensors[f"{bits}.{group}.dense"] = mx.dequantize(*packed, group_size=group, bits=bits)
    save(path, tensors)


def write_microscaling(path):
    matrix = odd_matrix()
    tensors = {"matrix": matrix}
    for mode in SMALL_FLOATS:
        words, scales = mx.quantize(matrix, mode=mode)
        tensors |= {f"{mode}.words": words, f"{mode}.scales": scales}
        tensors[f"{mode}.dense"] = mx.dequantize(words, scales, mode=mode, dtype=mx.float32)
    save(path, tensors)


def save(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(path), tensors)


def quantized_model(mode, special):
    mx.random.seed(2)
    model = Model(ModelArgs.from_dict(CONFIG))
    for path, parameter in tree_flatten(model.parameters()):
        noise = mx.random.normal(parameter.shape)
        value = 1 + 0.1 * noise if "norm" in path else 0.2 * noise
        model.load_weights([(path, value)], strict=False)
    choose = lambda path, _: special.get(path, path != PLAIN)
    return quantize_model(model, CONFIG, 32, 4, mode=mode, quant_predicate=choose)


# folder: (mode, what is quantized in another way)
MODELS = {
    "mlx-4bit": ("affine", {"lm_head": dict(group_size=64, bits=8)}),
    "mlx-mxfp4": (
        "mxfp4",
        {
            "lm_head": dict(group_size=32, bits=8, mode="mxfp8"),
            MIXED: dict(group_size=16, bits=4, mode="nvfp4"),
        },
    ),
}


def add_adapter(model):
    """LoRA with random factors on some layers; by path, the layers."""
    adapted = {}
    for i, block in enumerate(model.model.layers):
        for part in ("self_attn", "mlp"):
            for name, layer in getattr(block, part).children().items():
                if name in ADAPTED:
                    lora = LoRALinear.from_base(layer, r=R, scale=SCALE)
                    lora.lora_a = 0.2 * mx.random.normal(lora.lora_a.shape)
                    lora.lora_b = 0.2 * mx.random.normal(lora.lora_b.shape)
                    setattr(getattr(block, part), name, lora)
                    adapted[f"model.layers.{i}.{part}.{name}"] = lora
    model.freeze()
    for lora in adapted.values():
        lora.unfreeze(keys=["lora_a", "lora_b"], recurse=False)
    return adapted


def mean_loss(model, input_ids, targets):
    logits = model(input_ids)[:, :-1]
    trained = targets[:, 1:] != IGNORED
    losses = nn.losses.cross_entropy(logits, mx.where(trained, targets[:, 1:], 0))
    return (losses * trained).sum() / trained.sum()


def write_model(folder, mode, special):
    shutil.rmtree(folder, ignore_errors=True)
    model, config = quantized_model(mode, special)
    save_model(folder / "model", model)
    save_config(config, folder / "model/config.json")
    (folder / "model/model.safetensors.index.json").unlink()
    input_ids = mx.random.randint(0, N_VOCAB, (2, N_TOKENS))
    targets = mx.where(mx.arange(N_TOKENS) < mx.array([[5], [9]]), IGNORED, input_ids)
    prompt = mx.random.randint(0, N_VOCAB, (12,))
    tensors = dict(input_ids=input_ids, targets=targets, prompt=prompt)
    tensors["logits"] = model(input_ids)
    tensors |= {f"bounded.{n}": bounded_logits(model, input_ids[0], n) for n in BOUNDS}
    tensors["greedy"] = continue_greedily(model, prompt, 24)
    if mode == "affine":
        tensors["quantized"] = write_prompt_caches(folder / "caches", model, input_ids[0])
    adapted = add_adapter(model)
    tensors["loss"], gradients = nn.value_and_grad(model, mean_loss)(model, input_ids, targets)
    gradients = dict(tree_flatten(gradients))
    for path, lora in adapted.items():
        for ours, theirs in (("A", "lora_a"), ("B", "lora_b")):
            # What `train` changes later.
            tensors[f"{path}.lora_{ours}.weight"] = mx.array(getattr(lora, theirs).T)
            tensors[f"grad.{path}.lora_{ours}.weight"] = gradients[f"{path}.{theirs}"].T
    tensors["steps"] = mx.random.randint(0, N_VOCAB, (N_STEPS, 2, N_TOKENS))
    tensors["losses"] = train(model, tensors["steps"])
    whole = ("input_ids", "targets", "prompt", "greedy", "steps")
    tensors |= {name: tensors[name].astype(mx.int64) for name in whole}
    save(folder / "golden.safetensors", {name: mx.contiguous(tensor) for name, tensor in tensors.items()})


def bounded_logits(model, ids, max_kv_size):
    cache, logits = make_prompt_cache(model, max_kv_size), []
    ends = [*accumulate(CHUNKS)]
    ends += range(ends[-1] + 1, len(ids) + 1)
    for start, end in pairwise([0, *ends]):
        logits.append(model(ids[None, start:end], cache=cache)[0])
    return mx.concatenate(logits)


def write_prompt_caches(folder, model, ids):
    folder.mkdir()
    info = dict(model="mlx-4bit", tokenizer_config="{}")
    first, rest = ids[None, :N_KEPT], ids[None, N_KEPT:]
    whole, bounded = make_prompt_cache(model), make_prompt_cache(model, 8)
    model(first, cache=whole)
    save_prompt_cache(str(folder / "whole.safetensors"), whole, info)
    for start, end in pairwise([0, *accumulate(CHUNKS), N_KEPT]):
        model(first[:, start:end], cache=bounded)
    save_prompt_cache(str(folder / "bounded.safetensors"), bounded, info)
    quantized = [cache.to_quantized(group_size=32, bits=8) for cache in whole]
    save_prompt_cache(str(folder / "quantized.safetensors"), quantized, info)
    dense = [KVCache() for _ in quantized]
    for packed, cache in zip(quantized, dense, strict=True):
        parts = [mx.dequantize(*part, group_size=32, bits=8) for part in (packed.keys, packed.values)]
        cache.update_and_fetch(*[part[:, :, :N_KEPT] for part in parts])
    return model(rest, cache=dense)[0]


def train(model, steps):
    optimizer = optimizers.AdamW(learning_rate=1e-2, weight_decay=0.01, bias_correction=True)
    losses = []
    for input_ids in steps:
        loss, gradients = nn.value_and_grad(model, mean_loss)(model, input_ids, input_ids)
        gradients, _ = optimizers.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(loss)
    return mx.stack(losses)


def continue_greedily(model, prompt, n_new):
    ids, smallest = prompt, float("inf")
    for _ in range(n_new):
        logits = model(ids[None])[0, -1]
        second, first = mx.sort(logits)[-2:].tolist()
        smallest = min(smallest, first - second)
        ids = mx.concatenate([ids, logits.argmax(keepdims=True)])
    assert smallest > 1e-3, smallest
    return ids[len(prompt) :]


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    write_affine(CRATES / "kernels/tests/golden/affine.safetensors")
    write_microscaling(CRATES / "kernels/tests/golden/microscaling.safetensors")
    for name, (mode, special) in MODELS.items():
        write_model(CRATES / "metal-candle/tests/golden" / name, mode, special)
    mlx_experts.write(continue_greedily)
    mlx_gpt_oss.write(continue_greedily)
    adapter_mlx.write_all()
    mlx_lm_train.main()
    mlx_sampling.main()
