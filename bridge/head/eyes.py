"""Where the eyes of a finished head are, as the network sees them: what a rig's size is set by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..capture.normal_map import NormalMap
from .canonical import locate

# middles of the eyeballs of the mean head of ICT-FaceKit in the canonical frame, the subject's left one first:
# 61.9 mm apart
EYES = np.array([[0.221, -0.081, 0.508], [-0.221, -0.081, 0.508]])
POINTS = 3000  # of the surface that are asked: more tell no more
FACING = 0.3  # cosine to the camera above which a point of a head is seen, but for a few behind its nose or ears


def eyes(maps: Sequence[NormalMap], vertices: np.ndarray, normals: np.ndarray) -> np.ndarray | None:
    """The middles of the two eyes [2, 3] in the world, the subject's left one first; None where the maps do not tell.

    vertices, normals [V, 3]: of the head's surface. The distance is right within about 3 % for a head of average
    proportions (the network's own error of scale).
    """
    if not any(found.canonical is not None for found in maps):
        return None
    chosen = np.random.default_rng(0).choice(len(vertices), min(POINTS, len(vertices)), replace=False)
    points, normals = vertices[chosen], normals[chosen]
    seen = np.zeros((len(maps), len(points)), bool)
    for row, found in zip(seen, maps):
        ray = points - found.camera.center
        row[:] = -(normals * ray).sum(1) > FACING * np.linalg.norm(ray, axis=1)
    head = locate(maps, points, normals, seen)
    if head is None or not head.trusted:
        return None
    return (EYES - head.offset) @ head.rotation / head.scale
