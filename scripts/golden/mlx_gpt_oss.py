"""gpt-oss as mlx-lm has it; make_mlx.py calls it. mlx-lm rounds the ends of yarn's ramp whatever `truncate` says, so that
these say it.

    mlx-gpt-oss/model/         experts of mxfp4, but for a layer of 4 bits; other layers of 4 bits in groups of 32, routers of 8
                               bits in groups of 64
    mlx-gpt-oss-float/model/   the same before it is quantized
    <both>/golden.safetensors  input_ids, logits, prompt, greedy as in make_mlx.py
"""

import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.gpt_oss import Model, ModelArgs
from mlx_lm.utils import quantize_model, save_config, save_model

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden"
NAME = "mlx-gpt-oss"
N_VOCAB, N_TOKENS = 96, 24
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
    model = Model(ModelArgs.from_dict(CONFIG))
    for path, parameter in tree_flatten(model.parameters()):
        noise = mx.random.normal(parameter.shape)
        model.load_weights([(path, 1 + 0.1 * noise if "norm" in path else 0.2 * noise)], strict=False)
    save(model, CONFIG, f"{NAME}-float", continue_greedily)
    model, config = quantize_model(model, CONFIG, None, None, mode="mxfp4", quant_predicate=packing(model))
    save(model, config, NAME, continue_greedily)


def packing(model):
    """mlx-lm's own choice, but for what is no expert."""

    def of(path, layer):
        theirs = model.quant_predicate(path, layer)
        is_expert = ".experts." in path and path != AFFINE_EXPERTS
        return theirs if theirs is not True or is_expert else dict(group_size=32, bits=4, mode="affine")

    return of


def save(model, config, name, continue_greedily):
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    save_model(folder / "model", model, donate_model=False)
    save_config(dict(config), folder / "model/config.json")
    (folder / "model/model.safetensors.index.json").unlink()
    mx.random.seed(12)
    input_ids = mx.random.randint(0, N_VOCAB, (2, N_TOKENS))
    prompt = mx.random.randint(0, N_VOCAB, (12,))
    golden = dict(
        input_ids=input_ids.astype(mx.int64),
        logits=model(input_ids),
        prompt=prompt.astype(mx.int64),
        greedy=continue_greedily(model, prompt, N_TOKENS).astype(mx.int64),
    )
    mx.save_safetensors(str(folder / "golden.safetensors"), golden)
