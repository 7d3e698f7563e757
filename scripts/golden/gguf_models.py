"""Tiny models of each architecture as llama.cpp's converter would write them: names by gguf-py, float16 matrices."""

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

N_VOCAB, N_TOKENS, N_LAYERS, HIDDEN, INNER, HEADS, KV_HEADS = 64, 24, 2, 32, 64, 4, 2
COMMON = dict(
    vocab_size=N_VOCAB,
    hidden_size=HIDDEN,
    intermediate_size=INNER,
    num_hidden_layers=N_LAYERS,
    num_attention_heads=HEADS,
    num_key_value_heads=KV_HEADS,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    initializer_range=0.3,
    tie_word_embeddings=True,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500_000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)
LONG = dict(
    rope_type="longrope",
    rope_theta=10_000.0,
    short_factor=[1.0, 1.1, 1.2, 1.3],
    long_factor=[2.0, 3.0, 4.0, 5.0],
    original_max_position_embeddings=16,
    factor=8.0,
)

# By architecture: settings of transformers, and keys of the file beyond those of all.
MODELS = dict(
    llama=(dict(model_type="llama", rope_parameters=LLAMA3), {}),
    qwen2=(dict(model_type="qwen2", tie_word_embeddings=False, rope_theta=1e6), {}),
    qwen3=(dict(model_type="qwen3", head_dim=16, rope_theta=1e6), {}),
    gemma2=(
        dict(
            model_type="gemma2",
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=7,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=5.0,
        ),
        {
            "attention.sliding_window": 7,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 5.0,
        },
    ),
    gemma3=(
        dict(model_type="gemma3_text", head_dim=16, query_pre_attn_scalar=16, sliding_window=7, num_hidden_layers=7),
        {"attention.sliding_window": 7},
    ),
    phi3=(
        dict(model_type="phi3", rope_parameters=LONG, original_max_position_embeddings=16, sliding_window=None),
        {"rope.scaling.original_context_length": 16},
    ),
    granite=(
        dict(
            model_type="granite",
            attention_multiplier=0.3,
            embedding_multiplier=3.5,
            residual_multiplier=0.7,
            logits_scaling=1.5,
        ),
        {"attention.scale": 0.3, "embedding_scale": 3.5, "residual_scale": 0.7, "logit_scale": 1.5},
    ),
    olmo2=(dict(model_type="olmo2", tie_word_embeddings=False), {}),
    glm4=(dict(model_type="glm4", head_dim=12, partial_rotary_factor=0.5, attention_bias=True), {}),
    smollm3=(dict(model_type="smollm3", num_hidden_layers=4), {}),
)
PAIRED = ("llama", "granite", "smollm3")
PLUS_ONE = ("gemma2", "gemma3")


def paired(rows, heads):
    """Rows as llama.cpp rotates them: both of a pair side by side."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write(folder, arch):
    settings, keys = MODELS[arch]
    torch.manual_seed(11)
    config = AutoConfig.for_model(**COMMON | settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight") or parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            else:
                parameter.copy_(parameter.half().float())
        ids = torch.randint(0, N_VOCAB, (1, N_TOKENS))
        logits = model(ids).logits[0]
    save_file({"ids": ids[0], "logits": logits.contiguous()}, folder / f"{arch}.safetensors")
    write_file(folder / f"{arch}.gguf", arch, model, config, keys)


def write_file(path, arch, model, config, keys):
    writer = gguf.GGUFWriter(path, arch)
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    writer.add_vocab_size(config.vocab_size)
    writer.add_eos_token_id(2)
    for key, value in keys.items():
        add = writer.add_uint32 if isinstance(value, int) else writer.add_float32
        add(f"{arch}.{key}", value)
    if rope["rope_type"] == "llama3":
        # transformers' own frequencies against those without a scaling.
        plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, head_dim, 2).double() / head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.double()).float().numpy())
    if rope["rope_type"] == "longrope":
        writer.add_rope_scaling_attn_factors(float(model.model.rotary_emb.attention_scaling))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32))
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.upper()), config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.float().numpy()
        if arch in PAIRED and ".q_proj." in name:
            values = paired(values, heads)
        if arch in PAIRED and ".k_proj." in name:
            values = paired(values, config.num_key_value_heads)
        if arch in PLUS_ONE and name.endswith("norm.weight"):
            values = values + 1
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored, name
        writer.add_tensor(stored, values.astype(np.float32 if values.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
