"""COLMAP's camera models: numbers, parameters and their meaning as K and distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Distortion
from ..errors import BridgeError
from . import lens
from .records import intrinsics, refuse

# model -> (number in binary files, number of parameters); the order of parameters is COLMAP's
MODELS = {
    "SIMPLE_PINHOLE": (0, 3),
    "PINHOLE": (1, 4),
    "SIMPLE_RADIAL": (2, 4),
    "RADIAL": (3, 5),
    "OPENCV": (4, 8),
    "OPENCV_FISHEYE": (5, 8),
    "FULL_OPENCV": (6, 12),
    "FOV": (7, 5),
    "SIMPLE_RADIAL_FISHEYE": (8, 4),
    "RADIAL_FISHEYE": (9, 5),
    "THIN_PRISM_FISHEYE": (10, 12),
    "RAD_TAN_THIN_PRISM_FISHEYE": (11, 16),
    "SIMPLE_DIVISION": (12, 4),
    "DIVISION": (13, 5),
    "SIMPLE_FISHEYE": (14, 3),
    "FISHEYE": (15, 4),
    "EUCM": (16, 6),
    "EQUIRECTANGULAR": (17, 2),
}
SHARED_FOCAL = {
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
    "SIMPLE_DIVISION",
    "SIMPLE_FISHEYE",
}
UNSUPPORTED = {"FOV", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE", "EUCM", "EQUIRECTANGULAR"}


@dataclass(frozen=True, eq=False)
class Lens:
    """One entry of cameras.*"""

    model: str
    width: int
    height: int
    params: np.ndarray


def model(camera: Lens, where: str) -> tuple[np.ndarray, Distortion | None]:
    """K and distortion of a camera. Raises BridgeError camera-model."""
    size, name = (camera.width, camera.height), camera.model
    if name in UNSUPPORTED or name not in MODELS:
        raise unknown_model(where, name)
    params = [float(value) for value in camera.params]
    if not np.isfinite(params).all():
        raise refuse(where, "has parameters that are not finite")
    if name in SHARED_FOCAL:
        params.insert(0, params[0])
    fx, fy, cx, cy, *rest = params
    if fx <= 0 or fy <= 0:
        raise refuse(where, "must have a positive focal length")
    K = intrinsics(fx, fy, cx, cy)
    if "FISHEYE" in name:
        return K, lens.fisheye(rest, K, size, where, name)
    if "DIVISION" in name:
        return K, lens.division(rest[0], K, size, where, name)
    return K, lens.plain(Distortion(*rest))  # the perspective models count on from k1 k2 p1 p2 k3 .. k6


def unknown_model(where: str, name: str) -> BridgeError:
    """The refusal of a camera model that cannot be imported."""
    return BridgeError(
        "camera-model",
        f"{where} has the model {name}, which cannot be imported.",
        "Run COLMAP's image_undistorter and import its result, or calibrate with the model OPENCV.",
    )
