"""Where the head is: a sphere that all cameras look at, and the upright direction of the rig. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cameras import Camera

HEAD_SHARE = 0.45  # without masks: the head's radius as a share of half the smaller field of view


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """A sphere around what the cameras look at, in the capture's world."""

    center: np.ndarray  # [3]
    radius: float
    up: np.ndarray  # [3] unit

    def normalise(self, camera: Camera) -> Camera:
        """The camera in the frame where the head is centred at the origin with radius 1 (axes unchanged)."""
        scale = 1.0 / self.radius
        return camera.transformed(scale, np.eye(3), -scale * self.center)


def nearest_point(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The point with the least sum of squared distances to lines (supplement S3.1).

    origins [N, 3], unit directions [N, 3] -> [3]. Raises ValueError if the lines are parallel.
    """
    projectors = np.eye(3) - directions[:, :, None] * directions[:, None, :]  # [N, 3, 3]
    A = projectors.sum(0)
    if np.linalg.eigvalsh(A)[0] < 1e-6 * len(origins):
        raise ValueError("the optical axes are parallel")
    return np.linalg.solve(A, np.einsum("nij,nj->i", projectors, origins))


def rig_up(cameras: Sequence[Camera]) -> np.ndarray:  # [3]
    """The direction most images call up; a few cameras on their side do not change it (geometric median)."""
    ups = np.stack([camera.up for camera in cameras])
    up = np.median(ups, axis=0)
    for _ in range(20):
        weights = 1.0 / np.maximum(np.linalg.norm(ups - up, axis=1), 1e-3)
        up = (weights[:, None] * ups).sum(0) / weights.sum()
    length = np.linalg.norm(up)
    return up / length if length > 1e-3 else ups[0]


def head_frame(cameras: Sequence[Camera], boxes: np.ndarray | None = None) -> HeadFrame:
    """The head's sphere from the cameras alone, or from the boxes of the head in the images.

    boxes: [m, 4] x0, y0, x1, y1 in pixels of each view (rows of NaN: no box in that view), or None, which takes the
    optical axes (supplement S3.1) and a radius from the field of view.
    """
    origins = np.stack([camera.center for camera in cameras])
    if boxes is None:
        directions = np.stack([camera.forward for camera in cameras])
        center = nearest_point(origins, directions)
        radii = []
        for camera in cameras:
            distance = abs((center - camera.center) @ camera.forward)
            half = min(camera.width / camera.K[0, 0], camera.height / camera.K[1, 1]) / 2
            radii.append(HEAD_SHARE * distance * half)
        return HeadFrame(center, float(np.median(radii)), rig_up(cameras))
    seen = np.flatnonzero(np.isfinite(boxes).all(1))
    if len(seen) < 2:
        return head_frame(cameras)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    directions = np.stack([cameras[i].rays(middles[i : i + 1])[0] for i in seen])
    center = nearest_point(origins[seen], directions)
    radii = []
    for i in seen:
        camera = cameras[i]
        distance = np.linalg.norm(center - camera.center)
        half = max((boxes[i, 2] - boxes[i, 0]) / camera.K[0, 0], (boxes[i, 3] - boxes[i, 1]) / camera.K[1, 1]) / 2
        radii.append(distance * np.sin(np.arctan(half)))
    return HeadFrame(center, float(np.median(radii)), rig_up(cameras))
