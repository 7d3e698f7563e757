"""The adapter of each checkpoint: together they use every way in which PEFT names targets and scales them."""

# Of a checkpoint that is not named below.
DEFAULT = dict(r=3, lora_alpha=6, target_modules="all-linear")

ADAPTERS = {
    # A list of suffixes.
    "qwen2": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    # All linears but the head; a fractional alpha; scale alpha / sqrt(r).
    "qwen3": dict(r=4, lora_alpha=6.5, target_modules="all-linear", use_rslora=True),
    # A regular expression; rank and alpha that differ by module, one key plain and one a pattern.
    "llama3": dict(
        r=4,
        lora_alpha=8,
        target_modules=r"model\.layers\.\d+\.(self_attn\.(q|v)_proj|mlp\.down_proj)",
        rank_pattern={"layers.1.self_attn.q_proj": 2},
        alpha_pattern={r"layers\.\d\.mlp\.down_proj": 3},
    ),
    "mistral": dict(r=3, lora_alpha=6, target_modules=["k_proj", "o_proj", "gate_proj"]),
    # Fused projections are one target each.
    "phi3": dict(r=3, lora_alpha=6, target_modules=["qkv_proj", "gate_up_proj"]),
    # Only the last layer.
    "qwen2-bf16": dict(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj", "up_proj"], layers_to_transform=[1]),
}
