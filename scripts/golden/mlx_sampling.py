"""What mlx-lm's `make_logits_processors` makes of logits, in crates/metal-candle/tests/golden/sampling.json:

    pip install -r scripts/golden/requirements-mlx.txt
    python scripts/golden/mlx_sampling.py

A list of cases: `logits` (V), `history` (token ids), the arguments by mlx-lm's names (`logit_bias` as a list of pairs), and
`adjusted` (V), all float32.
"""

import json
from pathlib import Path

import mlx.core as mx
from mlx_lm.sample_utils import make_logits_processors

GOLDEN = Path(__file__).resolve().parents[2] / "crates/metal-candle/tests/golden/sampling.json"
V = 12
HISTORY = [3, 7, 3, 0, 11, 3, 5, 7, 9, 2, 3, 3]
CASES = [
    dict(logit_bias={2: 1.5, 7: -100.0}),
    dict(repetition_penalty=1.3),
    dict(repetition_penalty=0.8, repetition_context_size=3),
    dict(presence_penalty=0.7),
    dict(presence_penalty=-0.4, presence_context_size=4),
    dict(frequency_penalty=0.3),
    dict(frequency_penalty=0.9, frequency_context_size=5),
    dict(
        logit_bias={3: 4.0, 1: -0.25},
        repetition_penalty=1.7,
        repetition_context_size=6,
        presence_penalty=0.5,
        presence_context_size=2,
        frequency_penalty=-0.2,
        frequency_context_size=11,
    ),
]


def main():
    mx.set_default_device(mx.cpu)
    mx.random.seed(0)
    cases = []
    for arguments in CASES:
        logits = 3 * mx.random.normal((1, V))
        adjusted = mx.array(logits)
        for processor in make_logits_processors(**arguments):
            adjusted = processor(mx.array(HISTORY), adjusted)
        bias = list(arguments.get("logit_bias", {}).items())
        cases.append(
            dict(arguments, logit_bias=bias, history=HISTORY, logits=logits[0].tolist(), adjusted=adjusted[0].tolist())
        )
    GOLDEN.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
