"""Records of TensorBoard's own writer, which the event files of `train --report-to tensorboard` are compared with.

Run by hand with tensorboard installed: python scripts/golden/tensorboard_events.py
"""

import io
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

TO = Path(__file__).parents[2] / "crates/cli/tests/golden/tensorboard/events"


def events():
    yield Event(wall_time=1_700_000_000.25, file_version="brain.Event:2")
    yield Event(wall_time=1_700_000_001.5, step=300, session_log=SessionLog(status=SessionLog.START))
    values = [
        Summary.Value(tag="train/loss", simple_value=2.5),
        Summary.Value(tag="valid/loss", simple_value=0.1),
    ]
    yield Event(wall_time=1_700_000_002.75, step=1_234_567, summary=Summary(value=values))


def main():
    out = io.BytesIO()
    writer = RecordWriter(out)
    for event in events():
        writer.write(event.SerializeToString())
    TO.parent.mkdir(parents=True, exist_ok=True)
    TO.write_bytes(out.getvalue())


if __name__ == "__main__":
    main()
