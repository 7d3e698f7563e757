"""Ten steps of optimizers and the course of learning rates, as PyTorch and transformers, bitsandbytes, or MLX and
mlx-lm, compute them, under crates/metal-candle/tests/golden/optimizers/:

    pip install -r scripts/golden/requirements.txt      and      python scripts/golden/optimizers.py torch
    pip install -r scripts/golden/requirements.txt      and      python scripts/golden/optimizers.py bnb
    pip install -r scripts/golden/requirements-mlx.txt  and      python scripts/golden/optimizers.py mlx

    {torch,mlx}.safetensors     for each of CASES
        <case>.<parameter>      (1 + STEPS, *shape) f32: the parameter before the first step and after each
    {torch,mlx}.json            for each schedule the learning rates of its first steps
    bnb.safetensors             AdamW8bit, for each of SHAPES_8BIT
        <parameter>             (1 + STEPS, n) f32: every STRIDE-th element before the first step and after each
        <parameter>.{state1,state2,absmax1,absmax2}    of those that are kept in eight bits: after the last step
        signed, unsigned        (256) f32: bitsandbytes' dynamic maps

Gradients are a formula of step and element, so that the test has them too: `gradient`.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden/optimizers"
SHAPES = {"wide": (4, 7), "tall": (9, 5), "vector": (6,)}
# The first two are large enough for eight bits; their last blocks are no whole ones.
SHAPES_8BIT = {"matrix": (33, 130), "line": (4097,), "small": (63, 65)}
STRIDE = 61
STEPS, RATE = 10, 0.01
N_RATES, N_DECAY, N_WARMUP = 24, 20, 5


def numbers(shape, phase):
    """sin((element + 1) * phase), in the order of memory."""
    n = int(np.prod(shape))
    return np.sin((np.arange(n) + 1.0) * phase).astype(np.float32).reshape(shape)


def gradient(shape, step):
    return (numbers(shape, 0.3 + step) * np.float32(0.1 * step)).astype(np.float32)


def of_torch():
    import torch
    from transformers import optimization

    cases = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6),
        "adam": lambda p: torch.optim.Adam(p, lr=RATE),
        "sgd": lambda p: torch.optim.SGD(p, lr=RATE, weight_decay=0.1),
        "momentum": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, nesterov=True, weight_decay=0.1),
    }
    tensors = {}
    for name, make in cases.items():
        parameters = {k: torch.tensor(numbers(s, 0.7), requires_grad=True) for k, s in SHAPES.items()}
        optimizer = make(list(parameters.values()))
        states = {k: [p.detach().numpy().copy()] for k, p in parameters.items()}
        for step in range(1, STEPS + 1):
            for k, p in parameters.items():
                p.grad = torch.tensor(gradient(SHAPES[k], step))
            optimizer.step()
            for k, p in parameters.items():
                states[k].append(p.detach().numpy().copy())
        tensors |= {f"{name}.{k}": np.stack(v) for k, v in states.items()}

    def rates(make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
        schedule, seen = make(optimizer), []
        for _ in range(N_DECAY + 1):  # Behind its end, transformers' cosine rises again.
            seen.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return seen

    schedules = {
        "linear": rates(lambda o: optimization.get_linear_schedule_with_warmup(o, 0, N_DECAY)),
        "cosine": rates(lambda o: optimization.get_cosine_schedule_with_warmup(o, 0, N_DECAY)),
        "constant_warmup": rates(lambda o: optimization.get_constant_schedule_with_warmup(o, N_WARMUP)),
        "constant_warmup_longer": rates(lambda o: optimization.get_constant_schedule_with_warmup(o, N_WARMUP + 1)),
        "cosine_warmup": rates(lambda o: optimization.get_cosine_schedule_with_warmup(o, N_WARMUP, N_DECAY)),
    }
    return tensors, schedules


def of_bnb():
    import torch
    from bitsandbytes import functional, optim
    from bitsandbytes.backends.cpu import ops

    def nearest(numbers, code, absmax_out, out, block):
        """What bitsandbytes' kernel for CUDA does: its kernel for the CPU looks codes up in a table that is too coarse
        for small numbers, and takes zero for 2.6e-5 of the largest."""
        n = numbers.numel()
        blocks = torch.nn.functional.pad(numbers.flatten(), (0, -n % block)).view(-1, block)
        absmax_out.copy_(blocks.abs().amax(1))
        shares = blocks / torch.where(absmax_out == 0, 1, absmax_out)[:, None]
        out.view(-1).copy_(torch.bucketize(shares, (code[1:] + code[:-1]) / 2).to(torch.uint8).flatten()[:n])

    ops._quant_blockwise_fp32_direct = nearest
    tensors = {"signed": functional.create_dynamic_map(True), "unsigned": functional.create_dynamic_map(False)}
    parameters = {k: torch.tensor(numbers(s, 0.7), requires_grad=True) for k, s in SHAPES_8BIT.items()}
    optimizer = optim.AdamW8bit(list(parameters.values()), lr=RATE, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6)
    states = {k: [p.detach().flatten()[::STRIDE].clone()] for k, p in parameters.items()}
    for step in range(1, STEPS + 1):
        for k, p in parameters.items():
            p.grad = torch.tensor(gradient(SHAPES_8BIT[k], step))
        optimizer.step()
        for k, p in parameters.items():
            states[k].append(p.detach().flatten()[::STRIDE].clone())
    for k, p in parameters.items():
        tensors[k] = torch.stack(states[k])
        kept = optimizer.state[p]
        if kept["state1"].dtype == torch.uint8:
            tensors |= {f"{k}.{name}": kept[name].flatten() for name in ("state1", "state2", "absmax1", "absmax2")}
    return {k: v.detach().numpy() for k, v in tensors.items()}, None


def of_mlx():
    import mlx.core as mx
    import mlx.optimizers as optim
    from mlx_lm.tuner.utils import build_schedule

    cases = {
        "adam": lambda: optim.Adam(RATE),
        "adamw": lambda: optim.AdamW(RATE, betas=[0.8, 0.95], eps=1e-6, weight_decay=0.1),
        "corrected": lambda: optim.AdamW(RATE, bias_correction=True),
        "sgd": lambda: optim.SGD(RATE, momentum=0.9, dampening=0.3, weight_decay=0.1),
        "muon": lambda: optim.Muon(RATE),
        "muon_plain": lambda: optim.Muon(RATE, momentum=0.8, nesterov=False, weight_decay=0.0, ns_steps=3),
        "adafactor": lambda: optim.Adafactor(RATE),
        "adafactor_rate": lambda: optim.Adafactor(
            RATE, beta_1=0.9, weight_decay=0.1, scale_parameter=False, relative_step=False, clip_threshold=0.5
        ),
        "adafactor_warm": lambda: optim.Adafactor(warmup_init=True),
    }
    tensors = {}
    for name, make in cases.items():
        parameters = {k: mx.array(numbers(s, 0.7)) for k, s in SHAPES.items()}
        optimizer = make()
        states = {k: [np.array(p)] for k, p in parameters.items()}
        for step in range(1, STEPS + 1):
            gradients = {k: mx.array(gradient(s, step)) for k, s in SHAPES.items()}
            parameters = optimizer.apply_gradients(gradients, parameters)
            for k, p in parameters.items():
                states[k].append(np.array(p))
        tensors |= {f"{name}.{k}": np.stack(v) for k, v in states.items()}

    def rates(**config):
        schedule = build_schedule(config)
        return [float(schedule(mx.array(step))) for step in range(N_RATES)]

    schedules = {
        "cosine": rates(name="cosine_decay", arguments=[RATE, 15, 1e-4], warmup=5, warmup_init=1e-3),
        "linear": rates(name="linear_schedule", arguments=[RATE, 1e-3, 12]),
        "exponential": rates(name="exponential_decay", arguments=[RATE, 0.9], warmup=3),
        "step": rates(name="step_decay", arguments=[RATE, 0.5, 4]),
    }
    return tensors, schedules


def main():
    library = sys.argv[1]
    tensors, schedules = {"torch": of_torch, "bnb": of_bnb, "mlx": of_mlx}[library]()
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file(tensors, FOLDER / f"{library}.safetensors")
    if schedules is not None:
        (FOLDER / f"{library}.json").write_text(json.dumps(schedules, indent=1) + "\n")


if __name__ == "__main__":
    main()
