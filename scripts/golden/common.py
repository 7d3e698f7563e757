"""What the modules share: where files go, seeded random numbers, and how files are written."""

import json
import shutil
from pathlib import Path

import torch
from experts import unfuse
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden"


def clear_golden():
    """Removes every folder that make.py writes, so that no file of an earlier run survives."""
    for folder in GOLDEN.iterdir():
        if folder.is_dir() and not folder.name.startswith("mlx-") and folder.name not in ("gguf", "optimizers", "preference", "rows", "zero-point"):
            shutil.rmtree(folder)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def load_base(name):
    """The checkpoint <name>/model/ in float32 with plain attention, whatever dtype it is stored in, and experts as linear layers."""
    path = GOLDEN / name / "model"
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = f"golden/{name}"  # PEFT writes it into adapter_config.json; never a path of this machine
    return unfuse(model.eval())


def save_adapter(model: PeftModel, folder):
    """As PEFT saves it, less its README.md (an empty model card)."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()


def save_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def save_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_json_lines(path, values):
    """A JSON array with one element per line: small, and a change shows as one line."""
    lines = ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
