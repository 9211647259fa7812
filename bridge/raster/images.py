"""What goes into and comes out of a rasteriser: packed cameras, target images, loss settings, rendered images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera

LOSS_MODES = {"linear": 0, "l1": 1, "l2": 2, "robust": 3}
TARGET_CHANNELS = 6  # normal x, y, z (times coverage), coverage, weight of the normal term, weight of the mask term


@dataclass(frozen=True, eq=False)
class PackedCameras:
    """m cameras as arrays for the kernels. View i's pixels are rows offset[i]:offset[i + 1] of any flat image."""

    R: np.ndarray  # [m, 3, 3] float64
    t: np.ndarray  # [m, 3] float64
    center: np.ndarray  # [m, 3] float64
    K: np.ndarray  # [m, 5] float64: fx, fy, cx, cy, skew
    size: np.ndarray  # [m, 2] int64: height, width
    offset: np.ndarray  # [m + 1] int64

    @classmethod
    def of(cls, cameras: Sequence[Camera], origin: np.ndarray | None = None) -> PackedCameras:
        """origin [3]: the world is shifted so that this point becomes 0 (keeps float32 exact far from the origin)."""
        shift = np.zeros(3) if origin is None else origin
        R = np.stack([camera.R for camera in cameras]).astype(np.float64)
        t = np.stack([camera.t + camera.R @ shift for camera in cameras]).astype(np.float64)
        K = np.stack([camera.K for camera in cameras]).astype(np.float64)
        size = np.array([[camera.height, camera.width] for camera in cameras], np.int64)
        intrinsics = np.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2], K[:, 0, 1]], 1)
        offset = np.concatenate([[0], np.cumsum(size[:, 0] * size[:, 1])]).astype(np.int64)
        return cls(R, t, -np.einsum("mji,mj->mi", R, t), intrinsics, size, offset)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat image [pixels of all views, ...] -> one array [H, W, ...] a view."""
        pairs = zip(self.offset[:-1], self.offset[1:], self.size, strict=True)
        return [flat[a:b].reshape(h, w, *flat.shape[1:]) for a, b, (h, w) in pairs]


@dataclass(frozen=True, eq=False)
class Render:
    """One array a view."""

    triangle: list[np.ndarray]  # [H, W] int32, -1 where nothing is hit
    depth: list[np.ndarray]  # [H, W] float32 along the optical axis, 0 where nothing is hit
    normals: list[np.ndarray]  # [H, W, 3] float32 unit, world; 0 where nothing is hit
    attributes: list[np.ndarray] | None = None  # [H, W, k] float32


@dataclass(frozen=True)
class LossSettings:
    """Per pixel: weight * normal term + mask_weight * (coverage - mask)^2, summed and scaled by the covered pixels.

    The normal terms, with N the target and Nbar the antialiased rendering (0 in the background):
    linear -N . Nbar (Eq. 8), l1 sum |Nbar - N|, l2 e / 2, robust e / (1 + e / robust_scale^2) / 2; e = |Nbar - N|^2.
    """

    kind: str = "l1"
    mask_weight: float = 0.2
    robust_scale: float = 0.5

    @property
    def mode(self) -> int:
        return LOSS_MODES[self.kind]


@dataclass(frozen=True, eq=False)
class ImageTargets:
    """The target images of all views, packed pixel by pixel for the kernels."""

    data: np.ndarray  # [pixels, 6] float32: see TARGET_CHANNELS
    scale: float  # 1 / (number of covered pixels)

    @classmethod
    def of(
        cls,
        normals: Sequence[np.ndarray],  # m x [H, W, 3], unit
        masks: Sequence[np.ndarray],  # m x [H, W] 0..1
        normal_weights: Sequence[np.ndarray],  # m x [H, W]
        mask_weights: Sequence[np.ndarray],  # m x [H, W]; 0 where nothing is known
    ) -> ImageTargets:
        data = np.concatenate(
            [
                np.concatenate([n * m[..., None], np.stack([m, wn, wm], -1)], -1).reshape(-1, TARGET_CHANNELS)
                for n, m, wn, wm in zip(normals, masks, normal_weights, mask_weights, strict=True)
            ]
        ).astype(np.float32)
        return cls(np.ascontiguousarray(data), 1.0 / max(float(data[:, 3].sum(dtype=np.float64)), 1.0))
