"""Where the head is before its shape is known: the mean head's landmarks laid on those of the photographs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.cameras import Camera, Similarity
from ..head.canonical import similarity
from ..head.landmarks import Face
from ..head.triangulate import triangulate
from ..model import LandmarkMap, Template

LEAST_FRONTAL, LEAST_POINTS = 0.3, 60
APART = np.radians(8.0)  # of two cameras' directions to the head: less tells no depth
UNIT_MM = 1000.0  # of a world unit whose length nobody knows


def start(
    template: Template, cameras: Sequence[Camera], faces: Sequence[Face | None], unit_mm: float | None
) -> Similarity | None:
    """The mean head (mm) in the world of given cameras; None where no photograph shows a face.

    faces: with points in the cameras' pixels. From two views whose faces agree by triangulation, else from the best
    one, whose distance is that of a head of usual size.
    """
    shown = [i for i, face in enumerate(faces) if face is not None]
    if not shown:
        return None
    best = max(shown, key=lambda i: float(np.mean(_face(faces, i).frontal) * _face(faces, i).presence))
    local = stand(cameras[best], _face(faces, best), template)
    if len(shown) > 1:
        marks = triangulate([cameras[i] for i in shown], [_face(faces, i) for i in shown])
        if marks is not None and _apart([cameras[i] for i in shown], marks.points.mean(0)):
            found = _robust(template.landmarks, template.vertices, marks.points, marks.sigma)
            if found is not None:
                return found
    return in_world(cameras[best], local, unit_mm)


def in_world(camera: Camera, local: Camera, unit_mm: float | None) -> Similarity:
    """The model (mm) in a camera's world, from the same camera in the model's frame."""
    scale = 1 / (unit_mm or UNIT_MM)
    back = camera.R.T
    return Similarity(scale, back @ local.R, back @ (scale * local.t - camera.t))


def _face(faces: Sequence[Face | None], i: int) -> Face:
    face = faces[i]
    assert face is not None  # only those are asked for
    return face


def stand(camera: Camera, face: Face, template: Template) -> Camera:
    """The camera in the mean head's frame (mm), from its landmarks alone (Terzakis and Lourakis 2020, then refined)."""
    assert template.landmarks is not None  # our model has them
    points = template.landmarks.points(template.vertices)
    seen = face.frontal > LEAST_FRONTAL
    if seen.sum() < LEAST_POINTS:
        seen = np.ones(len(points), bool)
    there, pixels = points[seen], face.points[seen, :2] - 0.0
    _, turn, shift = cv2.solvePnP(there, pixels, camera.K, None, flags=cv2.SOLVEPNP_SQPNP)
    turn, shift = cv2.solvePnPRefineLM(there, pixels, camera.K, None, turn, shift)
    R, _ = cv2.Rodrigues(turn)
    return Camera(camera.name, camera.K, R, shift[:, 0], camera.width, camera.height)


def _apart(cameras: Sequence[Camera], point: np.ndarray) -> bool:
    rays = np.stack([camera.center - point for camera in cameras])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    return bool((rays @ rays.T).min() < np.cos(APART))


def _robust(marks: LandmarkMap | None, vertices: np.ndarray, there: np.ndarray, sigma: np.ndarray) -> Similarity | None:
    assert marks is not None
    known = np.isfinite(sigma)
    source, target = marks.points(vertices)[known], there[known]
    weights = 1 / (marks.spread[known] ** 2 + 1)
    found = None
    for _ in range(10):
        found = similarity(source, target, weights)
        if found is None:
            return None
        gap = np.linalg.norm(found.apply(source) - target, axis=1)
        weights = 1 / (marks.spread[known] ** 2 + 1) / (1 + (gap / max(np.median(gap), 1e-12)) ** 2) ** 2
    assert found is not None
    return Similarity(found.scale, found.rotation, found.offset)
