"""Reads event files of `train --report-to tensorboard` with TensorBoard's own reader, and compares them with metrics.jsonl.

    pip install tensorboard
    python scripts/interop/check_tensorboard.py RUN_FOLDER [NAME]
"""

import json
import math
import sys
from pathlib import Path

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Names of figures there and here; a report has train_loss, an evaluation val_loss.
TRAIN = {"loss": "train_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm",
         "tokens_per_sec": "tokens_per_sec", "trained_tokens": "trained_tokens"}
VALID = {"loss": "val_loss", "seconds": "seconds"}


def main():
    run = Path(sys.argv[1])
    folder = run / "tensorboard" / (sys.argv[2] if len(sys.argv) > 2 else "")
    # purge_orphaned_data is what makes a part that goes on void what came after its start.
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=True).Reload()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    n = 0
    for group, names, key in (("train", TRAIN, "train_loss"), ("valid", VALID, "val_loss")):
        ours = [line for line in lines if line.get(key) is not None]
        for there, here in names.items():
            tag = f"{group}/{there}"
            read = [(event.step, event.value) for event in events.Scalars(tag)]
            expected = [(line["step"], float(numpy.float32(line[here]))) for line in ours]
            assert read == expected, f"{tag}: {read} is not {expected}"
            n += len(read)
        memory = [line for line in ours if line.get("peak_memory_bytes") is not None]
        if group == "train" and memory:
            read = [event.value for event in events.Scalars("train/peak_memory_gb")]
            assert all(math.isclose(a, b["peak_memory_bytes"] / 1e9, rel_tol=1e-6) for a, b in zip(read, memory, strict=True))
    assert n, "no figure was read"
    print(f"{n} figures are those of metrics.jsonl; tags: {', '.join(events.Tags()['scalars'])}")


if __name__ == "__main__":
    main()
