"""A mixture of experts as mlx-lm quantizes it: mlx-experts/, a qwen3_moe with 4 bits in groups of 32, whose routers have 8 bits
in groups of 64; the middle block has no experts. make_mlx.py calls it.

    mlx-experts/model/               config.json, model.safetensors as mlx-lm saves them
    mlx-experts/golden.safetensors   input_ids, logits, prompt, greedy as in make_mlx.py
"""

import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.qwen3_moe import Model, ModelArgs
from mlx_lm.utils import quantize_model, save_config, save_model

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden"
N_VOCAB, N_TOKENS = 96, 24
CONFIG = dict(
    model_type="qwen3_moe",
    hidden_size=64,
    num_hidden_layers=3,
    intermediate_size=128,
    moe_intermediate_size=96,
    num_experts=5,
    num_experts_per_tok=2,
    decoder_sparse_step=1,
    mlp_only_layers=[1],
    norm_topk_prob=False,
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


def write(continue_greedily):
    mx.random.seed(7)
    model = filled(Model(ModelArgs.from_dict(CONFIG)))
    model, config = quantize_model(model, CONFIG, 32, 4, quant_predicate=model.quant_predicate)
    save(model, config, "mlx-experts", continue_greedily)


def filled(model):
    """The model with random weights, norms near 1."""
    for path, parameter in tree_flatten(model.parameters()):
        noise = mx.random.normal(parameter.shape)
        model.load_weights([(path, 1 + 0.1 * noise if "norm" in path else 0.2 * noise)], strict=False)
    return model


def save(model, config, name, continue_greedily):
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    save_model(folder / "model", model, donate_model=False)
    save_config(dict(config), folder / "model/config.json")
    (folder / "model/model.safetensors.index.json").unlink()
    input_ids = mx.random.randint(0, N_VOCAB, (2, N_TOKENS))
    prompt = mx.random.randint(0, N_VOCAB, (12,))
    golden = dict(
        input_ids=input_ids.astype(mx.int64),
        logits=model(input_ids),
        prompt=prompt.astype(mx.int64),
        greedy=continue_greedily(model, prompt, N_TOKENS).astype(mx.int64),
    )
    mx.save_safetensors(str(folder / "golden.safetensors"), golden)
