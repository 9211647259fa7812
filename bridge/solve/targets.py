"""What the surface has to look like in each view, and its crop and resampling to the level that is being solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.cameras import Camera


@dataclass(frozen=True, eq=False)
class Target:
    """One view: normals, matte and confidence, all on the camera's pixel grid (camera.width x camera.height)."""

    camera: Camera  # of these maps: any size, any K, no distortion
    normals: np.ndarray  # [H, W, 3] float32 unit normals in the world; anything where mask is 0
    mask: np.ndarray  # [H, W] float32 0..1, share of the pixel the head covers
    weight: np.ndarray | None = None  # [H, W] float32 0..1 confidence of the normals; None: 1 everywhere

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        for field in ("normals", "mask", "weight"):
            value = getattr(self, field)
            if value is not None and value.shape[:2] != size:
                raise ValueError(f"view {self.camera.name}: {field} is {value.shape[:2]}, the camera's image is {size}")
