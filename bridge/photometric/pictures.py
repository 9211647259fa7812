"""Grey photographs at one resolution, with their cameras in the head's frame, masks and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame

LEAST_NOISE = 0.5 / 255  # standard deviation of a grey value: what a JPEG leaves of it
RESPONSE = 6.0  # standard deviation of the kernel below for noise of 1 (Immerkaer 1996)
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, eq=False)
class Pictures:
    """All views at one resolution; positions are the head's frame (unit sphere)."""

    cameras: list[Camera]
    grey: list[np.ndarray]  # [H, W] float32
    masks: list[np.ndarray | None]  # [H, W] float32 0..1
    noise: list[float]  # variance of the grey values
    pixel: float  # size of a pixel at the head's middle, median over the views

    @classmethod
    def of(
        cls,
        photos: Sequence[np.ndarray],
        masks: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
        frame: HeadFrame,
        across: float,
    ) -> Pictures:
        """photos [H, W, 3] float32 0..1, masks [h, w] 0..1; across: pixels across the head's sphere, as far
        as the photographs have so many."""
        small, grey, mattes = [], [], []
        for photo, mask, camera in zip(photos, masks, cameras, strict=True):
            camera = frame.normalise(camera)
            scale = min(1.0, across * max(float(np.linalg.norm(camera.center)), 1e-6) / (2 * camera.K[0, 0]))
            camera = camera.resize(max(8, round(camera.width * scale)), max(8, round(camera.height * scale)))
            size = (camera.width, camera.height)
            picture = (
                cv2.cvtColor(np.ascontiguousarray(photo, np.float32), cv2.COLOR_RGB2GRAY) if photo.ndim == 3 else photo
            )
            grey.append(np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)))
            shrinks = mask is not None and mask.shape[0] > camera.height
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            mattes.append(None if mask is None else cv2.resize(mask.astype(np.float32), size, interpolation=how))
            small.append(camera)
        noise = [_noise(picture, mask) for picture, mask in zip(grey, mattes, strict=True)]
        pixel = float(np.median([np.linalg.norm(camera.center) / camera.K[0, 0] for camera in small]))
        return cls(small, grey, mattes, noise, pixel)


def _noise(grey: np.ndarray, mask: np.ndarray | None) -> float:
    """Variance of the noise of a picture [H, W] where it is plain (Immerkaer 1996; a quantile, not the mean)."""
    response = np.abs(cv2.filter2D(grey, -1, KERNEL))
    if mask is not None and (mask > 0.9).any():
        response = response[mask > 0.9]
    deviation = float(np.quantile(response, 0.25)) / 0.3186 / RESPONSE  # the quarter of |normal| is 0.3186
    return max(deviation, LEAST_NOISE) ** 2
