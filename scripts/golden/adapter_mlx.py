"""Adapters that mlx-lm trains on the checkpoints of the other golden files, and what it computes with them; make_mlx.py
calls it.

Writes, for each <case> of CASES, where D is 5 steps of B = 2 rows of T = 24 tokens:

    mlx-adapters/<case>/adapters.safetensors, adapter_config.json    as mlx_lm.lora saves them
    mlx-adapters/<case>/golden.safetensors
        input_ids   (B, T) i64
        logits      (B, T, V) f32       of the trained adapter, loaded again by mlx-lm
        initial.<tensor>                the adapter before training, names and layout of the file
        batches     (D, B, T) i64
        losses      (D) f32             mean over all tokens but the first of each row
        grad.<tensor>                   gradients of the first of these losses

A is not as mlx-lm begins, and B not zero: every gradient shows. The optimizer is AdamW as PyTorch has it, with
weight decay 0 and bias correction.
"""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model, save_config

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden"
N_STEPS, N_ROWS, N_TOKENS, N_VOCAB = 5, 2, 24, 96
# name: (checkpoint, fine_tune_type, num_layers, lora_parameters)
CASES = {
    "lora": ("llama3", "lora", 16, dict(rank=3, scale=20.0, dropout=0.0)),
    "lora-keys": ("qwen3", "lora", 2, dict(rank=2, scale=1.7, dropout=0.0, keys=["self_attn.q_proj", "mlp.down_proj", "lm_head"])),
    "dora": ("qwen2", "dora", 1, dict(rank=3, scale=2.0, dropout=0.0)),
    # The head is the embedding: one adapter acts on both.
    "tied": ("qwen2", "lora", -1, dict(rank=3, scale=2.5, dropout=0.0, keys=["self_attn.v_proj", "model.embed_tokens"])),
    # Routers, and experts: layers of theirs are one tensor.
    "experts": ("mixtral", "lora", -1, dict(rank=2, scale=3.0, dropout=0.0)),
    "gpt-oss": ("mlx-gpt-oss-float", "lora", -1, dict(rank=2, scale=3.0, dropout=0.0)),
}


def write_all():
    shutil.rmtree(GOLDEN / "mlx-adapters", ignore_errors=True)
    for seed, (name, (base, kind, num_layers, parameters)) in enumerate(CASES.items()):
        mx.random.seed(50 + seed)
        folder = GOLDEN / "mlx-adapters" / name
        folder.mkdir(parents=True)
        config = dict(fine_tune_type=kind, num_layers=num_layers, lora_parameters=parameters, model=f"golden/{base}")
        write(folder, base, config)


def load_base(name):
    # transformers 5 writes rope_parameters, mlx-lm reads what transformers 4 wrote.
    path = GOLDEN / name / "model"
    config = json.loads((path / "config.json").read_text())
    if "rope_parameters" not in config:
        return load_model(path)[0]
    rope = config["rope_parameters"]
    theta = rope.pop("rope_theta")
    scaling = None if rope["rope_type"] == "default" else rope
    model, _ = load_model(path, model_config=dict(rope_theta=theta, rope_scaling=scaling))
    return model


def write(folder, base, config):
    model = load_base(base)
    model.freeze()
    is_dora = config["fine_tune_type"] == "dora"
    linear_to_lora_layers(model, config["num_layers"], config["lora_parameters"], use_dora=is_dora)
    randomise(model, config["lora_parameters"]["scale"])
    input_ids = mx.random.randint(0, N_VOCAB, (N_ROWS, N_TOKENS))
    batches = mx.random.randint(0, N_VOCAB, (N_STEPS, N_ROWS, N_TOKENS))
    golden = {f"initial.{name}": mx.array(value) for name, value in tree_flatten(model.trainable_parameters())}
    losses, gradients = train(model, batches)
    golden |= {f"grad.{name}": value for name, value in gradients}
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    save_config(config, folder / "adapter_config.json")
    logits = load_adapters(load_base(base), folder)(input_ids)
    assert mx.abs(logits - load_base(base)(input_ids)).mean() > 0.02, f"{folder.name} hardly changes the logits"
    whole = dict(input_ids=input_ids.astype(mx.int64), batches=batches.astype(mx.int64))
    golden |= whole | dict(logits=logits, losses=mx.array(losses))
    mx.save_safetensors(str(folder / "golden.safetensors"), {k: mx.contiguous(v) for k, v in golden.items()})


def randomise(model, scale):
    """With B zero the gradient of A would be zero, and with magnitudes as they begin the factor of DoRA one."""
    changed, size = [], 0.1 * min(1.0, 2 / scale) ** 0.5
    for name, value in tree_flatten(model.trainable_parameters()):
        noise = mx.random.normal(value.shape)
        changed.append((name, value * (1 + 0.2 * noise) if name.endswith(".m") else size * noise))
    model.load_weights(changed, strict=False)


def mean_loss(model, ids):
    return nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]).mean()


def train(model, batches):
    """The losses of the steps, and the gradients of the first."""
    optimizer = optim.AdamW(learning_rate=2e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, bias_correction=True)
    value_and_grad = nn.value_and_grad(model, mean_loss)
    losses, first = [], None
    for ids in batches:
        loss, gradients = value_and_grad(model, ids)
        first = first or tree_flatten(gradients)
        optimizer.update(model, gradients)
        mx.eval(model.parameters())
        losses.append(loss.item())
    return losses, first
