"""Readers of matrix.py: continues prompts greedily with files that metal-candle wrote. Started by matrix.py.

    python scripts/interop/matrix_readers.py READER '{"model": PATH, "adapter": PATH, "ids": [[...], ...]}'

Prints the tokens as JSON; gguf-py instead how far the matrices of `model` are from those of `dense`.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

N_TOKENS = 12


def transformers(model, ids, **_):
    import torch
    from transformers import AutoModelForCausalLM

    model, where = Path(model), {}
    if model.suffix == ".gguf":
        model, where = model.parent, dict(gguf_file=model.name)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, **where).eval()
    return continued(loaded, ids)


def peft(model, adapter, ids, **_):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return continued(PeftModel.from_pretrained(base, adapter).eval(), ids)


def continued(model, ids):
    import torch

    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # else bitsandbytes rounds activations on such a processor
    texts = []
    for prompt in ids:
        with torch.no_grad():
            all_ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=N_TOKENS, do_sample=False)
        texts.append(all_ids[0, len(prompt) :].tolist())
    return texts


def mlx_lm(model, ids, adapter=None, **_):
    import mlx.core as mx
    from check_adapter_mlx import load
    from mlx_lm.generate import generate_step
    from mlx_lm.tuner.utils import load_adapters

    mx.set_default_device(mx.cpu)
    loaded = load(Path(model))
    if adapter:
        loaded = load_adapters(loaded, adapter)
    greedy = lambda prompt: [int(token) for token, _ in generate_step(mx.array(prompt), loaded, max_tokens=N_TOKENS)]
    return [greedy(prompt) for prompt in ids]


def llama_cpp(model, ids, adapter=None, **_):
    from check_gguf import LlamaCpp

    llama = LlamaCpp(model, adapter)
    body = dict(n_predict=N_TOKENS, temperature=0, cache_prompt=False, return_tokens=True)
    return [llama.post("/completion", body | dict(prompt=prompt))["tokens"] for prompt in ids]


def gguf_py(model, dense, **_):
    import gguf
    import numpy

    values = lambda path: {t.name: gguf.dequantize(t.data, t.tensor_type).astype("f8") for t in gguf.GGUFReader(path).tensors}
    got, want = values(model), values(dense)
    assert got.keys() == want.keys()
    square = sum(((got[name] - want[name]) ** 2).sum() for name in want)
    return float(numpy.sqrt(square / sum((value**2).sum() for value in want.values())))


READERS = {"transformers": transformers, "PEFT": peft, "mlx-lm": mlx_lm, "llama.cpp": llama_cpp, "gguf-py": gguf_py}

if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](**json.loads(sys.argv[2]))))
