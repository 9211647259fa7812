"""A coarse solid from the silhouettes: where the head is, and which of its surface each camera sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from .silhouettes import BoundingSphere, Silhouette

GRID = 64  # voxels along an edge
REACH = 1.25  # half edge of the grid in head radii
FACING = 0.25  # least cosine between surface and view for it to count as seen


@dataclass(frozen=True, eq=False)
class Hull:
    """Surface points of the visual hull in the world."""

    points: np.ndarray  # [n, 3]
    normals: np.ndarray  # [n, 3] unit, outward
    seen: np.ndarray  # [views, n] bool
    voxel: float  # edge length in world units

    @property
    def counts(self) -> np.ndarray:  # [n]
        return self.seen.sum(0)


def carve(silhouettes: Sequence[Silhouette], sphere: BoundingSphere, trusted: Sequence[bool]) -> Hull:
    """What lies inside all trusted silhouettes (in all but one, if that leaves next to nothing)."""
    side = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    world = sphere.center + REACH * sphere.radius * grid
    inside, framed = np.zeros(len(world), np.int32), np.zeros(len(world), np.int32)
    for silhouette, counts in zip(silhouettes, trusted, strict=True):
        if counts:
            hit, within = _inside(silhouette, world)
            inside += hit
            framed += within
    needed = sum(trusted)
    shown = framed >= needed / 2  # shoulders that most images cut off are not asked about
    solid = shown & (inside == needed)
    if solid.sum() < 0.01 * len(solid):
        solid = shown & (inside >= needed - 1)
    solid = solid.reshape(GRID, GRID, GRID)
    rim = solid & ~binary_erosion(solid, border_value=0)
    smooth = gaussian_filter(solid.astype(np.float32), 1.5)
    slope = -np.stack(np.gradient(smooth), -1)[rim]
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    points = world.reshape(GRID, GRID, GRID, 3)[rim]
    voxel = 2 * REACH * sphere.radius / GRID
    seen = [_visible(silhouette, points, normals, voxel) for silhouette in silhouettes]
    return Hull(points, normals, np.stack(seen), voxel)


def _inside(silhouette: Silhouette, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [n], [n] bool
    """Inside the silhouette, or where its image does not reach; and whether the image reaches there."""
    camera = silhouette.camera
    pixels, z = camera.project(points)
    column, row = np.floor(np.nan_to_num(pixels.T, posinf=-1, neginf=-1)).astype(np.int64)
    within = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    hit = silhouette.mask[np.where(within, row, 0), np.where(within, column, 0)]
    return (z > 0) & (hit | ~within), (z > 0) & within


def _visible(silhouette: Silhouette, points: np.ndarray, normals: np.ndarray, voxel: float) -> np.ndarray:
    """Faces the camera, in its image, and nothing in front."""
    camera = silhouette.camera
    ray = points - camera.center
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    pixels, z = camera.project(points)
    step = max(voxel * camera.K[0, 0] / max(np.median(z), 1e-9), 1.0)  # pixels between neighbouring points
    size = int(np.ceil(camera.width / step)) + 1, int(np.ceil(camera.height / step)) + 1
    column, row = np.floor(np.nan_to_num(pixels.T, posinf=-1, neginf=-1) / step).astype(np.int64)
    within = (z > 0) & (column >= 0) & (row >= 0) & (column < size[0]) & (row < size[1])
    column, row = np.where(within, column, 0), np.where(within, row, 0)
    nearest = np.full(size[::-1], np.inf)
    np.minimum.at(nearest, (row[within], column[within]), z[within])
    nearest = cv2.erode(nearest.astype(np.float32), np.ones((3, 3), np.uint8))
    return within & (-(normals * ray).sum(1) > FACING) & (z < nearest[row, column] + 3 * voxel)
