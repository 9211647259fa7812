"""The CUDA kernels built by a C++ compiler and run on the CPU, behind the same interface as CuPy's device."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

BLOCK = 64
SHIM = Path(__file__).with_name("cuda_shim.h")


def compiler() -> str | None:
    return shutil.which("g++") or shutil.which("clang++")


@cache
def build(source: str) -> ctypes.CDLL:
    """Compiles the same source that NVRTC gets."""
    names = re.findall(r"^KERNEL (\w+)\(", source, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        file, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        file.write_text("\n".join([f'#include "{SHIM.as_posix()}"', source, *(f"LAUNCHER({name})" for name in names)]))
        # no contraction, as --fmad=false on the device
        subprocess.run([compiler(), "-std=c++14", "-O1", "-g0", "-ffp-contract=off", "-shared", "-fPIC", "-pthread",
                        "-o", str(library), str(file)], check=True)  # fmt: skip
        return ctypes.CDLL(str(library))


class HostDevice:
    """Buffers are NumPy arrays; memory that a kernel has to write first is filled with garbage."""

    def __init__(self, source: str, seed: int = 0) -> None:
        self.library = build(source)
        self.seed = seed
        self.buffers: dict[str, np.ndarray] = {}
        self.log: list[str] = []

    def buffer(self, name: str, count: int, dtype: type, zero: bool = False) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        bytes_ = self.buffers.get(name)
        if bytes_ is None or len(bytes_) < size:
            bytes_ = self.buffers[name] = np.full(size + size // 4, 0xA5, np.uint8)
        if zero:
            bytes_[:size] = 0
        return bytes_[:size].view(dtype)

    def upload(self, name: str, array: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(array).reshape(-1)
        target = self.buffer(name, len(flat), flat.dtype)
        target[:] = flat
        self.log.append(f"upload {name}")
        return target

    def download(self, array: np.ndarray) -> np.ndarray:
        self.log.append("download")
        return array.copy()

    def launch(self, kernel: str, threads: int, rows: int, *arguments) -> None:
        self.log.append(kernel)
        if threads <= 0:
            return
        values = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                values.append(ctypes.c_void_p(argument.ctypes.data))
            else:
                assert isinstance(argument, np.generic), f"{kernel}: {argument!r} has no C type"
                values.append(np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item()))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = (ctypes.c_int * len(values))(*(ctypes.sizeof(value) for value in values))
        wrong = getattr(self.library, f"launch_{kernel}")(
            -(-threads // BLOCK), rows, BLOCK, ctypes.c_uint(self.seed), len(values), pointers, sizes
        )
        assert wrong < 0, f"{kernel}: argument {wrong} does not fit (1000 + n: it takes n)"
