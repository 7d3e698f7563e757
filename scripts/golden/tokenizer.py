"""A tiny byte-level BPE tokenizer (about 400 tokens) with the special tokens of a family."""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

N_VOCAB = 400
CORPUS = [
    "Hello, who are you? I am a small test model, and you are a person.\n\n",
    "system user assistant model tool ipython function name arguments parameters content\n",
    "The weather of the city is rain and then rain again, and the colour of the grass is green.\n",
    "Name another colour. Why that one? Because it is the one that I have seen in the morning.\n\n",
    "What is the time? It's noon, isn't it? They are there, and we will be there too.\n",
    '{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}\n',
    "fn main() { let x = 1; println!(\"{}\", x + 1); }\n    return x\n",
    "one\n\ntwo\n\nthree\n\nfour",
    "naïve café déjà vu 你好 世界 こんにちは 🙂 🌍\n",
]


def build_tokenizer(family, chat_template):
    backend = train_bpe(family)
    if family.bos:
        bos_id = backend.token_to_id(family.bos)
        backend.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", special_tokens=[(family.bos, bos_id)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        chat_template=chat_template,
    )


def train_bpe(family):
    tokenizer = Tokenizer(models.BPE())
    if family.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(family.split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    first = [AddedToken(token, special=True) for token in family.special] if family.special_first else []
    n_added_later = 0 if family.special_first else len(family.special) + len(family.plain_added)
    trainer = trainers.BpeTrainer(
        vocab_size=N_VOCAB - n_added_later,
        special_tokens=first,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in family.special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.plain_added])
    return tokenizer
