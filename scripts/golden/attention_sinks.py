"""What gpt-oss's eager attention makes of sinks, crates/kernels/tests/golden/attention_sinks.safetensors.

Of 4 query heads over 2 of keys and values, 8 wide, and 13 queries, the last of 17 tokens, that see the last 6 keys up to
their own (`window`) or all of them (`causal`); scores times 0.5:

    {q,k,v,sinks,dy}                      inputs and the gradient of the result, (1, H, T, 8), f32; sinks are (4,)
    {causal,window}.{y,dq,dk,dv}          result and gradients
"""

from pathlib import Path
from types import SimpleNamespace

import torch
from common import generator, save_tensors
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

FILE = Path(__file__).resolve().parents[2] / "crates/kernels/tests/golden/attention_sinks.safetensors"
QUERIES, KEYS, WINDOW, SCALE = 13, 17, 6, 0.5


def hidden(window):
    position = torch.arange(QUERIES)[:, None] + KEYS - QUERIES
    key = torch.arange(KEYS)
    seen = (key <= position) & (key > position - window)
    return torch.zeros(QUERIES, KEYS).masked_fill(~seen, -torch.inf)[None, None]


def attention(inputs, window):
    q, k, v = (inputs[name].clone().requires_grad_() for name in "qkv")
    module = SimpleNamespace(num_key_value_groups=2, sinks=inputs["sinks"], training=False)
    y, _ = eager_attention_forward(module, q, k, v, hidden(window), scaling=SCALE)
    y = y.transpose(1, 2)
    y.backward(inputs["dy"])
    return dict(y=y, dq=q.grad, dk=k.grad, dv=v.grad)


def write_all():
    random = generator(1)
    shapes = dict(q=(1, 4, QUERIES, 8), k=(1, 2, KEYS, 8), v=(1, 2, KEYS, 8), sinks=(4,), dy=(1, 4, QUERIES, 8))
    inputs = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}
    inputs["sinks"] *= 3.0
    cases = dict(causal=attention(inputs, KEYS), window=attention(inputs, WINDOW))
    results = {f"{case}.{name}": t for case, tensors in cases.items() for name, t in tensors.items()}
    save_tensors(FILE, inputs | results)
