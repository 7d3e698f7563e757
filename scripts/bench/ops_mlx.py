"""Times MLX on the cases that `metal-candle-bench ops --vs mlx` sends.

    python scripts/bench/ops_mlx.py [--device gpu|cpu]

Reads one JSON object a line, {"op", "sizes", "dtype", "passes", "secs", "runs_per_wait"}, and answers with one line:
seconds of single runs by pass, as it is and compiled. MLX is lazy: every run is handed to the device as soon as it is
described, and the clock stops when the device has done the last of `runs_per_wait` runs. Stays idle between requests.

Not named mlx.py: that would be imported instead of the package.
"""

import argparse
import json
import sys
import time

import mlx.core as mx
import mlx.nn as nn

DTYPES = {"f32": mx.float32, "bf16": mx.bfloat16, "f16": mx.float16}
MIN_RUNS = 5
LORA_SCALE = 2.0
EPS = 1e-6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    mx.set_default_device(mx.Device(getattr(mx, parser.parse_args().device)))
    subjects = {}
    for line in sys.stdin:
        try:
            answer = respond(json.loads(line), subjects)
        except Exception as error:  # The other side shows it, and goes on with its next case.
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({**answer, "versions": {"mlx": mx.__version__}}), flush=True)


def respond(request, subjects):
    if request["op"] not in OPS:
        return {"error": f"{request['op']} is not measured"}
    key = json.dumps([request["op"], request["sizes"], request["dtype"]])
    if key not in subjects:
        # The inputs of one case at a time: those of the largest are gigabytes.
        subjects.clear()
        mx.clear_cache()
        subjects[key] = OPS[request["op"]](request["sizes"], DTYPES[request["dtype"]])
    subject, runs = subjects[key], request["runs_per_wait"]
    passes = [name for name in request["passes"] if name in Subject.PASSES]
    return {"secs": {name: measure(subject, name, request["secs"], runs) for name in passes}}


def measure(subject, name, secs, runs_per_wait):
    """Seconds of single runs by the way they are computed, in turns."""
    ways = {how: [] for how in subject.ways}
    for budget, is_counted in ((secs / 10, False), (secs, True)):
        began, runs = time.perf_counter(), 0
        while runs < (MIN_RUNS if is_counted else 2) or time.perf_counter() - began < budget * len(ways):
            for how, passes in subject.ways.items():
                duration = timed(passes[name], runs_per_wait)
                if is_counted:
                    ways[how].append(duration)
            runs += 1
    return ways


def timed(work, runs_per_wait):
    """Mean duration of a run."""
    mx.synchronize()
    began = time.perf_counter()
    for _ in range(runs_per_wait):
        last = work()
        mx.async_eval(last)
    mx.eval(last)
    mx.synchronize()
    return (time.perf_counter() - began) / runs_per_wait


class Subject:
    """A differentiable function of arrays; `frozen` inputs have no gradient.

    MLX does not hand out a graph to be walked back alone: there is no backward without forward.
    """

    PASSES = ("forward", "forward+backward")

    def __init__(self, run, inputs, frozen=()):
        result = run(*inputs, *frozen)
        upstream = rand(result.shape, result.dtype)
        mx.eval(inputs, frozen, upstream)

        def both(*inputs):
            return mx.vjp(lambda *inputs: run(*inputs, *frozen), inputs, [upstream])[1]

        self.ways = {
            how: dict(zip(self.PASSES, self.works(wrapped(run), wrapped(both), inputs, frozen)))
            for how, wrapped in {"eager": lambda f: f, "compile": mx.compile}.items()
        }

    @staticmethod
    def works(run, both, inputs, frozen):
        return lambda: run(*inputs, *frozen), lambda: both(*inputs)


def rand(dims, dtype, size=1.0):
    return mx.random.uniform(-size, size, dims).astype(dtype)


def matmul(sizes, dtype):
    run = (lambda a, b: a @ b.T) if sizes["transpose_b"] else (lambda a, b: a @ b)
    return Subject(run, [rand(sizes["a"], dtype), rand(sizes["b"], dtype)])


def lora_linear(sizes, dtype):
    """The sum of mlx-lm's LoRALinear; the adapter's product is added by the second product itself."""
    rows, k, n, r = (sizes[name] for name in ("rows", "inputs", "outputs", "rank"))

    def run(x, a, b, weight):
        return mx.addmm(x @ weight.T, x @ a.T, b.T, alpha=LORA_SCALE)

    return Subject(run, [rand([rows, k], dtype), rand([r, k], dtype), rand([n, r], dtype)], (rand([n, k], dtype),))


def rms_norm(sizes, dtype):
    dims = sizes["dims"]
    return Subject(lambda x, weight: mx.fast.rms_norm(x, weight, EPS), [rand(dims, dtype), rand(dims[-1:], dtype)])


def softmax(sizes, dtype):
    return Subject(lambda x: mx.softmax(x, axis=-1, precise=True), [rand(sizes["dims"], dtype, 4.0)])


def swiglu(sizes, dtype):
    dims = sizes["dims"]
    return Subject(lambda gate, up: nn.silu(gate) * up, [rand(dims, dtype, 4.0), rand(dims, dtype)])


def attention(sizes, dtype):
    q, k = sizes["q"], sizes["k"]
    mask = "causal" if sizes["causal"] else None

    def run(q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask)

    return Subject(run, [rand(q, dtype, 2.0), rand(k, dtype, 2.0), rand(k, dtype)])


OPS = {
    "matmul": matmul,
    "lora_linear": lora_linear,
    "rms_norm": rms_norm,
    "softmax": softmax,
    "swiglu": swiglu,
    "attention": attention,
}

if __name__ == "__main__":
    main()
