"""The tiny checkpoints of models.py: of every family one whose switches are all on, and whose sizes are odd.

Windows and original lengths are shorter than the texts, so that they show in the logits.
"""

import torch
from transformers import (
    Ernie4_5Config,
    Gemma2Config,
    Gemma3TextConfig,
    Glm4Config,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

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
ODD = SHAPE | dict(
    hidden_size=36,
    num_hidden_layers=3,
    num_attention_heads=6,
    intermediate_size=52,
    bos_token_id=93,
    eos_token_id=95,
    pad_token_id=94,
)
# The middle block sees all of a text.
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def rope(kind="default", theta=1000.0, **settings):
    return dict(rope_type=kind, rope_theta=theta, **settings)


LLAMA3_ROPE = rope(
    "llama3",
    10_000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
QWEN2 = Qwen2Config(
    **SHAPE,
    tie_word_embeddings=True,
    rope_parameters=rope(theta=1_000_000.0),
    eos_token_id=[94, 95],
    pad_token_id=93,
)
QWEN3 = Qwen3Config(
    **SHAPE | {"num_hidden_layers": 3},
    head_dim=16,
    tie_word_embeddings=False,
    rope_parameters=rope(theta=1_000_000.0),
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
    rope_parameters=rope(theta=1_000_000.0),
    rms_norm_eps=1e-5,
    bos_token_id=93,
    eos_token_id=95,
)
SMOLLM3 = SmolLM3Config(
    **ODD,
    no_rope_layers=[1, 0, 1],
    attention_bias=True,
    mlp_bias=True,
    rope_parameters=rope(
        "yarn",
        factor=4.0,
        original_max_position_embeddings=128,
        beta_fast=20,
        beta_slow=2,
        mscale=1.3,
        mscale_all_dim=0.7,
        truncate=False,
    ),
)
GRANITE = GraniteConfig(
    **ODD,
    attention_bias=True,
    mlp_bias=True,
    embedding_multiplier=3.5,
    attention_multiplier=0.3,
    residual_multiplier=0.7,
    logits_scaling=1.7,
    tie_word_embeddings=True,
    rope_parameters=rope(),
)
# A window in every block, and texts that come to the original length.
PHI3 = Phi3Config(
    **ODD,
    original_max_position_embeddings=24,
    sliding_window=9,
    rope_parameters=rope(
        "longrope",
        original_max_position_embeddings=24,
        short_factor=[1.0, 1.3, 1.9],
        long_factor=[1.0, 4.0, 9.0],
    ),
)
# A part of each head is turned, and every text is beyond the original length.
PHI4_MINI = Phi3Config(
    **ODD | dict(num_attention_heads=3, num_key_value_heads=3),
    original_max_position_embeddings=10,
    tie_word_embeddings=True,
    rope_parameters=rope(
        "longrope",
        partial_rotary_factor=0.67,
        original_max_position_embeddings=10,
        short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[1.0, 1.5, 4.0, 9.0],
    ),
)
OLMO2 = Olmo2Config(**ODD, attention_bias=True, rope_parameters=rope())
OLMO3 = Olmo3Config(
    **ODD,
    attention_bias=True,
    sliding_window=7,
    layer_types=MIXED,
    rope_parameters=dict(
        full_attention=rope("yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=8, attention_factor=1.2),
        sliding_attention=rope(),
    ),
)
GLM4 = Glm4Config(**ODD, head_dim=12, attention_bias=True, rope_parameters=rope(partial_rotary_factor=0.5))
ERNIE4_5 = Ernie4_5Config(**ODD, head_dim=14, use_bias=True, rope_parameters=rope())
GEMMA2 = Gemma2Config(
    **ODD,
    head_dim=10,
    attention_bias=True,
    query_pre_attn_scalar=7,
    sliding_window=7,
    layer_types=MIXED,
    attn_logit_softcapping=2.0,
    final_logit_softcapping=5.0,
    tie_word_embeddings=False,
    rope_parameters=rope(),
)
GEMMA3 = Gemma3TextConfig(
    **ODD,
    head_dim=10,
    attention_bias=True,
    query_pre_attn_scalar=7,
    sliding_window=7,
    layer_types=MIXED,
    tie_word_embeddings=False,
    rope_parameters=dict(full_attention=rope("linear", 10_000.0, factor=4.0), sliding_attention=rope(theta=100.0)),
)
# The first block has a window; bounds are low enough that experts meet them.
GPT_OSS = GptOssConfig(
    **ODD | dict(num_hidden_layers=2),
    head_dim=10,
    num_local_experts=5,
    num_experts_per_tok=2,
    sliding_window=7,
    swiglu_alpha=1.3,
    swiglu_limit=0.4,
    rope_parameters=rope("yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=8.0, truncate=False),
)
# The middle block has no experts, and no expert of a token has all of its weight.
QWEN3_MOE = Qwen3MoeConfig(
    **ODD,
    head_dim=12,
    attention_bias=True,
    use_sliding_window=True,
    sliding_window=9,
    moe_intermediate_size=20,
    num_experts=5,
    num_experts_per_tok=2,
    mlp_only_layers=[1],
    norm_topk_prob=False,
    rope_parameters=rope(),
)
MIXTRAL = MixtralConfig(**ODD, num_local_experts=4, num_experts_per_tok=3, sliding_window=None, rope_parameters=rope())
# name: (config, seed of the weights, dtype on disk, largest shard)
CHECKPOINTS = {
    "qwen2": (QWEN2, 1, torch.float32, "5GB"),
    "qwen3": (QWEN3, 2, torch.float32, "64KB"),
    "llama3": (LLAMA3, 3, torch.float32, "5GB"),
    "mistral": (MISTRAL, 5, torch.float32, "5GB"),
    "smollm3": (SMOLLM3, 6, torch.float32, "5GB"),
    "granite": (GRANITE, 7, torch.float32, "5GB"),
    "phi3": (PHI3, 8, torch.float32, "5GB"),
    "phi4-mini": (PHI4_MINI, 9, torch.float32, "5GB"),
    "olmo2": (OLMO2, 10, torch.float32, "5GB"),
    "olmo3": (OLMO3, 15, torch.float32, "5GB"),
    "glm4": (GLM4, 12, torch.float32, "5GB"),
    "ernie4_5": (ERNIE4_5, 16, torch.float32, "5GB"),
    "gemma2": (GEMMA2, 13, torch.float32, "5GB"),
    "gemma3": (GEMMA3, 14, torch.float32, "5GB"),
    "qwen3_moe": (QWEN3_MOE, 17, torch.float32, "64KB"),
    "mixtral": (MIXTRAL, 18, torch.float32, "5GB"),
    "gpt_oss": (GPT_OSS, 19, torch.float32, "5GB"),
    "qwen2-bf16": (QWEN2, 4, torch.bfloat16, "5GB"),
}
