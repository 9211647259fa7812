"""Where a photograph shows a highlight: the place is brighter there than in the other photographs that see it.

Highlights move with the camera. Two views that are laid over each other by their highlights meet at the mirrored light,
which lies behind the surface: noses and lips of dark or moist skin would be dug out. What a surface scatters looks the
same from everywhere, so the median over the views is what it is without shine.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numba import njit

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..mesh.normals import vertex_normals
from .pictures import Pictures
from .sight import Sight, look

ACROSS = 250  # pixels across the head's sphere in which brightness is compared
BLUR = 1.0  # pixels: views differ in sharpness, and the surface is not yet where it belongs
FIXED, RELATIVE = 0.012, 0.05  # grey values and share of the usual brightness by which a highlight exceeds it
CONTRAST, AROUND = (
    1.0,
    7,
)  # of the picture's own deviation in so many pixels: texture that is not yet in place differs too
LEAST_COSINE = 0.2
NEAR = 3.0  # pixels behind the surface that a view sees within which a vertex counts as seen


def highlights(
    vertices: np.ndarray,
    faces: np.ndarray,
    photos: Sequence[np.ndarray],
    masks: Sequence[np.ndarray | None],
    cameras: Sequence[Camera],
    frame: HeadFrame,
) -> np.ndarray:  # [views, V] bool
    """Which vertices [V, 3] (head's frame) each view sees in a highlight; photographs and masks as in Pictures."""
    pictures = Pictures.of(photos, masks, cameras, frame, ACROSS)
    return shining(vertices, vertex_normals(vertices, faces), pictures, look(vertices, faces, pictures))


def shining(vertices: np.ndarray, normals: np.ndarray, pictures: Pictures, sights: Sequence[Sight]) -> np.ndarray:
    """[views, V] bool: where a view sees a vertex in a highlight. vertices, normals [V, 3]."""
    brightness = np.full((len(sights), len(vertices)), np.nan, np.float32)
    contrast = np.zeros_like(brightness)
    for i, sight in enumerate(sights):
        blurred = cv2.GaussianBlur(pictures.grey[i], (0, 0), BLUR)
        around = (AROUND, AROUND)
        variance = cv2.blur(blurred * blurred, around) - cv2.blur(blurred, around) ** 2
        _brightness(vertices, normals, sight.P, sight.camera.center, sight.first, sight.depth, sight.use, blurred,
                    np.sqrt(np.maximum(variance, 0)), NEAR * pictures.pixel, brightness[i], contrast[i])  # fmt: skip
    known = np.isfinite(brightness)
    several = known.sum(0) >= 2
    usual = np.full(len(vertices), np.nan, np.float32)
    usual[several] = _lower_median(brightness[:, several])
    for _ in range(2):  # exposures differ
        gain = np.ones(len(sights), np.float32)
        for i in range(len(sights)):
            both = known[i] & several & (usual > 0.02)
            if both.any():
                gain[i] = np.median(brightness[i, both] / usual[both])
        even = brightness / np.maximum(gain, 1e-3)[:, None]
        usual[several] = _lower_median(even[:, several])
    with np.errstate(invalid="ignore"):
        return even - usual > FIXED + RELATIVE * usual + CONTRAST * contrast


def _lower_median(values: np.ndarray) -> np.ndarray:  # [views, n] with nan -> [n]
    ordered = np.sort(values, axis=0)  # nan last
    count = np.isfinite(values).sum(0)
    return np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, 0)[0]


@njit(cache=True, nogil=True)
def _brightness(vertices, normals, P, center, first, depth, use, grey, deviation, near, result, contrast):
    """result, contrast [V]: grey value and deviation (nearest pixel) where the view sees the vertex; what it does not see stays."""
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        there = P[2, 0] * x + P[2, 1] * y + P[2, 2] * z + P[2, 3]
        if there <= 0:
            continue
        column = int(np.floor((P[0, 0] * x + P[0, 1] * y + P[0, 2] * z + P[0, 3]) / there))
        row = int(np.floor((P[1, 0] * x + P[1, 1] * y + P[1, 2] * z + P[1, 3]) / there))
        i, j = row - first[0], column - first[1]
        if i < 0 or j < 0 or i >= depth.shape[0] or j >= depth.shape[1] or use[i, j] == 0:
            continue
        if there > depth[i, j] + near:
            continue
        sx, sy, sz = center[0] - x, center[1] - y, center[2] - z
        towards = normals[v, 0] * sx + normals[v, 1] * sy + normals[v, 2] * sz
        if towards < LEAST_COSINE * np.sqrt(sx * sx + sy * sy + sz * sz):
            continue
        result[v] = grey[row, column]
        contrast[v] = deviation[row, column]


@njit(cache=True, nogil=True)
def hide(triangle, faces, shiny, use):
    """use [h, w] = 0 where two corners of the triangle that a pixel sees shine [V] bool."""
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            f = triangle[y, x]
            if f >= 0 and shiny[faces[f, 0]] + shiny[faces[f, 1]] + shiny[faces[f, 2]] >= 2:
                use[y, x] = 0
