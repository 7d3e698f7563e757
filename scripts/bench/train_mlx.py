"""Times a LoRA training step of MLX, written as mlx-lm writes it, on a Qwen2 with random weights.

    python scripts/bench/train_mlx.py [--device gpu|cpu] HIDDEN LAYERS HEADS KV INTER VOCAB SEQ BATCH STEPS [bf16]

Rank 8, alpha 16, every linear but the head, AdamW with lr 1e-4. A step is forward, backward and optimizer, compiled
as a whole, and is over when the device has done it; the first two, which compile, are run but not timed. `bf16`
stores the base in bf16; the adapter stays in float32, and so do the activations. Prints one JSON line, as
`metal-candle-bench train` reads it. Needs mlx alone.
"""

import argparse
import json
import time
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

SIZES = ["hidden", "layers", "heads", "kv", "inter", "vocab", "seq", "batch", "steps"]
RANK, SCALE = 8, 2.0


def main():
    args = parse_args()
    mx.set_default_device(mx.Device(getattr(mx, args.device)))
    mx.random.seed(0)
    model = build_model(args)
    tokens = mx.random.randint(0, args.vocab, (args.batch, args.seq))
    secs = time_steps(model, tokens, args.steps)
    answer = {"secs": {"step": {"compile": secs}}, "versions": {"mlx": mx.__version__}}
    if args.device == "gpu":
        answer["peak_bytes"] = {"step": mx.get_peak_memory()}
    print(json.dumps(answer))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    for size in SIZES:
        parser.add_argument(size, type=int, metavar=size.upper())
    parser.add_argument("dtype", nargs="?", choices=["f32", "bf16"], default="f32")
    return parser.parse_args()


class LoraLinear(nn.Module):
    """A linear layer with an adapter beside it; float32 in, float32 out."""

    def __init__(self, inputs, outputs, bias=False):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        bound = inputs**-0.5
        self.lora_a = mx.random.uniform(-bound, bound, (inputs, RANK))
        self.lora_b = mx.zeros((RANK, outputs))

    def __call__(self, x):
        weight = self.linear.weight
        y = (x.astype(weight.dtype) @ weight.T).astype(x.dtype)
        if "bias" in self.linear:
            y = y + self.linear.bias
        return y + SCALE * ((x @ self.lora_a) @ self.lora_b)


class Attention(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.heads, self.kv, self.width = args.heads, args.kv, args.hidden // args.heads
        self.q_proj = LoraLinear(args.hidden, args.heads * self.width, bias=True)
        self.k_proj = LoraLinear(args.hidden, args.kv * self.width, bias=True)
        self.v_proj = LoraLinear(args.hidden, args.kv * self.width, bias=True)
        self.o_proj = LoraLinear(args.heads * self.width, args.hidden)
        self.rope = nn.RoPE(self.width, traditional=False, base=10000)

    def __call__(self, x):
        b, t, _ = x.shape
        split = lambda y, heads: y.reshape(b, t, heads, self.width).transpose(0, 2, 1, 3)  # noqa: E731
        q = self.rope(split(self.q_proj(x), self.heads))
        k = self.rope(split(self.k_proj(x), self.kv))
        v = split(self.v_proj(x), self.kv)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=self.width**-0.5, mask="causal")
        return self.o_proj(y.transpose(0, 2, 1, 3).reshape(b, t, -1))


class Block(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.self_attn = Attention(args)
        self.gate_proj = LoraLinear(args.hidden, args.inter)
        self.up_proj = LoraLinear(args.hidden, args.inter)
        self.down_proj = LoraLinear(args.inter, args.hidden)
        self.input_layernorm = nn.RMSNorm(args.hidden, eps=1e-6)
        self.post_attention_layernorm = nn.RMSNorm(args.hidden, eps=1e-6)

    def __call__(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(nn.silu(self.gate_proj(y)) * self.up_proj(y))


class Qwen2(nn.Module):
    """The head is the embedding."""

    def __init__(self, args):
        super().__init__()
        self.embed_tokens = nn.Embedding(args.vocab, args.hidden)
        self.layers = [Block(args) for _ in range(args.layers)]
        self.norm = nn.RMSNorm(args.hidden, eps=1e-6)

    def __call__(self, tokens):
        x = self.embed_tokens(tokens).astype(mx.float32)
        for layer in self.layers:
            x = layer(x)
        weight = self.embed_tokens.weight
        return (self.norm(x).astype(weight.dtype) @ weight.T).astype(mx.float32)


def build_model(args):
    model = Qwen2(args)
    model.freeze()
    if args.dtype == "bf16":
        model.update(tree_map(lambda x: x.astype(mx.bfloat16), model.parameters()))
    for layer in model.modules():
        if isinstance(layer, LoraLinear):
            layer.lora_a, layer.lora_b = layer.lora_a.astype(mx.float32), layer.lora_b.astype(mx.float32)
            layer.unfreeze(keys=["lora_a", "lora_b"], recurse=False)
    mx.eval(model.parameters())
    return model


def loss(model, tokens):
    """As transformers' labels give it: the last token of a row is computed, and has no target."""
    return nn.losses.cross_entropy(model(tokens)[:, :-1], tokens[:, 1:], reduction="mean")


def time_steps(model, tokens, n_steps):
    """Seconds of each of n_steps steps, after two that are not counted."""
    optimizer = optim.AdamW(learning_rate=1e-4)
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(tokens):
        value, gradients = nn.value_and_grad(model, loss)(model, tokens)
        optimizer.update(model, gradients)
        return value

    step_secs = []
    for _ in range(n_steps + 2):
        mx.synchronize()
        began = time.perf_counter()
        mx.eval(step(tokens), state)
        mx.synchronize()
        step_secs.append(time.perf_counter() - began)
    return step_secs[2:]


if __name__ == "__main__":
    main()
