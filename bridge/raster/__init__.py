"""Rasterisers: visibility, interpolated normals, silhouettes, and the gradient of an image loss to the vertices.

All backends share one contract (Rasteriser). A backend's libraries are imported when it is asked for, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np

from ..capture.cameras import Camera
from ..mesh import DeviceSurface, Surface
from .images import ImageTargets, LossSettings, Render

__all__ = [
    "ImageTargets",
    "LossSettings",
    "Rasteriser",
    "Render",
    "available",
    "choose",
    "make_rasteriser",
    "on_device",
]

Backend = Literal["auto", "cpu", "cuda", "nvdiffrast"]


class Rasteriser(Protocol):
    """Made for a fixed list of cameras, each with its own width and height."""

    def render(self, vertices: np.ndarray, faces: np.ndarray, attributes: np.ndarray | None = None) -> Render:
        """Visibility, depth, smooth normals and attributes of any triangle mesh, open or closed, both sides visible.

        vertices [V, 3] float, faces [F, 3] int, attributes [V, k] float or None. Triangles that reach behind the camera
        are left out.
        """
        ...

    def loss_and_gradient(
        self, surface: Surface | DeviceSurface, targets: ImageTargets, loss: LossSettings
    ) -> tuple[float, np.ndarray]:
        """The image loss of a closed mesh and its gradient [V, 3] float32 with respect to the vertices.

        Only a backend that is on_device() takes a DeviceSurface; loss and gradient stay there too (cuda.py).
        """
        ...


def available() -> dict[str, str]:
    """Backend name -> "" if it can be used here, else the reason why not (one sentence)."""
    reasons = {"cpu": "" if find_spec("numba") else "numba is not installed"}
    from . import cuda, nvdiffrast

    reasons["cuda"] = cuda.unavailable()
    reasons["nvdiffrast"] = nvdiffrast.unavailable()
    return reasons


def choose(name: Backend) -> Backend:
    """What "auto" means here: the GPU kernels where there is a device for them, else the CPU."""
    if name != "auto":
        return name
    from . import cuda

    return "cpu" if cuda.unavailable() else "cuda"


def on_device(name: Backend) -> bool:
    """Whether the mesh had better lie in the memory of this backend's GPU."""
    return choose(name) == "cuda"


def make_rasteriser(name: Backend, cameras: Sequence[Camera]) -> Rasteriser:
    """The backend of that name (see choose) for these cameras."""
    name = choose(name)
    if name == "cpu":
        from .cpu import CpuRasteriser

        return CpuRasteriser(cameras)  # type: ignore[return-value]  # takes no DeviceSurface, as told above
    if name == "cuda":
        from .cuda import CudaRasteriser

        return CudaRasteriser(cameras)
    if name == "nvdiffrast":
        from .nvdiffrast import NvdiffrastRasteriser

        return NvdiffrastRasteriser(cameras)  # type: ignore[return-value]  # nor does this one
    raise ValueError(f"unknown rasteriser {name!r}: choose auto, cpu, cuda or nvdiffrast")
