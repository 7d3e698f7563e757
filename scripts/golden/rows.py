"""Writes crates/metal-candle/tests/golden/rows/: small Parquet files in the shapes of data sets of the Hugging Face hub,
and beside each a JSONL file with what pyarrow reads back from it, row by row.

    pip install pyarrow==26.0.1 zstandard==0.25.0
    python scripts/golden/rows.py

| file | pages | columns |
|---|---|---|
| `alpaca.parquet` | Snappy, dictionaries | instruction, input, output |
| `gsm8k.parquet` | gzip, two row groups | question, answer |
| `messages.parquet` | Snappy, version 2 pages | list of structs with nulls |
| `sharegpt.parquet` | none | list of structs |
| `types.parquet` | none | every type that a column may have |
| `zstd_1.parquet`, `zstd_2.parquet` | Zstandard, versions 1 and 2, two row groups | list of structs with nulls, a column of nulls |
| `latin1_string.parquet`, `latin1_binary.parquet` | none | a text that is no UTF-8; these have no JSONL file |

and `frames.jsonl.zst`, the rows of `gsm8k` in two frames of Zstandard with their checksums, one to be skipped before each.
"""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

FOLDER = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden/rows"


def numbered(n):
    return [
        {"instruction": f"name number {i}", "input": "" if i % 2 else f"in words: {i}", "output": f"number {i}"}
        for i in range(n)
    ]


def sums(n):
    return [{"question": f"what is {i} and {i}?", "answer": f"{i} + {i} = {2 * i}\n#### {2 * i}"} for i in range(n)]


def conversations(n):
    turns = lambda i: [
        {"role": "user", "content": f"say {i}", "weight": None},
        {"role": "assistant", "content": f"{i} it is", "weight": 1 if i % 2 else None},
    ]
    return [{"prompt_id": f"p{i}", "messages": turns(i)} for i in range(n)]


def sharegpt(n):
    turns = lambda i: [{"from": "human", "value": f"say {i}"}, {"from": "gpt", "value": f"{i} it is"}]
    return [{"id": i, "conversations": turns(i)} for i in range(n)]


TYPES = pa.schema(
    [
        ("text", pa.string()),
        ("large", pa.large_string()),
        ("flag", pa.bool_()),
        ("i8", pa.int8()),
        ("u64", pa.uint64()),
        ("i64", pa.int64()),
        ("f32", pa.float32()),
        ("f64", pa.float64()),
        ("words", pa.list_(pa.string())),
        ("nested", pa.struct([("text", pa.list_(pa.string())), ("start", pa.list_(pa.int32()))])),
        ("map", pa.map_(pa.string(), pa.int32())),
    ]
)
VALUES = [
    {
        "text": "é中😀", "large": "l", "flag": True, "i8": -8, "u64": 2**64 - 1, "i64": -(2**63), "f32": 0.5, "f64": 1e300,
        "words": ["a", "b"], "nested": {"text": ["x"], "start": [3]}, "map": {"k": 1},
    },
    {name: None for name in TYPES.names},
    {
        "text": "", "large": "", "flag": False, "i8": 0, "u64": 0, "i64": 0, "f32": 0.0, "f64": -0.25,
        "words": [], "nested": {"text": [], "start": []}, "map": {},
    },
]


def write(name, table, **how):
    pq.write_table(table, FOLDER / f"{name}.parquet", **how)
    rows = pq.read_table(FOLDER / f"{name}.parquet").to_pylist(maps_as_pydicts="strict")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (FOLDER / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def latin1(kind):
    texts = ["plain".encode(), "caf\u00e9".encode("latin-1")]
    array = pa.array(texts, pa.binary())
    if kind == "string":
        array = pa.Array.from_buffers(pa.string(), len(array), array.buffers())
    pq.write_table(pa.table({"text": array}), FOLDER / f"latin1_{kind}.parquet", compression="none", write_statistics=False)


def frames(lines):
    """Lines of text in two frames, each behind one that holds no text (magic number, length, bytes)."""
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    skipped = bytes.fromhex("502a4d18") + (5).to_bytes(4, "little") + b"index"
    half = len(lines) // 2
    parts = [skipped + pack("".join(part).encode()) for part in (lines[:half], lines[half:])]
    (FOLDER / "frames.jsonl.zst").write_bytes(b"".join(parts))


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    write("alpaca", pa.Table.from_pylist(numbered(12)), compression="snappy")
    write("gsm8k", pa.Table.from_pylist(sums(12)), compression="gzip", row_group_size=6)
    write("messages", pa.Table.from_pylist(conversations(8)), compression="snappy", data_page_version="2.0")
    write("sharegpt", pa.Table.from_pylist(sharegpt(8)), compression="none")
    latin1("string")
    latin1("binary")
    write("types", pa.Table.from_pylist(VALUES, TYPES), compression="none")
    nulls = [{**row, "nothing": None} for row in conversations(40)]
    schema = pa.Table.from_pylist(conversations(40)).schema.append(pa.field("nothing", pa.string()))
    for version in "12":
        table = pa.Table.from_pylist(nulls, schema)
        write(f"zstd_{version}", table, compression="zstd", data_page_version=f"{version}.0", row_group_size=25)
    frames((FOLDER / "gsm8k.jsonl").read_text().splitlines(keepends=True))


if __name__ == "__main__":
    main()
