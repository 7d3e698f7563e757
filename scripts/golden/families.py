"""The families of chat models whose templates are tested: special tokens, how text is split, where turns end.

The template of a family comes from TRL's chat_templates/ folder (Apache-2.0), which keeps the ones that the
models are published with, except mistral, which is templates/mistral.jinja.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|")


@dataclass(frozen=True)
class Family:
    name: str
    bos: str | None
    eos: str
    end_of_turn: str
    header: tuple[str, ...]
    """What may stand right before an assistant's words, less final newlines."""
    special: tuple[str, ...]
    """Tokens that decoding skips."""
    plain_added: tuple[str, ...] = ()
    """Added tokens that decoding keeps, such as <think>."""
    pad: str | None = None
    special_first: bool = False
    """Whether special tokens have the lowest ids (SentencePiece models) or the highest (tiktoken ones)."""
    split: str = GPT2_SPLIT
    nfc: bool = False
    template_in_config: bool = False
    """Whether the template is saved inside tokenizer_config.json or as chat_template.jinja."""
    tools: bool = False
    raises: frozenset[str] = frozenset()
    """Names of the conversations that the template refuses."""


QWEN = dict(
    bos=None,
    eos="<|im_end|>",
    end_of_turn="<|im_end|>",
    header=("<|im_start|>assistant",),
    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    pad="<|endoftext|>",
    split=QWEN_SPLIT,
    nfc=True,
    tools=True,
)
QWEN_TOOL_TOKENS = ("<tool_call>", "</tool_call>")
LLAMA3 = dict(
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
    end_of_turn="<|eot_id|>",
    header=("<|start_header_id|>assistant<|end_header_id|>",),
    special=(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
    ),
    split=LLAMA3_SPLIT,
)
GEMMA = dict(
    bos="<bos>",
    eos="<eos>",
    end_of_turn="<end_of_turn>",
    header=("<start_of_turn>model",),
    special=("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
    pad="<pad>",
    special_first=True,
)
MISTRAL_MARKS = ("INST", "AVAILABLE_TOOLS", "TOOL_RESULTS")

FAMILIES = [
    Family("qwen2.5", **QWEN, plain_added=QWEN_TOOL_TOKENS, template_in_config=True),
    Family("qwen3", **QWEN, plain_added=QWEN_TOOL_TOKENS + ("<think>", "</think>")),
    Family("llama3", **LLAMA3, template_in_config=True),
    Family("llama3.1", **LLAMA3, tools=True, raises=frozenset({"parallel_tool_calls"})),
    Family(
        "mistral",
        bos="<s>",
        eos="</s>",
        end_of_turn="</s>",
        header=("[/INST]", "[/TOOL_RESULTS]"),
        special=("<unk>", "<s>", "</s>", "[TOOL_CALLS]")
        + tuple(f"[{slash}{mark}]" for mark in MISTRAL_MARKS for slash in ("", "/")),
        special_first=True,
        template_in_config=True,
        tools=True,
        raises=frozenset({"two_user_turns"}),
    ),
    Family("gemma", **GEMMA, raises=frozenset({"system", "system_multi_turn", "two_user_turns"})),
    Family("gemma3", **GEMMA, raises=frozenset({"two_user_turns"})),
]


def read_template(family):
    if family.name == "mistral":
        path = Path(__file__).parent / "templates/mistral.jinja"
    else:
        trl = Path(find_spec("trl").submodule_search_locations[0])  # found, not imported: TRL needs much more
        path = trl / "chat_templates" / f"{family.name.replace('.', '_')}.jinja"
    return path.read_text(encoding="utf-8")
