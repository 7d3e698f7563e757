"""What Jinja2, in the environment that transformers makes for chat templates, gives for single expressions.

Writes templates/expressions.json: {variables, cases}, a case being one of
    {template, text}      the text rendered
    {template, error}     Python refuses: true
    {template, unlike}    Python's text, which is not ours to match: addresses of objects, or what we refuse by name
"""

import json
import re

from common import GOLDEN
from jinja_cases import BLOCKS, REFUSED, TEMPLATES, VARIABLES
from transformers.utils.chat_template_utils import _compile_jinja_template


def write_all():
    templates = dict.fromkeys([f"{{{{ {expression} }}}}" for expression in expressions()] + TEMPLATES)
    cases = [make_case(template) for template in templates]
    folder = GOLDEN / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    variables = json.dumps(VARIABLES, ensure_ascii=False)
    text = f'{{"variables": {variables},\n"cases": [\n{lines}\n]}}\n'
    (folder / "expressions.json").write_text(text, encoding="utf-8")


def expressions():
    """Expressions of the blocks; `|` without blanks separates them, since a filter's has blanks around it."""
    for block in BLOCKS:
        for line in re.split(r"(?<!\\)\n", block.strip()):
            yield from re.split(r"(?<![ |'\"])\|(?! )", line)


def make_case(template):
    try:
        text = _compile_jinja_template(template).render(**VARIABLES)
        text.encode()
    except Exception:
        return dict(template=template, error=True)
    inner = template.removeprefix("{{ ").removesuffix(" }}")
    if inner in REFUSED or " at 0x" in text or "built-in" in text:
        return dict(template=template, unlike=text if " at 0x" not in text else "")
    return dict(template=template, text=text)


if __name__ == "__main__":
    write_all()
