"""What `crates/soft-metal/metal/src/launches.rs` writes."""

import functools
import re
from dataclasses import dataclass

import numpy as np

# Bytes of constants in a launch, as `soft::Arguments` in metal.cuh.
CONSTANTS = 3072

# As `soft::Arguments`.
BLOCK = np.dtype([("buffers", "u8", 32), ("threads", "u4", 3), ("padding", "u4"), ("constants", "u1", CONSTANTS)])


@dataclass
class Buffer:
    size: int
    # Bytes that its first one is past a multiple of 16.
    past: int
    before: bytes | None = None
    after: bytes | None = None


@dataclass
class Argument:
    # Place in the kernel's table of arguments.
    index: int
    buffer: int
    # Where in the buffer it begins, in bytes.
    offset: int
    writes: bool
    # Type of what it points to; "-" where it is a constant struct or number.
    element: str

    @property
    def is_constant(self):
        return self.element == "-"


class Launch:
    """A launch, and what its buffers held before and after; of those of `.sizes`, only the constants are known."""

    def __init__(self, path):
        header, _, data = path.read_bytes().partition(b"\n\n")
        self.folder, self.buffers, self.arguments = path.parent, [], []
        for line in header.decode().splitlines():
            self._line(line)
        self.written = {a.buffer for a in self.arguments if a.writes}
        self._bytes(data, path)

    def _line(self, line):
        word, _, rest = line.partition(" ")
        if word == "buffer":
            self.buffers.append(Buffer(*map(int, rest.split())))
        elif word == "argument":
            index, buffer, offset, writes, element = rest.split()
            self.arguments.append(Argument(int(index), int(buffer), int(offset), writes == "1", element))
        elif word in ("threads", "group"):
            setattr(self, word, [int(n) for n in rest.strip("[]").split(",")])
        else:
            setattr(self, word, rest)

    def _bytes(self, data, path):
        at, whole = 0, path.suffix == ".launch"
        constants = {a.buffer for a in self.arguments if a.is_constant}
        for i, buffer in enumerate(self.buffers):
            if whole or i in constants:
                buffer.before, at = data[at : at + buffer.size], at + buffer.size
        for i in sorted(self.written) if whole else []:
            self.buffers[i].after, at = data[at : at + self.buffers[i].size], at + self.buffers[i].size
        if at != len(data):
            raise ValueError(f"{path}: {len(data)} bytes behind the header, expected {at}")

    @property
    def has_written(self):
        """Whether it left anything but what was there: where its memory held the same results before, it shows nothing."""
        return any(self.buffers[i].before != self.buffers[i].after for i in self.written)

    def text(self):
        """Its library, in CUDA C++."""
        return text_of(self.folder / self.library)

    def type_of(self, argument):
        """`float` of `T4` where the library says that T is float."""
        types = dict((name, kind) for kind, name in re.findall(r"typedef (\w+) (\w+) ;", self.text()))
        element = argument.element.rstrip("234")
        return types.get(element, element)

    def parameters(self, pointers):
        """What the kernel is called with, buffers by address and constants by value."""
        block, at = np.zeros(1, BLOCK), 0
        for argument in self.arguments:
            block["buffers"][0][argument.index] = pointers[argument.buffer] + argument.offset
            if argument.is_constant:
                value = np.frombuffer(self.buffers[argument.buffer].before, "u1")[argument.offset :]
                block["constants"][0][at : at + value.size] = value
                at += -(-value.size // 16) * 16
        block["threads"][0] = self.threads
        return block


@functools.cache
def text_of(path):
    return path.read_text()


def all_of(folder, kind="launch", only=""):
    """Launches of kernels in whose names `only` is found, those that show something."""
    launches = (Launch(path) for path in sorted(folder.glob(f"*.{kind}")))
    launches = (launch for launch in launches if kind == "sizes" or launch.has_written)
    return [launch for launch in launches if re.search(only, launch.kernel)]
