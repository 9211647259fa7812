"""The rasteriser's kernels (kernels/*.cu) and the camera record they share with the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..device.source import join
from ..mesh.cuda_source import VERTEX_NORMALS
from ..mesh.normals import TINY
from .images import PackedCameras
from .silhouette import BEND, MAX_WALK, STEEP
from .visibility import NEAR

FOLDER = Path(__file__).parent / "kernels"
FILES = ("view.cu", "visibility.cu", "silhouette.cu", "shading.cu", "normals.cu")
LOSS_CELLS = 256  # partial sums of the loss: fewer threads meet at each

VIEW = np.dtype(
    [
        ("R", "f8", 9),
        ("t", "f8", 3),
        ("center", "f8", 3),
        ("K", "f8", 5),
        ("r", "f4", 9),
        ("s", "f4", 3),
        ("k", "f4", 5),
        ("height", "i4"),
        ("width", "i4"),
        ("unused", "i4"),
        ("offset", "i8"),
    ]
)


def source() -> str:
    """The CUDA source of the rasteriser's kernels."""
    constants = {"NEAR": NEAR, "TINY": TINY, "STEEP": float(STEEP), "BEND": float(BEND)}
    constants |= {"MAX_WALK": MAX_WALK, "LOSS_CELLS": LOSS_CELLS}
    return join([VERTEX_NORMALS, *(FOLDER / name for name in FILES)], constants)


def pack_views(cameras: PackedCameras) -> np.ndarray:  # [m] VIEW
    """The cameras as the kernels read them."""
    views = np.zeros(len(cameras.R), VIEW)
    for field, short, value in (("R", "r", cameras.R.reshape(-1, 9)), ("t", "s", cameras.t), ("K", "k", cameras.K)):
        views[field] = value
        views[short] = value
    views["center"] = cameras.center
    views["height"], views["width"] = cameras.size.T
    views["offset"] = cameras.offset[:-1]
    return views


def pixel_length(cameras: PackedCameras) -> float:
    """About one pixel's width in world units at the origin, as a power of two: the unit of the gradient's sums.

    Only its order of magnitude matters: sums have 30 bits below one weight per pixel, and 33 above.
    """
    widths = np.linalg.norm(cameras.center, axis=1) / np.abs(cameras.K[:, 0])
    width = float(np.median(widths))
    return 2.0 ** round(float(np.log2(width))) if width > 0 else 1.0
