"""The GPU as rasteriser, remesher and optimiser see it: memory and kernel launches. Knows no meshes or images."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike


class Device(Protocol):
    """What they ask of CuPy (nvidia.py) or, in the tests, of the kernels built for the CPU. Nothing but download waits.

    Arrays of the device are flat and can be sliced; what a launch reads, earlier launches have written.
    """

    def buffer(self, name: str, count: int, dtype: DTypeLike, zero: bool = False) -> Any: ...
    def upload(self, name: str, array: np.ndarray) -> Any: ...
    def download(self, array: Any) -> np.ndarray: ...
    def launch(self, kernel: str, threads: int, rows: int, *arguments: Any) -> None: ...
