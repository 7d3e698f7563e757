"""What mlx_lm.lora trains, and what mlx-lm's programs take, under crates/cli/tests/golden/mlx_lm/:

    pip install -r scripts/golden/requirements-mlx.txt
    python scripts/golden/mlx_lm_train.py

    model/                      a tiny llama with a tokenizer and a chat template
    <data>/train.jsonl          rows, for each of DATA; valid.jsonl for each of VALID
    <initial>/                  a fresh adapter as mlx_lm.lora saves it, for each of INITIAL
    cases.json                  for each of CASES
        config                  the file given to `mlx_lm.lora -c`, which is JSON and so YAML
        losses                  of every report, in order
        first_val_loss          of the evaluation before the first step, if there is one
        trained_tokens          at the last report
    recipes.json                for each of mlx_lm.convert's recipes, what the configuration of a model of WIDE says then
    options.json
        version                 of mlx-lm
        lora_defaults           what holds where neither a file nor the command line says anything
        programs                for each program the names of its options, its defaults and which take values

Every case but that without an adapter goes on from one in a file, so that no random number is drawn but for the order of
batches. `mlx_lm.lora` itself is run, in this process; only what
reports to services is replaced, since it alone is told losses in full.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from unittest import mock

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import __version__, lora
from mlx_lm.convert import QUANT_RECIPES, mixed_quant_predicate_builder
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

GOLDEN = Path(__file__).resolve().parents[2] / "crates/cli/tests/golden/mlx_lm"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONFIG = dict(
    model_type="llama",
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    rms_norm_eps=1e-6,
    vocab_size=320,
    max_position_embeddings=256,
    rope_theta=10000.0,
    tie_word_embeddings=False,
    torch_dtype="float32",
)


# Every matrix divides into groups of 32, and a recipe has all of its blocks.
WIDE = CONFIG | dict(intermediate_size=64, num_hidden_layers=16)


def say(role, content):
    return dict(role=role, content=content)


def completion(i):
    return dict(prompt=f"say {i} {'please ' * i}".strip(), completion=f"{i} it is, {i} times{'!' * (2 * i)}")


# Rows whose lengths grow: both programs make the same batches of them.
DATA = {
    "completions": [completion(i) for i in range(4)],
    "two_batches": [completion(i) for i in range(8)],
    "texts": [dict(text="one two three " * i) for i in range(1, 5)],
    "turns": [
        dict(messages=[say("user", "a"), say("assistant", "first answer"), say("user", "b " * i), say("assistant", "second answer, and more")])
        for i in range(1, 5)
    ],
}
# Rows of all lengths, of which some fill no batch, and such as are evaluated: the order of batches is drawn.
MANY = [completion(7 * i % 23) for i in range(23)]
DATA["many"], VALID = MANY, {"many": MANY[:14]}
# name: (fine_tune_type, lora_parameters)
PLAIN = dict(rank=8, scale=20.0, dropout=0.0)
INITIAL = {
    "lora": ("lora", PLAIN),
    "dora": ("dora", PLAIN),
    "keys": ("lora", dict(rank=4, scale=5.0, dropout=0.0, keys=["self_attn.q_proj", "mlp.down_proj"])),
}
COSINE = dict(name="cosine_decay", warmup=3, arguments=[2e-3, 6, 1e-4])
# name: (data, initial, what the file says besides)
CASES = {
    "defaults": ("completions", "lora", {}),
    "adam": ("completions", "lora", dict(learning_rate=1e-3)),
    "adamw": ("completions", "lora", dict(learning_rate=1e-3, optimizer="adamw", optimizer_config=dict(adamw=dict(weight_decay=0.1)))),
    "adamw corrected": (
        "completions",
        "lora",
        dict(learning_rate=1e-3, optimizer="adamw", optimizer_config=dict(adamw=dict(bias_correction=True, betas=[0.8, 0.9]))),
    ),
    "sgd": ("completions", "lora", dict(learning_rate=1e-3, optimizer="sgd", optimizer_config=dict(sgd=dict(momentum=0.9)))),
    "muon": ("completions", "lora", dict(learning_rate=1e-3, optimizer="muon")),
    "adafactor": ("completions", "lora", dict(learning_rate=1e-3, optimizer="adafactor")),
    "cosine with warm-up": ("completions", "lora", dict(lr_schedule=COSINE)),
    "linear from a rate": (
        "completions",
        "lora",
        dict(lr_schedule=dict(name="linear_schedule", warmup=2, warmup_init=1e-4, arguments=[2e-3, 1e-4, 5])),
    ),
    "exponential": ("completions", "lora", dict(lr_schedule=dict(name="exponential_decay", arguments=[2e-3, 0.8]))),
    "step": ("completions", "lora", dict(lr_schedule=dict(name="step_decay", warmup=2, arguments=[2e-3, 0.3, 3]))),
    "mask_prompt": ("completions", "lora", dict(learning_rate=1e-3, mask_prompt=True)),
    "mask_prompt, turns": ("turns", "lora", dict(learning_rate=1e-3, mask_prompt=True)),
    "texts": ("texts", "lora", dict(learning_rate=1e-3)),
    "cut rows": ("completions", "lora", dict(learning_rate=1e-3, max_seq_length=24)),
    "dora": ("completions", "dora", dict(learning_rate=1e-3, fine_tune_type="dora")),
    "full with muon": ("completions", None, dict(learning_rate=1e-3, fine_tune_type="full", num_layers=1, optimizer="muon")),
    "full": ("completions", None, dict(learning_rate=1e-4, fine_tune_type="full", num_layers=1)),
    "keys": ("completions", "keys", dict(learning_rate=1e-3, lora_parameters=INITIAL["keys"][1])),
    "grad_checkpoint": ("completions", "lora", dict(learning_rate=1e-3, grad_checkpoint=True)),
    "accumulation": (
        "two_batches",
        "lora",
        dict(learning_rate=1e-3, iters=20, grad_accumulation_steps=2, steps_per_report=2),
    ),
    "order of batches": ("many", "lora", dict(learning_rate=1e-3, iters=17, steps_per_eval=3, val_batches=2, seed=5)),
    "order and accumulation": (
        "many",
        "lora",
        dict(learning_rate=1e-3, iters=24, grad_accumulation_steps=3, steps_per_report=3, steps_per_eval=6, val_batches=-1),
    ),
}
PROGRAMS = ("lora", "generate", "fuse", "perplexity", "convert", "chat", "server", "cache_prompt")


def config_of(name):
    """The file of a case; its paths are relative to the golden folder."""
    data, initial, settings = CASES[name]
    base = dict(
        model="model",
        train=True,
        data=data,
        num_layers=-1,
        iters=10,
        steps_per_report=1,
        resume_adapter_file=initial and f"{initial}/adapters.safetensors",
    )
    return base | settings


class Recorder(TrainingCallback):
    def __init__(self):
        self.losses, self.val_losses, self.trained_tokens = [], [], 0

    def on_train_loss_report(self, report):
        self.losses.append(report["train_loss"])
        self.trained_tokens = report["trained_tokens"]

    def on_val_loss_report(self, report):
        self.val_losses.append(report["val_loss"])


def losses_of_mlx(config, folder, adapter_path):
    """What `mlx_lm.lora -c CONFIG` reports, run in `folder`."""
    file = Path(adapter_path) / "config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    recorder = Recorder()
    words = ["mlx_lm.lora", "-c", str(file), "--adapter-path", str(adapter_path)]
    patches = [mock.patch.object(sys, "argv", words), mock.patch.object(lora, "get_reporting_callbacks", lambda *_, **__: recorder)]
    with chdir(folder), patches[0], patches[1]:
        lora.main()
    return recorder


def write_model(folder):
    mx.random.seed(3)
    model = Model(ModelArgs.from_dict(CONFIG))
    for path, parameter in tree_flatten(model.parameters()):
        noise = mx.random.normal(parameter.shape)
        value = 1 + 0.1 * noise if "norm" in path else 0.2 * noise
        model.load_weights([(path, value)], strict=False)
    save_model(folder, model)
    save_config(dict(CONFIG), folder / "config.json")
    (folder / "model.safetensors.index.json").unlink()
    write_tokenizer(folder)


def write_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=CONFIG["vocab_size"], special_tokens=SPECIAL, initial_alphabet=sorted(alphabet), show_progress=False)
    texts = [json.dumps(rows) for rows in DATA.values()]
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)


def write_initial(name, inputs):
    kind, parameters = INITIAL[name]
    folder = inputs / name
    mx.random.seed(11)
    model, _ = load_model(inputs / "model")
    model.freeze()
    linear_to_lora_layers(model, -1, parameters, use_dora=kind == "dora")
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    save_config(dict(fine_tune_type=kind, num_layers=-1, lora_parameters=parameters), folder / "adapter_config.json")


def parser_of(program):
    """The parser that a program makes."""
    module = importlib.import_module(f"mlx_lm.{program}")
    made = []

    class Stop(Exception):
        pass

    def parse_args(parser, *_, **__):
        made.append(parser)
        raise Stop

    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse_args):
        try:
            module.main()
        except Stop:
            pass
    return made[0]


def options_of(parser):
    return {
        action.option_strings[0]: dict(names=action.option_strings, default=action.default, takes_value=action.nargs != 0)
        for action in parser._actions
        if action.dest != "help"
    }


def write_options(path):
    programs = {name: options_of(parser_of(name)) for name in PROGRAMS}
    options = dict(version=__version__, lora_defaults=lora.CONFIG_DEFAULTS, programs=programs)
    path.write_text(json.dumps(options, indent=1, sort_keys=True) + "\n")


def write_recipes(path):
    recipes = {}
    for recipe in QUANT_RECIPES:
        model = Model(ModelArgs.from_dict(WIDE))
        choose = mixed_quant_predicate_builder(recipe, model, 32)
        _, config = quantize_model(model, WIDE, 32, None, quant_predicate=choose)
        recipes[recipe] = config["quantization"]
    path.write_text(json.dumps(recipes, indent=1, sort_keys=True) + "\n")


def write_cases(path, scratch):
    cases = {}
    for name in CASES:
        config = config_of(name)
        recorder = losses_of_mlx(config, GOLDEN, scratch / name.replace(" ", "_"))
        cases[name] = dict(config=config, losses=recorder.losses, trained_tokens=recorder.trained_tokens)
        if recorder.val_losses:
            cases[name]["first_val_loss"] = recorder.val_losses[0]
    path.write_text(json.dumps(cases, indent=1) + "\n")


def write_inputs(folder):
    """Model, data and adapters to go on from."""
    write_model(folder / "model")
    for name, rows in DATA.items():
        (folder / name).mkdir()
        for split, rows in (("train", rows), ("valid", VALID.get(name, []))):
            if rows:
                (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in INITIAL:
        write_initial(name, folder)


def main():
    mx.set_default_device(mx.cpu)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write_inputs(GOLDEN)
    write_options(GOLDEN / "options.json")
    write_recipes(GOLDEN / "recipes.json")
    scratch = GOLDEN / "scratch"
    write_cases(GOLDEN / "cases.json", scratch)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
