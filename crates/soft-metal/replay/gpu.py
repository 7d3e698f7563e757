"""The driver of NVIDIA GPUs and NVRTC, through ctypes: needs numpy, the driver, NVRTC and CUDA's headers, nothing else."""

import ctypes
import glob
import hashlib
import multiprocessing
import os
import site
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

# Folders of CUDA: an installed toolkit, then the wheels of PyPI.
TOOLKITS = sorted(glob.glob("/usr/local/cuda*")) + [
    folder for at in site.getsitepackages() for folder in sorted(glob.glob(f"{at}/nvidia/*"))
]


def library(*names):
    for name in names:
        found = [path for folder in TOOLKITS for path in sorted(glob.glob(f"{folder}/lib*/{name}*"))]
        for path in [name, *found]:
            try:
                return ctypes.CDLL(path)
            except OSError:
                pass
    sys.exit(f"no {names[0]}")


class GpuError(Exception):
    """What the driver or the compiler refused; a GPU that faulted takes nothing more from this process."""


def ok(result, what):
    if result != 0:
        raise GpuError(f"{what}: CUDA's error {result}")


def compiled(text, arch):
    """Machine code, by NVRTC."""
    nvrtc = library("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12")
    headers = [str(Path(__file__).parent), *(f"{folder}/include" for folder in TOOLKITS)]
    headers += [f"{folder}/cccl" for folder in headers]
    options = [b"-std=c++20", b"-default-device", b"-lineinfo", b"-w", f"-arch={arch}".encode()]
    options += [f"-I{folder}".encode() for folder in headers]
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    ok(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"library.cu", 0, None, None), "create")
    if nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options)) != 0:
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise GpuError(log.value.decode())
    ok(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)), "size of the machine code")
    code = ctypes.create_string_buffer(size.value)
    ok(nvrtc.nvrtcGetCUBIN(program, code), "machine code")
    return code.raw


def keep(text, arch, path):
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(compiled(text, arch))
    part.rename(path)


class Compiler:
    """Texts to machine code: each once, several at a time, and kept for later runs."""

    def __init__(self, folder, arch):
        self.folder, self.arch = folder / "compiled", arch
        self.header = (Path(__file__).parent / "metal.cuh").read_text()

    def path(self, text):
        name = hashlib.sha256("\0".join([self.arch, self.header, text]).encode()).hexdigest()
        return self.folder / f"{name[:32]}.cubin"

    def compile(self, texts):
        """All that is not there yet."""
        self.folder.mkdir(exist_ok=True)
        missing = {path: text for text in texts if not (path := self.path(text)).exists()}
        if not missing:
            return
        # A process each: NVRTC does not always compile in several threads. Longest first, so that none is left alone.
        order = sorted(missing, key=lambda path: -len(missing[path]))
        workers = min(len(order), os.cpu_count() or 1)
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(keep, missing[path], self.arch, path) for path in order]
            for job in jobs:
                job.result()

    def code(self, text):
        self.compile([text])
        return self.path(text).read_bytes()


class Gpu:
    """The driver's first device, and what is loaded on it."""

    def __init__(self, folder):
        self.cuda, self.modules, self.functions = library("libcuda.so.1"), {}, {}
        device, context = ctypes.c_int(), ctypes.c_void_p()
        ok(self.cuda.cuInit(0), "cuInit")
        ok(self.cuda.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
        ok(self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "context")
        ok(self.cuda.cuCtxSetCurrent(context), "context")
        major, minor = (self.attribute(device, number) for number in (75, 76))
        self.compiler = Compiler(folder, f"sm_{major}{minor}")

    def attribute(self, device, number):
        value = ctypes.c_int()
        ok(self.cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device), "attribute")
        return value.value

    def function(self, text, kernel):
        if text not in self.modules:
            module = ctypes.c_void_p()
            ok(self.cuda.cuModuleLoadData(ctypes.byref(module), self.compiler.code(text)), "load")
            self.modules[text] = module
        if (text, kernel) not in self.functions:
            function = ctypes.c_void_p()
            name = f"gpu_{kernel}".encode()
            ok(self.cuda.cuModuleGetFunction(ctypes.byref(function), self.modules[text], name), kernel)
            self.functions[text, kernel] = function
        return self.functions[text, kernel]

    def allocate(self, size):
        pointer = ctypes.c_uint64()
        ok(self.cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(size)), f"{size} bytes of memory")
        return pointer.value

    def free(self, pointer):
        ok(self.cuda.cuMemFree_v2(ctypes.c_uint64(pointer)), "memory")

    def write(self, pointer, data):
        data = np.frombuffer(data, "u1")
        source, size = ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.size)
        ok(self.cuda.cuMemcpyHtoD_v2(ctypes.c_uint64(pointer), source, size), "copy")

    def read(self, pointer, size):
        data = np.empty(size, "u1")
        to, source = ctypes.c_void_p(data.ctypes.data), ctypes.c_uint64(pointer)
        ok(self.cuda.cuMemcpyDtoH_v2(to, source, ctypes.c_size_t(size)), "copy")
        return data

    def copy(self, to, source, size):
        ok(self.cuda.cuMemcpyDtoD_v2(ctypes.c_uint64(to), ctypes.c_uint64(source), ctypes.c_size_t(size)), "copy")

    def wait(self, what):
        ok(self.cuda.cuCtxSynchronize(), what)

    def launch(self, function, launch, pointers, stream=None):
        """Puts a launch on a stream; `pointers` are where its buffers are."""
        parameters = launch.parameters(pointers)
        grid = [-(-threads // group) for threads, group in zip(launch.threads, launch.group)]
        sizes = [ctypes.c_uint(n) for n in [*grid, *launch.group, 0]]
        values = (ctypes.c_void_p * 1)(parameters.ctypes.data)
        ok(self.cuda.cuLaunchKernel(function, *sizes, stream, values, None), launch.kernel)
