"""Row kernels of real sizes, timed on an NVIDIA GPU: their share of the rate of a copy of as many bytes.

    python3 rates.py [--only KERNEL] [FOLDER]

Launches are those of `*.sizes`: the grids and constants of the host's code, with random numbers in their buffers. Between device
events, a captured graph of launches over several sets of buffers, so that nothing of one launch is in a cache at the next.
"""

import argparse
import ctypes
import statistics
import sys
from pathlib import Path

import numpy as np

from gpu import Gpu, ok
from launches import all_of

# Tensors that a kernel has to move, all of one shape, and the argument that is their width: weights, tables and sums are not
# counted.
TENSORS = {
    "softmax_forward": (2, 3),
    "softmax_backward": (3, 5),
    "rms_norm_forward": (2, 5),
    "rms_norm_residual": (4, 8),
    "rms_norm_backward": (3, 8),
    "rms_norm_weight_parts": (2, 8),
    "swiglu_forward": (3, 5),
    "swiglu_backward": (5, 8),
    "geglu_forward": (3, 5),
    "geglu_backward": (5, 8),
    "elementwise_sum": (3, 5),
    "elementwise_product": (3, 5),
    "rope": (2, 8),
}

# Where `Turns` of rope has its width; the number of rows of the weight's gradient.
TURNS_WIDTH, PARTS_ROWS = 816, 6

# What has to be reached.
BAR = 0.75

# More than any cache holds.
BYTES_OF_ALL_SETS = 256 << 20
MOST_SETS = 48
REPEATS = 15

COPY = """
extern "C" __global__ void gpu_copy(const int4* from, int4* to, unsigned long n) {
    unsigned long i = blockIdx.x * (unsigned long)blockDim.x + threadIdx.x;
    if (i < n) to[i] = from[i];
}
"""


def constant(launch, index, at=0):
    """A whole number among the constants of an argument."""
    argument = next(a for a in launch.arguments if a.index == index)
    return int(np.frombuffer(launch.buffers[argument.buffer].before, "<u4", 1, argument.offset + at)[0])


def shape(launch):
    """Kernel, rows and their width; `None` of a kernel that is not one of rows. Buffers are longer than tensors."""
    name = launch.kernel.removesuffix("_fours")
    if name not in TENSORS:
        return None
    width = constant(launch, TENSORS[name][1], TURNS_WIDTH if name == "rope" else 0)
    if name == "rms_norm_weight_parts":
        return name, constant(launch, PARTS_ROWS), width
    by_groups = launch.threads[1] == 1
    return name, launch.threads[0] // launch.group[0] if by_groups else launch.threads[1], width


def moved_bytes(launch):
    """Bytes that have to be read or written."""
    name, rows, width = shape(launch)
    return TENSORS[name][0] * rows * width * {"float": 4}.get(launch.type_of(launch.arguments[0]), 2)


def random_bytes(size, kind):
    values = np.random.default_rng(7).standard_normal(1 << 18).astype("f4")
    if kind == "bfloat":
        values = (values.view("u4") >> 16).astype("u2")
    if kind == "half":
        values = values.astype("f2")
    block = values.tobytes()
    return (block * (size // len(block) + 1))[:size]


class Clock:
    """Time of captured work, by device events."""

    def __init__(self, gpu):
        self.gpu, self.cuda, self.stream = gpu, gpu.cuda, ctypes.c_void_p()
        ok(self.cuda.cuStreamCreate(ctypes.byref(self.stream), 1), "stream")
        self.events = [ctypes.c_void_p(), ctypes.c_void_p()]
        for event in self.events:
            ok(self.cuda.cuEventCreate(ctypes.byref(event), 0), "event")

    def seconds(self, work):
        """Median of the time that `work(stream)` takes, replayed."""
        graph, ready, cuda = ctypes.c_void_p(), ctypes.c_void_p(), self.cuda
        ok(cuda.cuStreamBeginCapture_v2(self.stream, 2), "capture")
        work(self.stream)
        ok(cuda.cuStreamEndCapture(self.stream, ctypes.byref(graph)), "capture")
        ok(cuda.cuGraphInstantiateWithFlags(ctypes.byref(ready), graph, ctypes.c_ulonglong(0)), "graph")
        times = [self._once(ready) for _ in range(REPEATS + 3)][3:]
        ok(cuda.cuGraphExecDestroy(ready), "graph")
        ok(cuda.cuGraphDestroy(graph), "graph")
        return statistics.median(times)

    def _once(self, graph):
        begin, end = self.events
        ok(self.cuda.cuEventRecord(begin, self.stream), "event")
        ok(self.cuda.cuGraphLaunch(graph, self.stream), "graph")
        ok(self.cuda.cuEventRecord(end, self.stream), "event")
        ok(self.cuda.cuEventSynchronize(end), "work")
        ms = ctypes.c_float()
        ok(self.cuda.cuEventElapsedTime(ctypes.byref(ms), begin, end), "event")
        return ms.value / 1e3


class Rates:
    def __init__(self, gpu):
        self.gpu, self.clock, self.copies = gpu, Clock(gpu), {}

    def sets(self, launch):
        """Buffers of several launches, in which nothing is shared."""
        kinds = {a.buffer: launch.type_of(a) for a in reversed(launch.arguments)}
        size = sum(buffer.size for buffer in launch.buffers)
        contents = [b.before or random_bytes(b.size, kinds[i]) for i, b in enumerate(launch.buffers)]
        sets = []
        for _ in range(max(2, min(MOST_SETS, BYTES_OF_ALL_SETS // size + 1))):
            sets.append([self.gpu.allocate(len(data)) for data in contents])
            for first, pointer, data in zip(sets[0], sets[-1], contents):
                self.gpu.write(pointer, data) if pointer == first else self.gpu.copy(pointer, first, len(data))
        return sets

    def seconds(self, launch):
        """Time of one launch."""
        function, sets = self.gpu.function(launch.text(), launch.kernel), self.sets(launch)
        seconds = self.clock.seconds(lambda stream: [self.gpu.launch(function, launch, s, stream) for s in sets])
        for pointer in (pointer for pointers in sets for pointer in pointers):
            self.gpu.free(pointer)
        return seconds / len(sets)

    def copy_seconds(self, size):
        """Time to move so many bytes, half of them read: by the driver or by a kernel, whichever is faster."""
        if size not in self.copies:
            half = size // 32 * 16
            pairs = max(2, min(MOST_SETS, BYTES_OF_ALL_SETS // size + 1))
            data = random_bytes(half, "float")
            froms, tos = ([self.gpu.allocate(half) for _ in range(pairs)] for _ in range(2))
            for pointer in froms:
                self.gpu.write(pointer, data)
            ways = [self._driver_copy, self._kernel_copy]
            times = [self.clock.seconds(lambda stream: [way(t, f, half, stream) for t, f in zip(tos, froms)]) for way in ways]
            for pointer in froms + tos:
                self.gpu.free(pointer)
            self.copies[size] = min(times) / pairs
        return self.copies[size]

    def _driver_copy(self, to, source, size, stream):
        pointers = ctypes.c_uint64(to), ctypes.c_uint64(source)
        ok(self.gpu.cuda.cuMemcpyDtoDAsync_v2(*pointers, ctypes.c_size_t(size), stream), "copy")

    def _kernel_copy(self, to, source, size, stream):
        values = [ctypes.c_uint64(source), ctypes.c_uint64(to), ctypes.c_uint64(size // 16)]
        parameters = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
        sizes = [ctypes.c_uint(n) for n in [-(-size // 16 // 256), 1, 1, 256, 1, 1, 0]]
        ok(self.gpu.cuda.cuLaunchKernel(self.gpu.function(COPY, "copy"), *sizes, stream, parameters, None), "copy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="", metavar="KERNEL")
    given = parser.parse_args()
    launches = [launch for launch in all_of(given.folder, "sizes", given.only) if shape(launch)]
    gpu = Gpu(given.folder)
    gpu.compiler.compile({launch.text() for launch in launches} | {COPY})
    rates, below = Rates(gpu), 0
    for launch in sorted(launches, key=lambda launch: (launch.kernel, moved_bytes(launch))):
        size = moved_bytes(launch)
        copy, own = rates.copy_seconds(size), rates.seconds(launch)
        below += copy / own < BAR
        kind, (_, n, width) = launch.type_of(launch.arguments[0]), shape(launch)
        print(
            f"{launch.kernel:30} {kind:7} {n:6} x {width:<5} {size / 1e6:5.1f} MB {own * 1e6:7.1f} us {size / own / 1e12:5.2f} TB/s, "
            f"{copy / own:4.2f} of a copy{'' if copy / own >= BAR else ', below the bar'}",
            flush=True,
        )
    print(f"{len(launches)} kernels and sizes, {below} below {BAR} of the rate of a copy")
    return int(below > 0 or not launches)


if __name__ == "__main__":
    sys.exit(main())
