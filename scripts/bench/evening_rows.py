"""Rows of a job: a function of Python's own library, and the first paragraph of its docstring."""

import ast
import inspect
import json
import random
import sysconfig
from pathlib import Path

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "idlelib", "__pycache__"}
PROMPT = "Write the docstring of this function of Python's module {module}:\n\n{signature}"


def rows():
    """All there are, each docstring once, in the order of a fixed seed."""
    library = Path(sysconfig.get_path("stdlib"))
    found = {}
    for path in sorted(library.rglob("*.py")):
        names = path.relative_to(library).with_suffix("").parts
        if not LEFT_OUT & set(names):
            for row in rows_of(path, ".".join(names).removesuffix(".__init__")):
                found.setdefault(row["completion"], row)
    shuffled = list(found.values())
    random.Random(0).shuffle(shuffled)
    return shuffled


def rows_of(path, module):
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
            text = " ".join(inspect.cleandoc(ast.get_docstring(node)).split("\n\n")[0].split())
            if text:
                yield {"prompt": PROMPT.format(module=module, signature=signature(node)), "completion": text}


def signature(node):
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind} {node.name}({ast.unparse(node.args)}){returns}:"


def write(folder, wanted):
    """`train.jsonl` and, of every tenth row, `valid.jsonl`; gives how many rows they have."""
    chosen = rows()[:wanted]
    parts = {"train": [row for i, row in enumerate(chosen) if i % 10], "valid": chosen[::10]}
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return {name: len(part) for name, part in parts.items()}
