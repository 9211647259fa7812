"""The GPU backend (own kernels). Not built yet: this module says so, and "auto" takes the CPU."""

from __future__ import annotations


def unavailable() -> str:
    """Why this backend cannot be used here; "" if it can."""
    return "the GPU kernels are not part of this version"


class CudaRasteriser:
    def __init__(self, cameras) -> None:
        raise RuntimeError(unavailable())
