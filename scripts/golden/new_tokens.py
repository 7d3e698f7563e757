"""Adapters of models whose vocabulary got two tokens more, in the three ways in which PEFT keeps the new rows.

Both bases are resized as transformers does it (`resize_token_embeddings`), their new rows the mean of all others: qwen2,
whose head is its embedding (`tied`), and qwen3 (`untied`). Writes, for each of them, below new-tokens/<base>/:

    initial_adapter/      `trainable_token_indices` beside LoRA, as PEFT begins
    batches.safetensors   input_ids, labels (S, B, T) i64: S = 10, B = 4, T = 24, one token in eight is new
    losses.json           {"losses": [S], "grad_norms": [S]}: mean over tokens, before each step, and before clipping
    final_adapter/        after the last step of AdamW
    with_embeddings/      the same, as PEFT saves it where it sees that the vocabulary was resized
    saved/                new values of the whole embedding and head (`modules_to_save`)
    frozen/               LoRA alone, beside new rows at random, which PEFT saves with it (`save_embedding_layers`)
    logits.safetensors    input_ids (2, 24) i64, and of each adapter <adapter> (2, 24, V + 2) f32, as PEFT loads it
"""

import torch
from common import GOLDEN, generator, save_adapter, save_json, save_tensors
from models import N_VOCAB, forward
from peft import LoraConfig, PeftModel, get_peft_model
from training import N_ROWS, N_STEPS, N_TOKENS, base_of, train

BASES = {"tied": "qwen2", "untied": "qwen3"}
NEW = [N_VOCAB, N_VOCAB + 1]
ADAPTERS = ["final_adapter", "with_embeddings", "saved", "frozen"]
LORA = dict(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")


def write_all():
    for name, base in BASES.items():
        folder = GOLDEN / "new-tokens" / name
        write_trained(folder, base, name)
        write_saved(folder, base)
        write_frozen(folder, base)
        input_ids = make_batches()["input_ids"][0][:2]
        logits = {adapter: logits_of(base, folder / adapter, input_ids) for adapter in ADAPTERS}
        save_tensors(folder / "logits.safetensors", dict(input_ids=input_ids, **logits))


@torch.no_grad()
def resized(base, new_rows=None):
    """The base with two more tokens, whose rows are the mean of all others, or `new_rows` and their negatives in the head."""
    model = base_of(base)
    model.resize_token_embeddings(N_VOCAB + len(NEW), mean_resizing=False)
    model.get_input_embeddings().padding_idx = None
    for sign, layer in [(-1, model.get_output_embeddings()), (1, model.get_input_embeddings())]:
        old = layer.weight[:N_VOCAB]
        layer.weight[N_VOCAB:] = old.mean(0) if new_rows is None else sign * new_rows
    return model


def write_trained(folder, base, name):
    torch.manual_seed(40)  # PEFT draws A from the global generator
    tokens = {"embed_tokens": NEW} | ({} if name == "tied" else {"lm_head": NEW})
    model = get_peft_model(resized(base), LoraConfig(**LORA, trainable_token_indices=tokens))
    save_adapter(model, folder / "initial_adapter")
    batches = make_batches()
    save_tensors(folder / "batches.safetensors", batches)
    losses, norms = train(model, zip(batches["input_ids"], batches["labels"]))
    save_json(folder / "losses.json", dict(losses=losses, grad_norms=norms))
    save_adapter(model, folder / "final_adapter")
    save_with_embeddings(model, folder / "with_embeddings")


@torch.no_grad()
def write_saved(folder, base):
    model = get_peft_model(resized(base), LoraConfig(**LORA, modules_to_save=["embed_tokens", "lm_head"]))
    randomise(model, 41)
    save_adapter(model, folder / "saved")


@torch.no_grad()
def write_frozen(folder, base):
    rows = 0.2 * torch.randn(len(NEW), base_of(base).config.hidden_size, generator=generator(42))
    model = get_peft_model(resized(base, rows), LoraConfig(**LORA))
    randomise(model, 43)
    save_with_embeddings(model, folder / "frozen")


def randomise(model, seed):
    rng = generator(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))


def save_with_embeddings(model, folder):
    model.save_pretrained(folder, save_embedding_layers=True)
    (folder / "README.md").unlink()


def make_batches():
    rng = generator(44)
    shape = (N_STEPS, N_ROWS, N_TOKENS)
    zipf = 1 / torch.arange(1.0, N_VOCAB + 1)
    input_ids = torch.multinomial(zipf, N_STEPS * N_ROWS * N_TOKENS, True, generator=rng).reshape(shape)
    new = N_VOCAB + torch.randint(len(NEW), shape, generator=rng)
    is_new = torch.randint(8, shape, generator=rng) == 0
    input_ids = torch.where(is_new, new, input_ids)
    return dict(input_ids=input_ids, labels=input_ids.clone())


def logits_of(base, adapter, input_ids):
    return forward(PeftModel.from_pretrained(resized(base), adapter).eval(), input_ids)
