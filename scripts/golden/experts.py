"""Mixtures of experts as linear layers, which transformers 4 had and files still name.

transformers 5 keeps the experts of a block in two tensors, to which PEFT's adapters are others: one for the gate and the
upper projection together. `unfuse` puts a linear layer in the place of each, so that PEFT's adapters are those of layers.
"""

import torch
from torch import nn

# Class of transformers: name of a mixture in files, and of an expert's gate, upper and lower projection.
NAMES = {
    "Qwen3MoeSparseMoeBlock": ("mlp", ("gate_proj", "up_proj", "down_proj")),
    "MixtralSparseMoeBlock": ("block_sparse_moe", ("w1", "w3", "w2")),
    "GptOssMLP": ("mlp", ("gate_proj", "up_proj", "down_proj")),
}


@torch.no_grad()
def unfuse(model):
    """Replaces the mixtures of `model`, which computes what it did."""
    input_ids = torch.arange(20)[None]
    before = model(input_ids=input_ids).logits
    mixtures = 0
    for layer in model.model.layers:
        kind = type(layer.mlp).__name__
        if kind in NAMES:
            replace(layer, *NAMES[kind])
            mixtures += 1
    if mixtures:
        model.config.model_type += "_unfused"  # PEFT would turn targets into those of transformers 5
        assert (model(input_ids=input_ids).logits - before).abs().max() < 1e-4
    return model


def replace(layer, name, names):
    mixture = (ClampedMixture if type(layer.mlp).__name__ == "GptOssMLP" else Mixture)(layer.mlp, names)
    del layer.mlp
    setattr(layer, name, mixture)
    if name != "mlp":
        layer.__dict__["mlp"] = lambda x: getattr(layer, name)(x)


class Mixture(nn.Module):
    def __init__(self, fused, names):
        super().__init__()
        self.names, self.router = names, [fused.gate]  # in a list, it is no part of this
        self.gate = linear(fused.gate.weight)
        both, down = fused.experts.gate_up_proj, fused.experts.down_proj
        self.experts = nn.ModuleList(
            nn.ModuleDict(dict(zip(names, map(linear, (*both[e].chunk(2), down[e]))))) for e in range(len(both))
        )

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        probabilities = self.gate(rows).softmax(-1, dtype=torch.float)
        weights, chosen = probabilities.topk(self.router[0].top_k)
        if getattr(self.router[0], "norm_topk_prob", True):
            weights = weights / weights.sum(-1, keepdim=True)
        weights = weights.to(rows.dtype)
        y = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            tokens, places = torch.where(chosen == number)
            gate, up, down = (expert[name] for name in self.names)
            fed = down(nn.functional.silu(gate(rows[tokens])) * up(rows[tokens]))
            y = y.index_add(0, tokens, (fed * weights[tokens, places, None]).to(y.dtype))
        return y.reshape(x.shape)


class ClampedMixture(nn.Module):
    """That of gpt-oss: biases, a bounded gate, and matrices of which the columns of gate and upper projection alternate."""

    def __init__(self, fused, names):
        super().__init__()
        self.names, self.top_k = names, fused.router.top_k
        self.apply_gate = fused.experts._apply_gate
        self.router = linear(fused.router.weight, fused.router.bias)
        both, down = fused.experts.gate_up_proj.mT, fused.experts.down_proj.mT
        biases, down_biases = fused.experts.gate_up_proj_bias, fused.experts.down_proj_bias
        self.experts = nn.ModuleList(
            nn.ModuleDict(
                {
                    names[0]: linear(both[e, ::2], biases[e, ::2]),
                    names[1]: linear(both[e, 1::2], biases[e, 1::2]),
                    names[2]: linear(down[e], down_biases[e]),
                }
            )
            for e in range(len(both))
        )

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        logits = self.router(rows)
        weights, chosen = logits.topk(self.top_k)
        weights = weights.softmax(-1)
        y = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            tokens, places = torch.where(chosen == number)
            gate, up, down = (expert[name] for name in self.names)
            both = torch.stack([gate(rows[tokens]), up(rows[tokens])], -1).flatten(-2)
            fed = down(self.apply_gate(both))
            y = y.index_add(0, tokens, (fed * weights[tokens, places, None]).to(y.dtype))
        return y.reshape(x.shape), weights


def linear(weight, bias=None):
    layer = nn.Linear(*reversed(weight.shape), bias=bias is not None, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer
