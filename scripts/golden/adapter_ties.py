"""Adapters with `ensure_weight_tying` on the checkpoint qwen2, whose head is its embedding, and what PEFT computes with them.

Writes, for each <case> of CASES:

    adapter-ties/<case>/        written by PEFT; all that is trained is random
    adapter-ties/golden.safetensors
        input_ids          (B, T) i64      B = 2, T = 40
        <case>.logits      (B, V) f32      of the last token, V = 96, of the folder as PEFT loads it
        <case>.loss        () f32          mean over all tokens but the first of each row
        <case>.grad.<key>                  its gradients, by the key in the file

PEFT has two parameters in one memory, and two gradients: their sum is that of what they share.
"""

import torch
from common import GOLDEN, generator, save_adapter, save_tensors
from models import N_VOCAB, forward
from peft import LoraConfig, PeftModel, get_peft_model
from training import base_of

BASE = "qwen2"
EMBEDDING, HEAD = "base_model.model.model.embed_tokens", "base_model.model.lm_head"
CASES = {
    "embedding": dict(target_modules=["q_proj", "embed_tokens"]),
    "head": dict(target_modules=["q_proj", "lm_head"], use_rslora=True),
    "dora": dict(target_modules=["embed_tokens"], use_dora=True),
    "saved": dict(target_modules=["q_proj"], modules_to_save=["lm_head"]),
}
# The head's tensors, and those of the embedding that they are.
SAME = [
    (f"{HEAD}.lora_A.weight", f"{EMBEDDING}.lora_embedding_B", True),
    (f"{HEAD}.lora_B.weight", f"{EMBEDDING}.lora_embedding_A", True),
    (f"{HEAD}.weight", f"{EMBEDDING}.weight", False),
]


def write_all():
    input_ids = torch.randint(N_VOCAB, (2, 40), generator=generator(11))
    golden = dict(input_ids=input_ids)
    base = forward(base_of(BASE), input_ids)[:, -1]
    for name, config in CASES.items():
        folder = GOLDEN / "adapter-ties" / name
        write(folder, config)
        model = PeftModel.from_pretrained(base_of(BASE), folder, is_trainable=True).eval()
        golden[f"{name}.logits"] = forward(model, input_ids)[:, -1]
        assert (golden[f"{name}.logits"] - base).abs().mean() > 0.02, f"{name} hardly changes the logits"
        loss, gradients = gradients_of(model, input_ids)
        golden[f"{name}.loss"] = loss
        golden |= {f"{name}.grad.{key}": gradient for key, gradient in gradients.items()}
    save_tensors(GOLDEN / "adapter-ties" / "golden.safetensors", golden)


@torch.no_grad()
def write(folder, config):
    config = LoraConfig(r=3, lora_alpha=6, task_type="CAUSAL_LM", ensure_weight_tying=True, **config)
    model = get_peft_model(base_of(BASE), config)
    rng = generator(31)
    for key, parameter in model.named_parameters():
        if any(name in key for name in (".lora_A.", ".lora_B.", ".lora_embedding_", ".modules_to_save.")):
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
        if ".lora_magnitude_vector." in key:
            parameter.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=rng))
    save_adapter(model, folder)


def gradients_of(model, input_ids):
    loss = model(input_ids=input_ids, labels=input_ids).loss
    loss.backward()
    gradients = {key_in_file(key): p.grad for key, p in model.named_parameters(remove_duplicate=False) if p.grad is not None}
    for head, embedding, is_transposed in SAME:
        gradient = gradients.pop(head, None)
        if gradient is None or gradient is gradients.get(embedding):
            continue  # One parameter for both: its gradient is the sum already.
        gradients[embedding] = gradients[embedding] + (gradient.T if is_transposed else gradient)
    return loss, gradients


def key_in_file(key):
    key = key.replace(".modules_to_save.default", "").replace(".default", "")
    return key.replace("magnitude_vector.weight", "magnitude_vector")
