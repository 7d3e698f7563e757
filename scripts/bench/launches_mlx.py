"""Launches of MLX for one training step of LoRA, counted in the graph that its own compiler leaves.

    pip install 'mlx[cpu]' mlx-lm
    python scripts/bench/launches_mlx.py

Builds the models at narrow widths, takes mlx-lm's loss and AdamW through `mx.compile`, as its trainer does, and counts the
operations of the graph that are no views. Norms and rotations, which are one kernel each on a GPU and several operations on a
CPU, are stood in for by scans, which the compiler joins with nothing. Attention of training has no kernel of its own there
either. A lower bound: a reshape that copies, and a product in several launches, count as nothing and one.
"""

import collections
import re
import tempfile
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm.models import llama, qwen2
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers

MODELS = {
    "Qwen2.5-0.5B": (qwen2, "qwen2", 24, 14, 2),
    "Llama-3.2-1B": (llama, "llama", 16, 32, 8),
}
LAYERS = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
VIEWS = "Broadcast CustomTransforms ExpandDims Flatten Reshape Slice Squeeze StopGradient Transpose Unflatten".split()
ROWS, TOKENS, HEAD, RANK = 2, 24, 8, 8


@mx.custom_function
def one_kernel(x):
    return mx.cumsum(x, axis=-1)


@one_kernel.vjp
def one_kernel_backward(x, dy, y):
    return mx.cumsum(dy, axis=-1)


def model(module, name, blocks, heads, kv_heads):
    args = module.ModelArgs.from_dict(
        {
            "model_type": name,
            "hidden_size": heads * HEAD,
            "intermediate_size": 4 * heads * HEAD,
            "num_hidden_layers": blocks,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "rms_norm_eps": 1e-6,
            "vocab_size": 512,
            "rope_theta": 1e6,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        }
    )
    result = module.Model(args)
    result.set_dtype(mx.bfloat16)
    result.freeze()
    linear_to_lora_layers(result, blocks, {"rank": RANK, "scale": 20.0, "dropout": 0.0, "keys": LAYERS})
    result.train()
    return result


def graph(model):
    """Names of the operations of a step."""
    optimizer = optim.AdamW(learning_rate=1e-5)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state, mx.random.state]
    mx.eval(state)
    of_loss = nn.value_and_grad(model, default_loss)

    def step(tokens, lengths):
        (loss, count), gradients = of_loss(model, tokens, lengths)
        optimizer.update(model, gradients)
        return loss, count

    tokens, lengths = mx.zeros((ROWS, TOKENS + 1), dtype=mx.int32), mx.array([[0, TOKENS]] * ROWS)
    mx.eval(tokens, lengths)
    results = mx.compile(step, inputs=state, outputs=state)(tokens, lengths)
    changed = [tensor for _, tensor in tree_flatten([model.trainable_parameters(), optimizer.state])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.dot"
        mx.export_to_dot(str(path), *results, *changed)
        return re.findall(r'label ?="([^"]+)", shape=rectangle', path.read_text())


def main():
    nn.RMSNorm.__call__ = lambda self, x: one_kernel(x)
    nn.RoPE.__call__ = lambda self, x, offset=0: one_kernel(x)
    for name, (module, kind, blocks, heads, kv_heads) in MODELS.items():
        counts = collections.Counter(graph(model(module, kind, blocks, heads, kv_heads)))
        launches = {operation: n for operation, n in counts.items() if operation not in VIEWS}
        fused = sum(n for operation, n in launches.items() if operation.startswith("Compiled"))
        named = {operation: n for operation, n in sorted(launches.items()) if not operation.startswith("Compiled")}
        print(f"{name}: {sum(launches.values())} launches or more, {fused} of them fused by the compiler; others {named}")


if __name__ == "__main__":
    main()
