"""What each view sees of the mesh, cut to where the mesh is, and where it may be compared with others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numba import njit

from ..capture.cameras import Camera
from ..mesh.normals import vertex_normals
from ..raster.shading import pixel_ray, pixel_weights
from ..raster.visibility import project, rasterise
from .pictures import Pictures

EDGE = 3.0  # pixels of depth between neighbouring pixels that make an edge where one part hides another
WORKERS = 2
KEPT = 40_000_000  # pixels of all views whose triangles and normals are kept; else they are found a second time


@dataclass(frozen=True, eq=False)
class Sight:
    """One view's part [h, w] of the image that starts at pixel first."""

    first: np.ndarray  # [2] int64: row, column
    depth: np.ndarray  # [h, w] float32 along the optical axis, 0: nothing
    use: np.ndarray  # [h, w] uint8: 1 where the view may be compared
    triangle: np.ndarray  # [h, w] int32, -1: nothing; empty if it was not kept
    normals: np.ndarray  # [h, w, 3] float32 unit, world; empty if they were not kept
    camera: Camera
    P: np.ndarray  # [3, 4] world to pixels
    back: np.ndarray  # [3, 3] pixels to rays of depth 1, world

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """That part of the view's picture [H, W, ...]."""
        (y, x), (h, w) = self.first, self.depth.shape
        return np.ascontiguousarray(picture[y : y + h, x : x + w])


@dataclass(frozen=True, eq=False)
class Sights:
    """What all views see of one mesh."""

    vertices: np.ndarray  # [V, 3] float32 in the head's frame
    normals: np.ndarray  # [V, 3]
    faces: np.ndarray  # [F, 3]
    pictures: Pictures
    views: list[Sight]

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, pictures: Pictures) -> Sights:
        """All views of a mesh: vertices [V, 3] in the head's frame, faces [F, 3]."""
        vertices = np.ascontiguousarray(vertices, np.float32)
        normals = vertex_normals(vertices, faces)
        keep = sum(grey.size for grey in pictures.grey) <= KEPT

        def one(i: int) -> Sight:
            sight = _look(vertices, normals, faces, pictures, i)
            if keep:
                return sight
            # copies, or the whole arrays stay behind the empty slices
            nothing = sight.triangle[:0].copy(), sight.normals[:0].copy()
            return replace(sight, triangle=nothing[0], normals=nothing[1])

        with ThreadPoolExecutor(WORKERS) as pool:
            return cls(vertices, normals, faces, pictures, list(pool.map(one, range(len(pictures.cameras)))))

    def whole(self, i: int) -> Sight:
        """A view's sight with its triangles and normals."""
        sight = self.views[i]
        return sight if len(sight.triangle) else _look(self.vertices, self.normals, self.faces, self.pictures, i)


def _look(vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, pictures: Pictures, i: int) -> Sight:
    camera = pictures.cameras[i]
    K = np.array([camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2], camera.K[0, 1]])
    projected = np.empty((len(vertices), 3), np.float32)
    project(vertices, camera.R, camera.t, K, projected)
    x0, y0, x1, y1 = _box(projected, camera)
    projected[:, 0] -= x0
    projected[:, 1] -= y0
    K[2] -= x0
    K[3] -= y0
    h, w = y1 - y0, x1 - x0
    triangle, depth = np.empty((h, w), np.int32), np.empty((h, w), np.float32)
    rasterise(projected, faces, depth, triangle, np.empty(len(faces), np.uint8))
    seen, cosine = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
    _shade(vertices, normals, faces, camera.R, camera.center, K, triangle, depth, seen, cosine)
    mask = pictures.masks[i]
    if mask is not None:
        mask = cv2.resize(mask, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)[y0:y1, x0:x1]
    use = _usable(triangle, depth, cosine, pictures.pixel, mask)
    P = camera.K @ np.concatenate([camera.R, camera.t[:, None]], 1)
    back = camera.R.T @ np.linalg.inv(camera.K)
    return Sight(np.array([y0, x0]), depth, use, triangle, seen, camera, P, back)


def _box(projected: np.ndarray, camera: Camera) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that projected vertices [V, 3] cover, at least one pixel."""
    pixels = projected[projected[:, 2] > 0, :2]
    if not len(pixels):
        return 0, 0, 1, 1
    low = np.clip(np.floor(pixels.min(0)) - 2, 0, [camera.width - 1, camera.height - 1]).astype(int)
    high = np.clip(np.ceil(pixels.max(0)) + 2, low + 1, [camera.width, camera.height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@njit(cache=True, nogil=True)
def _shade(vertices, normals, faces, R, center, K, triangle, depth, seen, cosine):
    """Turns 1 / depth into depth and fills seen [h, w, 3] with unit normals, cosine [h, w] with theirs to the ray."""
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            f = triangle[y, x]
            if f < 0:
                continue
            dx, dy, dz = pixel_ray(x, y, R, K)
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            w0, w1, w2, _, _, _, _ = pixel_weights(vertices, i, j, k, center, dx, dy, dz)
            nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
            ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
            nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
            inverse = 1.0 / max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
            seen[y, x, 0] = nx * inverse
            seen[y, x, 1] = ny * inverse
            seen[y, x, 2] = nz * inverse
            ray = np.sqrt(dx * dx + dy * dy + dz * dz)
            cosine[y, x] = min(max(-(nx * dx + ny * dy + nz * dz) * inverse / ray, 0.0), 1.0)
            depth[y, x] = 1.0 / depth[y, x]


def _usable(
    triangle: np.ndarray, depth: np.ndarray, cosine: np.ndarray, pixel: float, mask: np.ndarray | None
) -> np.ndarray:  # [h, w] uint8
    """Pixels well inside the head, and not at edges where one part of it hides another."""
    hit = (triangle >= 0).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
    # a surface seen at a grazing angle has steep depth without an edge
    steep = np.sqrt(np.maximum(1 - cosine * cosine, 0)) / np.maximum(cosine, 0.1)
    edge = (jump > (EDGE + 3 * steep) * pixel).astype(np.uint8)
    inside = cv2.erode(hit, kernel) & ~cv2.dilate(edge, kernel).astype(bool)
    if mask is not None:
        inside &= mask > 0.5
    return inside.astype(np.uint8)
