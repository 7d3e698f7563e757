"""Chat templates and tokenizers, as transformers applies them.

Writes, for each family of families.py:

    chat/<family>/tokenizer.json, tokenizer_config.json[, chat_template.jinja]   as transformers saves them
    chat/<family>/cases.json          [{name, messages, tools (or null), rendered, rendered_with_generation_prompt,
                                        input_ids, assistant_mask}] of `rendered`, or
                                      [{name, messages, tools, error}] where the template refuses
    chat/<family>/tokenization.json   [{text, ids, ids_no_special, decoded}]; `decoded` is `ids` less special tokens

`assistant_mask` is 1 on the tokens an assistant wrote, the end of its turn included (generation_tags.py).
"""

from itertools import groupby

from common import GOLDEN, save_json_lines
from conversations import conversations, texts
from families import FAMILIES, read_template
from generation_tags import add_generation_tags
from jinja2.exceptions import TemplateError
from tokenizer import build_tokenizer
from transformers import AutoTokenizer


def write_all():
    for family in FAMILIES:
        write(family)


def write(family):
    folder = GOLDEN / "chat" / family.name
    template = read_template(family)
    build_tokenizer(family, template).save_pretrained(folder, save_jinja_files=not family.template_in_config)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == template
    tagged = add_generation_tags(family.name, template)
    cases = [make_case(family, tokenizer, tagged, *case) for case in conversations(family)]
    save_json_lines(folder / "cases.json", cases)
    save_json_lines(folder / "tokenization.json", [tokenize(tokenizer, text) for text in texts(family)])


def make_case(family, tokenizer, tagged, name, messages, tools):
    case = dict(name=name, messages=messages, tools=tools)
    try:
        rendered = render(tokenizer, messages, tools)
    except TemplateError as error:
        assert name in family.raises, f"{family.name} {name}: {error}"
        return case | dict(error=str(error))
    assert name not in family.raises, f"{family.name} {name}: should have raised"
    input_ids, mask = encode_with_mask(tokenizer, tagged, messages, tools)
    assert render(tokenizer, messages, tools, chat_template=tagged) == rendered
    check_mask(family, tokenizer, rendered, mask, sum(message["role"] == "assistant" for message in messages))
    return case | dict(
        rendered=rendered,
        rendered_with_generation_prompt=render(tokenizer, messages, tools, add_generation_prompt=True),
        input_ids=input_ids,
        assistant_mask=mask,
    )


def render(tokenizer, messages, tools, **options):
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **options)


def encode_with_mask(tokenizer, tagged, messages, tools):
    options = dict(tools=tools, tokenize=True, return_dict=True)
    encoded = tokenizer.apply_chat_template(
        messages, chat_template=tagged, return_assistant_tokens_mask=True, **options
    )
    assert tokenizer.apply_chat_template(messages, **options)["input_ids"] == encoded["input_ids"]
    return encoded["input_ids"], encoded["assistant_masks"]


def check_mask(family, tokenizer, rendered, mask, n_assistant_turns):
    """Each masked run is one assistant turn: right after a header, up to the end-of-turn token inclusive."""
    encoded = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    runs = [list(run) for value, run in groupby(range(len(mask)), key=mask.__getitem__) if value]
    assert len(runs) == n_assistant_turns
    for run in runs:
        start, _ = encoded["offset_mapping"][run[0]]
        # A token may straddle the boundary when the header ends, and the content begins, with newlines.
        assert rendered[:start].rstrip("\n").endswith(family.header)
        assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][run[-1]]) == family.end_of_turn


def tokenize(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    return dict(
        text=text,
        ids=ids,
        ids_no_special=tokenizer(text, add_special_tokens=False)["input_ids"],
        decoded=tokenizer.decode(ids, skip_special_tokens=True),
    )
