"""The few names of CuPy that the GPU code and its bench use, over plain memory and the kernels built for the CPU."""

from __future__ import annotations

import sys
import time
import types

import numpy as np

from tests.support import host_device


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"cudaError {status}\nand a second line")


class OutOfMemoryError(MemoryError):
    pass


class Card:
    """The device that all of this pretends to be."""

    total = 4 << 30
    capability = "75"
    used = 0
    waits = 0


class Memory:
    def __init__(self, size: int) -> None:
        if Card.used + size > Card.total:
            raise CUDARuntimeError(2)
        Card.used += size
        self.size = size
        self.bytes = np.full(size, 0xA5, np.uint8)

    def __del__(self) -> None:
        if hasattr(self, "bytes"):
            Card.used -= self.size


class MemoryPointer:
    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem = mem

    def memset_async(self, value: int, size: int, stream=None) -> None:
        self.mem.bytes[:size] = value

    def copy_from_device_async(self, source: MemoryPointer, size: int, stream=None) -> None:
        self.mem.bytes[:size] = source.mem.bytes[:size]


class Event:
    """The device is done with everything at once, so events know the time."""

    def record(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


class ndarray:  # noqa: N801
    def __init__(self, shape, dtype, memptr: MemoryPointer) -> None:
        self.data = memptr
        self.dtype = np.dtype(dtype)
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize
        assert self.nbytes <= memptr.mem.size
        self.host = memptr.mem.bytes[: self.nbytes].view(self.dtype)

    def __getitem__(self, part: slice | int) -> ndarray:
        return self._of(self.host[part])

    def view(self, dtype) -> ndarray:
        return self._of(self.host.view(dtype))

    def _of(self, host: np.ndarray) -> ndarray:
        other = object.__new__(ndarray)
        other.data, other.host, other.dtype, other.nbytes = self.data, host, host.dtype, host.nbytes
        return other

    def __float__(self) -> float:
        return float(self.get())

    def set(self, array: np.ndarray) -> None:
        assert array.flags.c_contiguous and array.shape == self.host.shape and array.dtype == self.dtype
        self.host[:] = array

    def get(self) -> np.ndarray:
        Card.waits += 1
        return self.host.copy()


def module() -> types.ModuleType:
    """A module to put into sys.modules as cupy."""

    class RawModule:
        def __init__(self, code: str, options: tuple, backend: str) -> None:
            assert "--fmad=false" in options and backend == "nvrtc"
            self.runner = host_device.HostDevice(code)

        def get_function(self, name: str):
            def kernel(grid, block, arguments):
                assert len(grid) == len(block) == 3 and block[0] % 32 == 0 and block[1:] == (1, 1) and min(grid) > 0
                plain = [a.host if isinstance(a, ndarray) else a for a in arguments]
                self.runner.launch(name, grid[0] * block[0], grid[1], *plain)

            return kernel

    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        memGetInfo=lambda: (Card.total - Card.used, Card.total),
        getDeviceProperties=lambda number: {"name": b"stand-in"},
    )
    cuda = types.ModuleType("cupy.cuda")
    cuda.Memory, cuda.MemoryPointer, cuda.runtime = Memory, MemoryPointer, runtime
    cuda.memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cuda.nvrtc = types.SimpleNamespace(getVersion=lambda: (12, 9))
    cuda.Event, cuda.get_current_stream = Event, lambda: None
    cuda.get_elapsed_time = lambda start, end: 1e3 * (end.time - start.time)
    cuda.Device = lambda: types.SimpleNamespace(compute_capability=Card.capability)
    cupy.cuda, cupy.ndarray, cupy.RawModule = cuda, ndarray, RawModule
    cupy.__spec__ = types.SimpleNamespace(name="cupy")
    sys.modules.pop("cupy.cuda", None)
    return cupy
