"""Tokenizers of SentencePiece's kind in GGUF files, as llama.cpp's converter would write them, and what transformers makes of
texts with them. llama.cpp itself gives the same ids (seen with llama-cpp-python 0.3.36)."""

import json

import gguf
from tokenizers import Tokenizer, models, normalizers, trainers
from tokenizer import CORPUS
from transformers import LlamaTokenizer
from transformers.integrations.gguf.gguf_tokenizer_mapping import (
    add_gguf_special_tokens,
    get_gguf_tokenizer,
    get_merges,
    phi3_tokenizer,
)

N_PIECES = 200
# Characters of the corpus that have a token; all others are spelt in bytes.
ALPHABET = sorted(set("".join(CORPUS[:7])) - set(' z"') | {"▁"})
# A blank in what users define is a blank, not ▁.
CONTROL, USER_DEFINED = ["<s>", "</s>"], ["<|tool|>", "\n\n", "    "]
TYPES = gguf.TokenType
TEXTS = [
    "Hello, who are you?",
    "the weather is  green\tand\n\n\nblue",
    "  two blanks before, one behind ",
    "naïve café 你好 🙂 e\u0301 zoo",
    "<s>a<|tool|>the time</s> and <|tool|> the",
    "<0x41> <unk> <|tool",
    "▁ is not a blank",
    "one    two     three",
    " ",
    "",
]
# Whether a blank is put before a text.
FILES = {"sentencepiece": True, "sentencepiece-no-prefix": False}


def write_all(folder):
    pieces = trained()
    cases = {name: write(folder / f"{name}.gguf", pieces, prefix) for name, prefix in FILES.items()}
    text = json.dumps(cases, ensure_ascii=False, indent=1)
    (folder / "tokenizers.json").write_text(text + "\n", encoding="utf-8")


def trained():
    """Pieces of a pair encoding, the ones of a single character last, as SentencePiece orders them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(
        vocab_size=N_PIECES, initial_alphabet=ALPHABET, limit_alphabet=len(ALPHABET), show_progress=False
    )
    words = [f"▁{word}" for line in CORPUS for word in line.split()]
    tokenizer.train_from_iterator(words, trainer)
    ids = tokenizer.get_vocab()
    order = sorted(ids, key=ids.get)
    return [p for p in order if len(p) > 1] + [p for p in order if len(p) == 1]


def write(path, pieces, prefix):
    tokens = [("<unk>", 0, TYPES.UNKNOWN)]
    tokens += [(token, 0, TYPES.CONTROL) for token in CONTROL]
    tokens += [(f"<0x{byte:02X}>", 0, TYPES.BYTE) for byte in range(256)]
    tokens += [(piece, -rank, TYPES.NORMAL) for rank, piece in enumerate(pieces)]
    tokens += [(token, -1000, TYPES.USER_DEFINED) for token in USER_DEFINED]
    names, scores, types = zip(*tokens)
    # transformers puts a blank before every text of Phi-3 as SentencePiece does, and of Llama only where none is there.
    writer = gguf.GGUFWriter(path, "phi3" if prefix else "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_scores([float(score) for score in scores])
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(prefix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return [case(backend(path, prefix), text) for text in TEXTS]


def backend(path, prefix):
    """transformers' tokenizer of the file; it does not read `add_space_prefix`."""
    _, tokens, _ = get_gguf_tokenizer(str(path))
    if prefix:
        tokenizer = phi3_tokenizer(tokens)
    else:
        vocab = {token: i for i, token in enumerate(tokens["tokens"])}
        tokenizer = LlamaTokenizer(vocab=vocab, merges=get_merges(tokens), add_prefix_space=False)
    return add_gguf_special_tokens(tokenizer, tokens).backend_tokenizer


def case(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return dict(text=text, ids=ids, decoded=tokenizer.decode(ids, skip_special_tokens=False))
