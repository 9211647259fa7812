"""The NVIDIA device through CuPy: memory, transfers, launches, and whether there is one."""

from __future__ import annotations

import ctypes
import os
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .source import OPTIONS

BLOCK = 128  # threads; a multiple of a warp
FREE_NEEDED = 1 << 30  # bytes: 10 views of 512 pixels and a mesh of 500k vertices take about 600 MiB
NO_DEVICE, DRIVER_TOO_OLD, OUT_OF_MEMORY = 100, 35, 2  # CUDA's error numbers
OLDEST = 60  # compute capability


def driver_problem() -> str:
    """Why the NVIDIA driver offers no device; "" if it does. Asks the driver itself: no package, no context."""
    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return "no NVIDIA driver is installed; install one from nvidia.com/drivers, or use the CPU"
    code = driver.cuInit(0)
    count = ctypes.c_int(0)
    if code == 0:
        driver.cuDeviceGetCount(ctypes.byref(count))
    if code == NO_DEVICE or (code == 0 and count.value == 0):
        return "the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES, or use the CPU"
    return "" if code == 0 else f"the NVIDIA driver answers with error {code}; restart the machine or update the driver"


@lru_cache(maxsize=1)
def _permanent_problem() -> str:
    """What does not change while the program runs."""
    if find_spec("cupy") is None:
        return "CuPy is not installed; run pip install '.[cuda]' in the bridge's environment, or use the CPU"
    problem = driver_problem()
    if problem:
        return problem
    try:
        import cupy
        from cupy.cuda import nvrtc
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything
        return f"CuPy does not load ({_line(error)}); reinstall it with pip install '.[cuda]'"
    try:
        capability = int(cupy.cuda.Device().compute_capability)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status == DRIVER_TOO_OLD:
            return "the NVIDIA driver is older than CuPy's CUDA; update it from nvidia.com/drivers"
        return f"the GPU does not answer ({_line(error)}); restart the machine or update the driver"
    if capability < OLDEST:
        return f"the GPU is too old (compute capability {capability / 10}, {OLDEST / 10} is needed); use the CPU"
    try:
        nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001  a missing library is reported in several ways
        return f"CUDA's run-time compiler does not load ({_line(error)}); run pip install '.[cuda]'"
    return ""


def unavailable() -> str:
    """One sentence with a cure; "" if a step can be run. Cheap where there is no GPU."""
    problem = _permanent_problem()
    if problem:
        return problem
    import cupy

    try:
        free, _ = cupy.cuda.runtime.memGetInfo()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"the GPU does not answer ({_line(error)}); close other programs that use it, or use the CPU"
    if free < FREE_NEEDED:
        return f"the GPU has {free >> 20} MiB free, {FREE_NEEDED >> 20} are needed; close other programs that use it"
    return ""


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@cache
def _module(source: str):
    """The compiled kernels; CuPy keeps them on disk, so only the first run on a machine compiles."""
    import cupy

    return cupy.RawModule(code=source, options=OPTIONS, backend="nvrtc")


class CupyDevice:
    """Named buffers that only grow (straight from the driver, so that they go back when this object goes).

    source: of the kernels that it can launch (source.py). Raises RuntimeError with a sentence where there is no GPU.
    """

    def __init__(self, source: str) -> None:
        problem = unavailable()
        if problem:
            raise RuntimeError(problem)
        import cupy

        self._cupy = cupy
        self._source = source
        self._buffers: dict[str, Any] = {}  # CuPy has no types
        self._kernels: dict[str, Any] = {}

    def buffer(self, name: str, count: int, dtype: DTypeLike, zero: bool = False) -> Any:
        """Device array [count] of unknown content, or zeros."""
        cupy = self._cupy
        dtype = np.dtype(dtype)
        size = max(count * dtype.itemsize, 1)
        memory = self._buffers.get(name)
        if memory is None or memory.size < size:
            self._buffers[name] = memory = None  # given back before more is asked for
            try:
                memory = cupy.cuda.Memory(size + size // 4)
            except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.memory.OutOfMemoryError) as error:
                if getattr(error, "status", OUT_OF_MEMORY) != OUT_OF_MEMORY:
                    raise
                raise MemoryError(
                    f"the GPU has no {size >> 20} MiB left for {name}; close other programs that use it, "
                    "lower the resolution or the vertex limit, or use the CPU"
                ) from error
            self._buffers[name] = memory
        array = cupy.ndarray((count,), dtype, memptr=cupy.cuda.MemoryPointer(memory, 0))
        if zero:
            array.data.memset_async(0, array.nbytes)
        return array

    def upload(self, name: str, array: np.ndarray):
        """Device copy of a host array, flat."""
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.dtype.fields:
            flat = flat.view(np.uint8)
        target = self.buffer(name, len(flat), flat.dtype)
        if len(flat):
            target.set(flat)
        return target

    def download(self, array) -> np.ndarray:
        """Waits for the device."""
        return array.get()

    def launch(self, kernel: str, threads: int, rows: int, *arguments) -> None:
        """threads along x (rounded up to whole blocks), rows along y. Numbers must be NumPy scalars of C's type."""
        function = self._kernels.get(kernel)
        if function is None:
            function = self._kernels[kernel] = _module(self._source).get_function(kernel)
        if threads > 0:
            function((-(-threads // BLOCK), rows, 1), (BLOCK, 1, 1), arguments)
