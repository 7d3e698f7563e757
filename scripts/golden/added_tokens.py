"""What the files beside tokenizer.json add to it, as transformers applies them.

Writes added_tokens/cases.json: [{name, files, texts, special_tokens}]

    files           {file name: its JSON}, all that a tokenizer's folder holds
    texts           [{text, ids, ids_no_special, decoded, decoded_all}]; `decoded` is `ids` less special tokens
    special_tokens  {role: [token, id]}

and added_tokens/grown.json, what a user's own special tokens make of some of these tokenizers:
[{name, files, added: [token], added_ids: [id], texts: [{text, ids, decoded}]}]

`hole` is the exception: transformers gives its token another id than its file names, which is an error of ours.
"""

import json
import tempfile
from pathlib import Path

from common import GOLDEN, save_json_lines
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz<>|/_.Ġ"
N_VOCAB = len(LETTERS) + 2
ROLES = ["bos_token", "eos_token", "pad_token", "unk_token"]
ADDED = ["<x>", "</x>", "<|im_end|>"]
GROWN = ["config_alone", "decoder", "eos_only_in_config", "added_tokens_json", "map", "eos_keeps_its_flags"]
GROWN_TEXTS = ["a<x>b</x>", "<x> a </x>.", "a<tool>b<|im_end|><x>"]
TEXTS = ["a<tool>b<|im_end|>", "a <tool> b", "a<TOOL>b", "xa<tool>", "<s>a</s>", "ab <pad> b<|x|>a.", ""]


def write_all():
    (GOLDEN / "added_tokens").mkdir(exist_ok=True)
    all_cases = cases()
    save_json_lines(GOLDEN / "added_tokens/cases.json", [make_case(name, files) for name, files in all_cases.items()])
    grown = [make_grown(name, all_cases[name], ADDED) for name in GROWN]
    save_json_lines(GOLDEN / "added_tokens/grown.json", grown)


def base(added=(), bos=False, normalizer=None):
    """Byte-level BPE over a few letters; its vocabulary holds <s> and </s> as plain tokens."""
    vocab = {token: i for i, token in enumerate([*LETTERS, "<s>", "</s>"])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(added))
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", vocab["<s>"])]
        )
    return json.loads(tokenizer.to_str())


def token(content, special=False, lstrip=False, rstrip=False, single_word=False, normalized=False):
    return dict(
        content=content, lstrip=lstrip, normalized=normalized, rstrip=rstrip, single_word=single_word, special=special
    )


def cases():
    tool = AddedToken("<tool>", special=True)
    n = N_VOCAB
    decoder = {str(n): token("<tool>"), str(n + 1): token("<|im_end|>", special=True)}
    lowercase = normalizers.Lowercase()
    flags = [dict(lstrip=True), dict(rstrip=True), dict(single_word=True), dict(normalized=True), dict(special=True)]
    plain = {
        "decoder": config(added_tokens_decoder=decoder),
        "decoder_and_roles": config(added_tokens_decoder=decoder, eos_token="<|im_end|>", pad_token="<pad>"),
        "eos_only_in_config": config(eos_token="<|im_end|>"),
        "eos_as_object": config(eos_token={"__type": "AddedToken", **token("<|im_end|>", lstrip=True)}),
        "eos_is_a_plain_word": config(eos_token="</s>", bos_token="<s>"),
        "additional": config(additional_special_tokens=["<tool>", token("<|x|>", rstrip=True) | {"__type": "AddedToken"}]),
        "extra": config(extra_special_tokens=["<tool>"]),
        "extra_by_name": config(extra_special_tokens={"tool_token": "<tool>"}),
        "role_of_a_model": config(tool_token="<tool>"),
        "add_bos": config(bos_token="<s>", eos_token="</s>", add_bos_token=True),
        "add_eos": config(bos_token="<s>", eos_token="</s>", add_bos_token=True, add_eos_token=True),
        "add_bos_without_bos": config(eos_token="</s>", add_bos_token=True),
        "split_special": config(bos_token="<s>", eos_token="</s>", split_special_tokens=True),
        "hole": config(added_tokens_decoder={str(n + 5): token("<tool>")}),
    }
    result = {name: {"tokenizer.json": base(), "tokenizer_config.json": written} for name, written in plain.items()}
    for flag in flags:
        written = config(added_tokens_decoder={str(n): token("<tool>", **flag)})
        result["flag_" + "".join(flag)] = {
            "tokenizer.json": base(normalizer=lowercase), "tokenizer_config.json": written
        }
    result |= {
        "other_flags": {
            "tokenizer.json": base([tool]),
            "tokenizer_config.json": config(added_tokens_decoder={str(n): token("<tool>", lstrip=True)}),
        },
        "eos_becomes_special": {
            "tokenizer.json": base([AddedToken("<|im_end|>", normalized=False)]),
            "tokenizer_config.json": config(eos_token="<|im_end|>"),
        },
        "eos_keeps_its_flags": {
            "tokenizer.json": base([AddedToken("<tool>", lstrip=True, special=True)]),
            "tokenizer_config.json": config(eos_token="<tool>"),
        },
        "no_bos_though_the_file_adds_it": {
            "tokenizer.json": base(bos=True),
            "tokenizer_config.json": config(bos_token="<s>", eos_token="</s>", add_bos_token=False),
        },
        "bos_of_the_file": {
            "tokenizer.json": base(bos=True),
            "tokenizer_config.json": config(bos_token="<s>", eos_token="</s>"),
        },
        "map": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(),
            "special_tokens_map.json": {"eos_token": token("<|im_end|>"), "additional_special_tokens": ["<tool>"]},
        },
        "map_wins": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(eos_token="</s>"),
            "special_tokens_map.json": {"eos_token": "<|im_end|>"},
        },
        "map_beside_a_decoder": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(added_tokens_decoder=decoder, eos_token="<|im_end|>"),
            "special_tokens_map.json": {"eos_token": "</s>", "additional_special_tokens": ["<|x|>"]},
        },
        "added_tokens_json": {
            "tokenizer.json": base(normalizer=lowercase),
            "tokenizer_config.json": config(eos_token="<|im_end|>"),
            "added_tokens.json": {"<tool>": n + 1, "<|im_end|>": n},
        },
        "added_tokens_json_beside_a_decoder": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(added_tokens_decoder=decoder),
            "added_tokens.json": {"<|x|>": n + 2},
        },
        "prefix_space": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(add_prefix_space=True),
        },
        "clean_up": {
            "tokenizer.json": base(),
            "tokenizer_config.json": config(clean_up_tokenization_spaces=True),
        },
        "config_alone": {"tokenizer.json": base([tool])},
    }
    return result


def config(**fields):
    return {"tokenizer_class": "PreTrainedTokenizerFast", **fields}


def make_case(name, files):
    tokenizer = read(files)
    roles = [(role, getattr(tokenizer, role, None)) for role in ROLES]
    return dict(
        name=name,
        files=files,
        texts=[tokenize(tokenizer, text) for text in TEXTS],
        special_tokens={r: [t, tokenizer.convert_tokens_to_ids(t)] for r, t in roles if t is not None},
    )


def tokenize(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    return dict(
        text=text,
        ids=ids,
        ids_no_special=tokenizer(text, add_special_tokens=False)["input_ids"],
        decoded=tokenizer.decode(ids, skip_special_tokens=True),
        decoded_all=tokenizer.decode(ids),
    )


def make_grown(name, files, added):
    tokenizer = read(files)
    tokenizer.add_tokens(added, special_tokens=True)
    texts = [(text, tokenizer(text, add_special_tokens=False)["input_ids"]) for text in GROWN_TEXTS]
    return dict(
        name=name,
        files=files,
        added=added,
        added_ids=tokenizer.convert_tokens_to_ids(added),
        texts=[dict(text=t, ids=ids, decoded=tokenizer.decode(ids, skip_special_tokens=True)) for t, ids in texts],
    )


def read(files):
    with tempfile.TemporaryDirectory() as folder:
        for file, value in files.items():
            (Path(folder) / file).write_text(json.dumps(value), encoding="utf-8")
        return AutoTokenizer.from_pretrained(folder)
