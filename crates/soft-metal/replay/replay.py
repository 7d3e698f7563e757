"""Launches that software Metal has written, repeated on an NVIDIA GPU and compared with what it computed.

    python3 replay.py [--only KERNEL] [--most N] [--unwritten] [FOLDER]

Needs numpy, the driver, NVRTC and CUDA's headers; nothing else. Every buffer is an allocation of its own, so that
`compute-sanitizer --tool memcheck|racecheck|synccheck python3 replay.py` sees what leaves one; with --unwritten, what was never
written is left alone instead of compared, for `--tool initcheck`.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from gpu import Gpu
from launches import all_of

# Of the largest number that a launch wrote: the CPU's table of dtypes (crates/kernels/src/testkit).
TOLERANCES = {"float": 2e-5, "half": 2e-3, "bfloat": 1.6e-2}

# Of a number of each type that is compared as such; others are compared byte by byte.
SIZES = {"float": 4, "half": 2, "bfloat": 2}

# What software Metal fills new memory with.
POISON = 0xFF


def numbers(data, kind):
    """As float64; what is no number of this kind stays whole."""
    if kind == "float":
        return data.view("<f4").astype("f8")
    if kind == "half":
        return data.view("<f2").astype("f8")
    if kind == "bfloat":
        return (data.view("<u2").astype("u4") << 16).view("<f4").astype("f8")
    return data.astype("f8")


def difference(got, want, before, kind):
    """The largest, of the largest number that was written, or of a tenth; infinite where one is a number and the other is
    none, or where poison was written to. What was not written has to be as before."""
    size = SIZES.get(kind, 1)
    got, want, before = (np.frombuffer(data, "u1")[: len(data) // size * size] for data in (got, want, before))
    if (got == want).all():
        return 0.0
    words = [data.reshape(-1, size) for data in (got, want, before)]
    written = (words[1] != words[2]).any(1)
    spoilt = (words[1] == POISON).all(1) & (words[0] != POISON).any(1)
    got, want = numbers(got, kind), numbers(want, kind)
    is_number = np.isfinite(want)
    same = np.where(np.isnan(want), np.isnan(got), got == want)
    if spoilt.any() or (~is_number & ~same).any() or (is_number & ~np.isfinite(got)).any():
        return np.inf
    scale = np.abs(want[is_number & written]).max(initial=0.1)
    return np.abs(got[is_number] - want[is_number]).max(initial=0) / scale


def regions(launch, buffer):
    """Types of what is written to a buffer, and where: from where each begins to where the next does."""
    written = {a.offset: launch.type_of(a) for a in launch.arguments if a.writes and a.buffer == buffer}
    starts = sorted(written)
    ends = [*starts[1:], launch.buffers[buffer].size]
    in_front = [("bytes", 0, starts[0])] if starts[0] > 0 else []
    return in_front + [(written[start], start, end) for start, end in zip(starts, ends)]


def differences(launch, after):
    """By type."""
    found = {}
    for i in launch.written:
        buffer = launch.buffers[i]
        for kind, start, end in regions(launch, i):
            part = slice(start, end)
            error = difference(after[i][part], buffer.after[part], buffer.before[part], kind)
            found[kind] = max(found.get(kind, 0), error)
    return found


def allowed(kind):
    return TOLERANCES.get(kind, 0)


class Memory:
    """The buffers of a launch, each at an address that is as far past a multiple of 16 as it was."""

    def __init__(self, gpu, launch, unwritten):
        self.gpu, self.bases, self.pointers = gpu, [], []
        for buffer in launch.buffers:
            self.bases.append(gpu.allocate(buffer.past + buffer.size))
            self.pointers.append(self.bases[-1] + buffer.past)
            self._fill(self.pointers[-1], buffer.before, unwritten)

    def _fill(self, pointer, data, unwritten):
        known = np.flatnonzero(np.frombuffer(data, "u1") != POISON) if unwritten else [0, len(data) - 1]
        if len(known) > 0:
            # Whole words: a byte of the first or the last number may be what memory begins with.
            start, end = int(known[0]) & ~3, (int(known[-1]) | 3) + 1
            self.gpu.write(pointer + start, data[start:end])

    def free(self):
        for base in self.bases:
            self.gpu.free(base)


def run(gpu, launch, text=None, unwritten=False):
    """The bytes of every buffer that may be written, after the launch."""
    function = gpu.function(text or launch.text(), launch.kernel)
    memory = Memory(gpu, launch, unwritten)
    gpu.launch(function, launch, memory.pointers)
    gpu.wait(launch.kernel)
    read = set() if unwritten else launch.written
    after = {i: gpu.read(memory.pointers[i], launch.buffers[i].size) for i in read}
    memory.free()
    return after


def first_of_each(launches, most):
    """At most so many of a kernel of a library."""
    seen, kept = Counter(), []
    for launch in launches:
        seen[launch.library, launch.kernel] += 1
        if seen[launch.library, launch.kernel] <= most:
            kept.append(launch)
    return kept


def tell(worst):
    """Prints the largest differences; how many are too large."""
    failed = 0
    for (kernel, kind), error in sorted(worst.items()):
        failed += error > allowed(kind)
        word = "ok " if error <= allowed(kind) else "BAD"
        print(f"{word} {kernel:34} {kind:7} {error:.1e} (allowed {allowed(kind):.0e})")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="", metavar="KERNEL")
    parser.add_argument("--most", type=int, default=1 << 30, metavar="N", help="launches of a kernel of a library")
    parser.add_argument("--unwritten", action="store_true")
    given = parser.parse_args()
    began, worst = time.time(), {}
    launches = first_of_each(all_of(given.folder, only=given.only), given.most)
    gpu = Gpu(given.folder)
    gpu.compiler.compile({launch.text() for launch in launches})
    compiled = time.time()
    for launch in launches:
        after = run(gpu, launch, unwritten=given.unwritten)
        for kind, error in ({} if given.unwritten else differences(launch, after)).items():
            worst[launch.kernel, kind] = max(worst.get((launch.kernel, kind), 0), error)
    failed = tell(worst)
    print(
        f"{len(launches)} launches, {len({launch.kernel for launch in launches})} kernels, {failed} beyond their tolerance; "
        f"{compiled - began:.1f} s to compile, {time.time() - compiled:.1f} s to run"
    )
    return int(failed > 0 or not launches)


if __name__ == "__main__":
    sys.exit(main())
