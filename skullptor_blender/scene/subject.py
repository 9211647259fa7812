"""What is to be seen of a rig: where its head is, how large, where its front and its top are. NumPy only, no bpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..link.preflight import ViewRecord, common_point
from . import upright

STANDS = np.radians(45.0)  # photographs whose up is no further from the world's were taken in an upright world
ONE_SIDE = 0.15  # length of the mean direction to the cameras above which they have a side
MOST = (1.0, 99.0)  # percentiles: a stray corner of a mesh is no part of the head's size


@dataclass(frozen=True, eq=False)
class Subject:
    """A thing in the world: middle [3], half its height and width, unit directions [3] to its front and its top."""

    center: np.ndarray
    half_height: float
    half_width: float
    front: np.ndarray
    up: np.ndarray

    @property
    def radius(self) -> float:
        return max(self.half_height, self.half_width)


def head_of(views: Sequence[ViewRecord], vertices: np.ndarray | None = None) -> Subject:
    """The head that cameras look at; vertices [V, 3]: its mesh, where there is one already."""
    center, front, up = _stand(views)
    if vertices is None or len(vertices) < 4:
        half = upright.head_size(views, center) / 2
        return Subject(center, 1.2 * half, half, front, up)
    low, high = np.percentile(np.asarray(vertices, np.float64)[:: max(1, len(vertices) // 20000)], MOST, axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    height = float(np.abs(up) @ half)
    return Subject(middle, height, float(np.linalg.norm(half - np.abs(up) * height)), front, up)


def rig_of(views: Sequence[ViewRecord]) -> Subject:
    """All cameras around their head."""
    center, front, up = _stand(views)
    away = np.stack([view.center for view in views]) - center
    height = np.abs(away @ up).max()
    width = np.linalg.norm(away - np.outer(away @ up, up), axis=1).max()
    return Subject(center, float(max(height, width / 3)), float(width), front, up)


def _stand(views: Sequence[ViewRecord]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle, front and up of what the cameras look at."""
    center, _ = common_point(views)
    if center is None:
        center = np.mean([view.center for view in views], axis=0)
    world_up = np.array([0.0, 0.0, 1.0])
    up = upright.up_of(views)
    up = world_up if upright.angle(up, world_up) < STANDS else up
    towards = np.stack([view.center for view in views]) - center
    side = np.mean(towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12), axis=0)
    side -= up * (side @ up)
    if np.linalg.norm(side) < ONE_SIDE:  # cameras all around: the face of an upright rig looks to the front view
        side = np.array([0.0, -1.0, 0.0]) if up @ world_up > 0.5 else towards[0] - up * (towards[0] @ up)
    return center, side / max(np.linalg.norm(side), 1e-12), up
