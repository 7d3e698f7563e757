"""Regenerates every file under crates/metal-candle/tests/golden/ (its README.md and mlx-* excepted), and under
crates/kernels/tests/golden/ what bitsandbytes and torch pack and what gpt-oss makes of sinks, and the losses of
crates/metal-candle/src/self_test.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/make.py

Two runs on one machine write identical bytes; on another CPU the last bits of floats may differ.
"""

import os
import sys

# PEFT saves `target_modules` in the order of a Python set, which follows the hash seed.
if os.environ.get("PYTHONHASHSEED") != "0":
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, *sys.argv])

# Nothing here may come from the network. Read by the libraries at import.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import activations
import adapter_files
import adapter_ties
import added_tokens
import attention_sinks
import chat
import decay
import early_stopping
import eva
import gpt_oss
import jinja_expressions
import loraplus
import models
import neftune
import new_tokens
import packed_matrices
import packed_models
import self_test
import target_parameters
import torch
import training
from common import clear_golden
from transformers.utils import logging


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    logging.disable_progress_bar()
    clear_golden()
    for name in models.NAMES:
        models.write(name)
    activations.write_all(models.NAMES)
    for run in training.ADAPTERS:
        training.write(run)
    for run in training.LOGITS:
        training.write_logits(run)
    for run in training.CONVERTED:
        training.write_converted(run)
    for run in training.ACCUMULATED:
        training.write_accumulation(run)
    attention_sinks.write_all()
    packed_matrices.write_all()
    packed_models.write_all()
    gpt_oss.write_all()
    adapter_files.write_all()
    adapter_ties.write_all()
    target_parameters.write_all()
    new_tokens.write_all()
    chat.write_all()
    added_tokens.write_all()
    jinja_expressions.write_all()
    early_stopping.write_all()
    decay.write_all()
    loraplus.write_all()
    neftune.write_all()
    eva.write_all()
    self_test.write()


if __name__ == "__main__":
    main()
