"""One view of a mesh for code that looks through several cameras at once, each in a thread of its own.

The kernels let Python's lock go and share no pool of threads, so that any number may run side by side.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..capture.cameras import Camera
from .images import PackedCameras
from .shading import pixel_ray, pixel_weights
from .visibility import project, rasterise


@njit(cache=True, nogil=True)
def render_view(vertices, values, faces, R, t, center, K, projected, facing, ids, depth, image):
    """Visibility of one view and the interpolated vertex values [V, k] in its image [H, W, k]."""
    project(vertices, R, t, K, projected)
    rasterise(projected, faces, depth, ids, facing)
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            f = ids[y, x]
            if f < 0:
                continue
            dx, dy, dz = pixel_ray(x, y, R, K)
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            w0, w1, w2, s, ra, rb, rc = pixel_weights(vertices, i, j, k, center, dx, dy, dz)
            for m in range(values.shape[1]):
                image[y, x, m] = w0 * values[i, m] + w1 * values[j, m] + w2 * values[k, m]
            depth[y, x] = 1.0 / depth[y, x]


def centred(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle [3] of vertices [V, 3], and the vertices from there as float32, which is exact enough for them."""
    origin = np.zeros(3)
    if len(vertices):
        origin = np.array([(column.min() + column.max()) / 2 for column in vertices.T])
    return origin, np.ascontiguousarray(vertices - origin, np.float32)


def look(
    camera: Camera, vertices: np.ndarray, faces: np.ndarray, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Depth [H, W] along the optical axis, 0 where nothing is hit, and vertex values [V, k] in the image [H, W, k].

    The same numbers as a rasteriser's render(), without the work for normals.
    """
    origin, local = centred(np.asarray(vertices, np.float64))
    packed = PackedCameras.of([camera], origin)
    given = np.zeros((len(local), 0), np.float32) if values is None else np.ascontiguousarray(values, np.float32)
    shape = camera.height, camera.width
    depth, image = np.empty(shape, np.float32), np.zeros((*shape, given.shape[1]), np.float32)
    render_view(
        local, given, np.ascontiguousarray(faces, np.int32), packed.R[0], packed.t[0], packed.center[0], packed.K[0],
        np.empty((len(local), 3), np.float32), np.empty(len(faces), np.uint8), np.empty(shape, np.int32), depth, image,
    )  # fmt: skip
    return depth, image
