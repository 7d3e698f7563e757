"""gpt-oss as mlx-lm has it; make_mlx.py calls it. mlx-lm rounds the ends of yarn's ramp whatever `truncate` says, so that
these say it.

    mlx-gpt-oss/model/         experts of mxfp4, but for a layer of 4 bits; other layers of 4 bits in groups of 32, routers of 8
                               bits in groups of 64
    mlx-gpt-oss-float/model/   the same before it is quantized
    <both>/golden.safetensors  input_ids, logits, prompt, greedy as in make_mlx.py
"""

import mlx.core as mx
from mlx_experts import N_VOCAB, filled, save
from mlx_lm.models.gpt_oss import Model, ModelArgs
from mlx_lm.utils import quantize_model

NAME = "mlx-gpt-oss"
AFFINE_EXPERTS = "model.layers.1.mlp.experts.down_proj"
CONFIG = dict(
    model_type="gpt_oss",
    hidden_size=64,
    num_hidden_layers=2,
    intermediate_size=96,
    num_local_experts=3,
    num_experts_per_tok=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=24,
    rms_norm_eps=1e-5,
    vocab_size=N_VOCAB,
    max_position_embeddings=128,
    sliding_window=7,
    rope_theta=150_000,
    rope_scaling=dict(
        rope_type="yarn",
        factor=4.0,
        original_max_position_embeddings=32,
        beta_fast=32.0,
        beta_slow=1.0,
        truncate=True,
    ),
    tie_word_embeddings=False,
    eos_token_id=95,
    torch_dtype="float32",
)


def write(continue_greedily):
    mx.random.seed(11)
    model = filled(Model(ModelArgs.from_dict(CONFIG)))
    save_seeded(model, CONFIG, f"{NAME}-float", continue_greedily)
    model, config = quantize_model(model, CONFIG, None, None, mode="mxfp4", quant_predicate=packing(model))
    save_seeded(model, config, NAME, continue_greedily)


def save_seeded(*saved):
    """Both are asked the same."""
    mx.random.seed(12)
    save(*saved)


def packing(model):
    """mlx-lm's own choice, but for what is no expert."""

    def of(path, layer):
        theirs = model.quant_predicate(path, layer)
        is_expert = ".experts." in path and path != AFFINE_EXPERTS
        return theirs if theirs is not True or is_expert else dict(group_size=32, bits=4, mode="affine")

    return of
