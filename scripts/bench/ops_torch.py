"""Times PyTorch on the cases that `metal-candle-bench ops --vs pytorch` sends, on the CPU.

    python scripts/bench/ops_torch.py [--threads 2]

Reads one JSON object a line, {"op", "sizes", "dtype", "passes", "secs"}, and answers with one line: seconds of
single runs by pass, eager and compiled. Every run frees what it made before its clock stops: the result, the graph
and the gradients, as a training loop does. Stays idle between requests, so that others can take turns with it.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
MIN_RUNS = 5
LORA_SCALE = 2.0
EPS = 1e-6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    subjects = {}
    for line in sys.stdin:
        try:
            answer = respond(json.loads(line), subjects)
        except Exception as error:  # The other side shows it, and goes on with its next case.
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({**answer, "versions": {"torch": torch.__version__}}), flush=True)


def respond(request, subjects):
    key = json.dumps([request["op"], request["sizes"], request["dtype"]])
    if key not in subjects:
        # The inputs of one case at a time: those of the largest are gigabytes.
        subjects.clear()
        torch.compiler.reset()
        subjects[key] = OPS[request["op"]](request["sizes"], DTYPES[request["dtype"]])
    subject = subjects[key]
    return {"secs": {name: measure(subject, name, request["secs"]) for name in request["passes"]}}


def measure(subject, name, secs):
    """Seconds of single runs by the way they are computed, in turns."""
    ways = {how: [] for how in subject.ways}
    for budget, is_counted in ((secs / 10, False), (secs, True)):
        began, runs = time.perf_counter(), 0
        while runs < (MIN_RUNS if is_counted else 2) or time.perf_counter() - began < budget * len(ways):
            for how, run in subject.ways.items():
                duration = subject.time(run, name)
                if is_counted:
                    ways[how].append(duration)
            runs += 1
    return ways


class Subject:
    """A differentiable function of tensors, eager and compiled."""

    def __init__(self, run, inputs, frozen=()):
        self.ways = {"eager": run, "compile": torch.compile(run)}
        self.plain = inputs
        self.tracked = [x.clone().requires_grad_() for x in inputs]
        self.frozen = frozen
        with torch.no_grad():
            self.upstream = torch.rand_like(run(*self.plain, *frozen))

    def time(self, run, name):
        if name == "forward":
            with torch.no_grad():
                began = time.perf_counter()
                run(*self.plain, *self.frozen)
                return time.perf_counter() - began
        began = time.perf_counter()
        y = run(*self.tracked, *self.frozen)
        if name == "backward":
            began = time.perf_counter()
        y.backward(self.upstream)
        for x in self.tracked:
            x.grad = None
        del y
        return time.perf_counter() - began


def rand(dims, dtype, size=1.0):
    return ((2 * torch.rand(dims) - 1) * size).to(dtype)


def matmul(sizes, dtype):
    run = (lambda a, b: a @ b.T) if sizes["transpose_b"] else (lambda a, b: a @ b)
    return Subject(run, [rand(sizes["a"], dtype), rand(sizes["b"], dtype)])


def lora_linear(sizes, dtype):
    rows, k, n, r = (sizes[name] for name in ("rows", "inputs", "outputs", "rank"))

    def run(x, a, b, weight):
        return F.linear(x, weight) + F.linear(F.linear(x, a), b) * LORA_SCALE

    return Subject(run, [rand([rows, k], dtype), rand([r, k], dtype), rand([n, r], dtype)], (rand([n, k], dtype),))


def rms_norm(sizes, dtype):
    dims = sizes["dims"]
    run = lambda x, weight: F.rms_norm(x, weight.shape, weight, EPS)  # noqa: E731
    return Subject(run, [rand(dims, dtype), rand(dims[-1:], dtype)])


def softmax(sizes, dtype):
    return Subject(lambda x: F.softmax(x, -1), [rand(sizes["dims"], dtype, 4.0)])


def rope(sizes, dtype):
    """As transformers computes it: tables as wide as a head, the halves swapped."""
    dims = sizes["dims"]

    def run(x, cos, sin):
        half = x.shape[-1] // 2
        swapped = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
        return x * cos + swapped * sin

    table = [dims[-2], dims[-1] // 2]
    tables = tuple(torch.cat([t, t], dim=-1) for t in (rand(table, dtype), rand(table, dtype)))
    return Subject(run, [rand(dims, dtype)], tables)


def swiglu(sizes, dtype):
    return Subject(lambda gate, up: F.silu(gate) * up, [rand(sizes["dims"], dtype, 4.0), rand(sizes["dims"], dtype)])


def attention(sizes, dtype):
    q, k, is_causal = sizes["q"], sizes["k"], sizes["causal"]
    # PyTorch aligns the first query with the first key; one query that sees all keys needs no mask.
    needs_mask = is_causal and q[2] > 1
    run = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=needs_mask, enable_gqa=True)  # noqa: E731
    return Subject(run, [rand(q, dtype, 2.0), rand(k, dtype, 2.0), rand(k, dtype)])


def linear_cross_entropy(sizes, dtype):
    """The rows that have a target; the weight is frozen."""
    rows, width, vocabulary = (sizes[name] for name in ("rows", "width", "vocabulary"))
    targets = torch.tensor(sizes["targets"])

    def run(hidden, weight, targets):
        return F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="sum", ignore_index=-100)

    return Subject(run, [rand([rows, width], dtype, 0.25)], (rand([vocabulary, width], dtype), targets))


class AdamW:
    """Steps of the three optimizers that PyTorch has for the same formula."""

    def __init__(self, sizes, dtype):
        n, *dims = sizes["dims"]
        self.ways = {}
        for how, options in {"foreach": {"foreach": True}, "fused": {"fused": True}, "for": {"foreach": False}}.items():
            parameters = [rand(dims, dtype).requires_grad_() for _ in range(n)]
            for parameter in parameters:
                parameter.grad = rand(dims, dtype)
            self.ways[how] = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, **options).step
        self.ways["compile"] = torch.compile(self.ways["for"])

    @staticmethod
    def time(run, _name):
        began = time.perf_counter()
        run()
        return time.perf_counter() - began


OPS = {
    "matmul": matmul,
    "lora_linear": lora_linear,
    "rms_norm": rms_norm,
    "softmax": softmax,
    "rope": rope,
    "swiglu": swiglu,
    "attention": attention,
    "linear_cross_entropy": linear_cross_entropy,
    "adamw": AdamW,
}

if __name__ == "__main__":
    main()
