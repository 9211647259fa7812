"""Optional backend on nvdiffrast (installed by the user; its licence allows non-commercial use only)."""

from __future__ import annotations

from importlib.util import find_spec


def unavailable() -> str:
    """Why this backend cannot be used here; "" if it can."""
    for name in ("torch", "nvdiffrast"):
        if find_spec(name) is None:
            return f"{name} is not installed"
    import torch

    return "" if torch.cuda.is_available() else "PyTorch sees no GPU"


class NvdiffrastRasteriser:
    def __init__(self, cameras) -> None:
        raise RuntimeError(unavailable())
