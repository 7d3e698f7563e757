"""Times greedy decoding of transformers on the CPU, with the sizes of Qwen2.5-0.5B and random weights.

    python scripts/bench/generate_transformers.py [--threads 2] [--prompt 128] [--tokens 32] [f32|bf16]

Prints one JSON line: seconds of the prompt's pass and of each token after it, as `metal-candle-bench generate`
reads it. A first text, which allocates, is not counted.
"""

import argparse
import json
import resource
import sys
import time

import torch
import transformers
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM


def main():
    args = parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = build_model(args.dtype)
    prompt = torch.tensor([[(i * 7919 + 13) % model.config.vocab_size for i in range(args.prompt)]])
    token_secs(model, prompt, 2)
    prefill, *decode = token_secs(model, prompt, 1 + args.tokens)
    print(
        json.dumps(
            {
                "secs": {"prefill": {"eager": [prefill]}, "decode": {"eager": decode}},
                "peak_bytes": {"decode": peak_bytes()},
                "versions": {module.__name__: module.__version__ for module in (torch, transformers)},
            }
        )
    )


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("dtype", nargs="?", choices=["f32", "bf16"], default="f32")
    return parser.parse_args()


def build_model(dtype):
    config = Qwen2Config(
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
        vocab_size=151936,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    return (model.to(torch.bfloat16) if dtype == "bf16" else model).eval()


@torch.inference_mode()
def token_secs(model, prompt, n_tokens):
    """The loop of `generate` without what it does beside the model: less than that takes nobody."""
    cache, new, secs = DynamicCache(config=model.config), prompt, []
    for _ in range(n_tokens):
        start = time.perf_counter()
        logits = model(input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        new = logits[:, -1].argmax(-1, keepdim=True)
        new.item()
        secs.append(time.perf_counter() - start)
    return secs


def peak_bytes():
    """Peak resident memory of the process; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
