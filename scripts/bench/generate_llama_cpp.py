"""Times greedy decoding of llama.cpp on the CPU, with a GGUF file.

    python scripts/bench/generate_llama_cpp.py [--threads 2] [--prompt 128] [--tokens 32] --vocabulary N MODEL.gguf

Prints one JSON line: seconds of the prompt's pass and the mean of the tokens after it, as llama.cpp tells them, in the
form that `metal-candle-bench generate` reads. The prompt is the same ids, in one pass; caches of prompts are off, and a
text does not end. A first text, which allocates, is not counted.
"""

import argparse
import json
import resource
import sys

try:
    import xllamacpp
except ImportError as error:
    sys.exit(f"{error}: pip install -r scripts/bench/requirements-llama-cpp.txt")

# Widest first.
INSTRUCTIONS = ["AMX_INT8", "AVX512_BF16", "AVX512", "AVX2", "AVX", "SVE", "NEON"]


def main():
    args = parse_args()
    server = start(args)
    prompt = [(i * 7919 + 13) % args.vocabulary for i in range(args.prompt)]
    generate(server, prompt, 2)
    timings = generate(server, prompt, 1 + args.tokens)
    how = instructions()
    print(
        json.dumps(
            {
                "secs": {
                    "prefill": {how: [timings["prompt_ms"] / 1000]},
                    "decode": {how: [timings["predicted_ms"] / 1000 / args.tokens]},
                },
                "peak_bytes": {"decode": peak_bytes()},
                "versions": {"xllamacpp": f"{xllamacpp.__version__} ({how})"},
            }
        )
    )


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--vocabulary", type=int, required=True)
    parser.add_argument("model")
    return parser.parse_args()


def start(args):
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.n_ctx, params.n_parallel = args.prompt + args.tokens + 1, 1
    params.n_batch = params.n_ubatch = max(args.prompt, params.n_ubatch)
    params.cache_ram_mib, params.verbosity = 0, 0
    return xllamacpp.Server(params)


def generate(server, prompt, n_tokens):
    """The first token belongs to the prompt's time."""
    request = {"prompt": prompt, "n_predict": n_tokens, "samplers": ["top_k"], "top_k": 1}
    answer = server.handle_completions(request | {"ignore_eos": True, "cache_prompt": False})
    timings = answer["timings"]
    counted = (timings["prompt_n"], timings["predicted_n"])
    if counted != (len(prompt), n_tokens):
        sys.exit(f"llama.cpp counted {counted} tokens of prompt and text, expected {(len(prompt), n_tokens)}")
    return timings


def instructions():
    """Widest vector instructions that this build and this processor have."""
    parts = [part for part in xllamacpp.get_system_info().split("|") if "= 1" in part]
    names = {part.split("=")[0].split(":")[-1].strip() for part in parts}
    return next((name for name in INSTRUCTIONS if name in names), "no vector instructions")


def peak_bytes():
    """Peak resident memory of the process; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
