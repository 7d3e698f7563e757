"""Launches that software Metal has written, repeated on an NVIDIA GPU and compared with what it computed.

    python3 replay.py [--only KERNEL] [--without-barrier N] [FOLDER]

Needs numpy, the driver, NVRTC and CUDA's headers; nothing else. Every argument is an allocation of its own, so that
`compute-sanitizer --tool memcheck|initcheck|racecheck|synccheck python3 replay.py` sees what leaves one.
"""

import argparse
import ctypes
import glob
import re
import sys
from pathlib import Path

import numpy as np

# Of the largest number of a result: the CPU's table of dtypes (crates/kernels/src/testkit).
TOLERANCES = {"float": 2e-5, "half": 2e-3, "bfloat": 1.6e-2}
BARRIER = re.compile(r"threadgroup_barrier \( [^;]*;")


def library(*names):
    for name in names:
        for path in [name, *sorted(glob.glob(f"/usr/local/cuda*/lib64/{name}*"))]:
            try:
                return ctypes.CDLL(path)
            except OSError:
                pass
    sys.exit(f"no {names[0]}")


def ok(result, what):
    if result != 0:
        raise RuntimeError(f"{what}: error {result}")


class Compiler:
    """NVRTC."""

    def __init__(self, folder):
        self.nvrtc = library("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12")
        headers = [str(folder), *glob.glob("/usr/local/cuda*/include")]
        headers += [f"{h}/cccl" for h in headers]
        self.options = [b"-std=c++20", b"-default-device", b"-arch=sm_90", b"-w", *(f"-I{h}".encode() for h in headers)]

    def ptx(self, text):
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        n = self.nvrtc
        ok(n.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"library.cu", 0, None, None), "create")
        options = (ctypes.c_char_p * len(self.options))(*self.options)
        if n.nvrtcCompileProgram(program, len(options), options) != 0:
            n.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            n.nvrtcGetProgramLog(program, log)
            raise RuntimeError(log.value.decode())
        n.nvrtcGetPTXSize(program, ctypes.byref(size))
        ptx = ctypes.create_string_buffer(size.value)
        n.nvrtcGetPTX(program, ptx)
        return ptx


class Gpu:
    """The driver, its first device, and compiled libraries."""

    def __init__(self, folder, change):
        self.cuda, self.compiler = library("libcuda.so.1"), Compiler(folder)
        self.folder, self.change, self.modules = folder, change, {}
        device, context = ctypes.c_int(), ctypes.c_void_p()
        ok(self.cuda.cuInit(0), "cuInit")
        ok(self.cuda.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
        ok(self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "context")
        ok(self.cuda.cuCtxSetCurrent(context), "context")

    def function(self, name, kernel):
        if name not in self.modules:
            module = ctypes.c_void_p()
            ptx = self.compiler.ptx(self.change((self.folder / name).read_text()))
            ok(self.cuda.cuModuleLoadData(ctypes.byref(module), ptx), name)
            self.modules[name] = module
        function = ctypes.c_void_p()
        ok(self.cuda.cuModuleGetFunction(ctypes.byref(function), self.modules[name], f"gpu_{kernel}".encode()), kernel)
        return function

    def run(self, launch):
        """The bytes of every argument after the launch."""
        function, pointers, cuda = self.function(launch.library, launch.kernel), [], self.cuda
        block = np.zeros(1, dtype=[("buffers", "u8", 32), ("threads", "u4", 3), ("padding", "u4")])
        for argument in launch.arguments:
            pointer = ctypes.c_uint64()
            ok(cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(len(argument.before))), "memory")
            ok(cuda.cuMemcpyHtoD_v2(pointer, argument.before, ctypes.c_size_t(len(argument.before))), "copy")
            block["buffers"][0][argument.index] = pointer.value
            pointers.append(pointer)
        block["threads"][0] = launch.threads
        grid = [-(-all_ // one) for all_, one in zip(launch.threads, launch.group)]
        values = (ctypes.c_void_p * 1)(block.ctypes.data)
        sizes = [ctypes.c_uint(n) for n in [*grid, *launch.group, 0]]
        ok(cuda.cuLaunchKernel(function, *sizes, None, values, None), launch.kernel)
        ok(cuda.cuCtxSynchronize(), launch.kernel)
        after = []
        for pointer, argument in zip(pointers, launch.arguments):
            out = ctypes.create_string_buffer(len(argument.before))
            ok(cuda.cuMemcpyDtoH_v2(out, pointer, ctypes.c_size_t(len(argument.before))), "copy")
            ok(cuda.cuMemFree_v2(pointer), "memory")
            after.append(out.raw)
        return after


class Argument:
    def __init__(self, words):
        self.index, self.size, self.writes, self.element = int(words[0]), int(words[1]), words[2] == "1", words[3]


class Launch:
    """What `crates/soft-metal/metal/src/launches.rs` writes."""

    def __init__(self, path):
        header, _, data = path.read_bytes().partition(b"\n\n")
        self.arguments = []
        for line in header.decode().splitlines():
            word, _, rest = line.partition(" ")
            if word == "argument":
                self.arguments.append(Argument(rest.split()))
            elif word in ("threads", "group"):
                setattr(self, word, [int(n) for n in rest.strip("[]").split(",")])
            else:
                setattr(self, word, rest)
        at = 0
        for argument in self.arguments:
            argument.before = data[at : at + argument.size]
            at += argument.size
        for argument in self.arguments:
            if argument.writes:
                argument.after = data[at : at + argument.size]
                at += argument.size
        assert at == len(data), path


def numbers(data, kind):
    """As float64; what is no number of this kind stays whole."""
    if kind == "float":
        return np.frombuffer(data, "<f4").astype("f8")
    if kind == "half":
        return np.frombuffer(data, "<f2").astype("f8")
    if kind == "bfloat":
        return (np.frombuffer(data, "<u2").astype("u4") << 16).view("<f4").astype("f8")
    return np.frombuffer(data, "u1").astype("f8")


def difference(got, want, kind):
    """Of the largest number of `want`, or of a hundredth; infinite where one is a number and the other is none."""
    size = {"float": 4, "half": 2, "bfloat": 2}.get(kind, 1)
    got, want = (numbers(data[: len(data) // size * size], kind) for data in (got, want))
    odd = ~np.isfinite(want)
    same = np.where(np.isnan(want), np.isnan(got), got == want)
    if (odd & ~same).any() or (~odd & ~np.isfinite(got)).any():
        return np.inf
    if odd.all():
        return 0.0
    return (np.abs(got - want)[~odd] / max(np.abs(want[~odd]).max(), 1e-2)).max()


def without_barrier(n):
    """A change of a library: its n-th barrier is left out."""

    def change(text):
        places = list(BARRIER.finditer(text))
        return text if n >= len(places) else text[: places[n].start()] + text[places[n].end() :]

    return change


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="")
    parser.add_argument("--without-barrier", type=int, metavar="N")
    given = parser.parse_args()
    change = (lambda text: text) if given.without_barrier is None else without_barrier(given.without_barrier)
    gpu, worst, ran = Gpu(given.folder, change), {}, 0
    for path in sorted(given.folder.glob("*.launch")):
        launch = Launch(path)
        if given.only not in launch.kernel:
            continue
        text = (given.folder / launch.library).read_text()
        types = dict((name, kind) for kind, name in re.findall(r"typedef (\w+) (\w+) ;", text))
        for argument, after in zip(launch.arguments, gpu.run(launch)):
            if argument.writes:
                kind = types.get(argument.element, argument.element).rstrip("234")
                key = launch.kernel, kind
                worst[key] = max(worst.get(key, 0), difference(after, argument.after, kind))
        ran += 1
    failed = 0
    for (kernel, kind), error in sorted(worst.items()):
        allowed = TOLERANCES.get(kind, 0)
        failed += error > allowed
        print(f"{'ok ' if error <= allowed else 'BAD'} {kernel:30} {kind:7} {error:.1e} (allowed {allowed:.0e})")
    print(f"{ran} launches, {len({k for k, _ in worst})} kernels, {failed} beyond their tolerance")
    return int(failed > 0 or ran == 0)


if __name__ == "__main__":
    sys.exit(main())
