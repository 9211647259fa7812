"""Do the silhouettes of all views belong to one solid? The rays of every outline, looked up in all other silhouettes.

A ray through the outline of a view touches the head somewhere. At that place it lies inside the silhouette of every
other view (the visual hull, Laurentini 1994). How far it stays outside, at best, is the misfit of that outline point;
with all cameras right it is close to zero whatever the shape. Lengths are shares of the head's radius.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import nearest_point
from ..capture.images import remap

SIZE = 256  # pixels of the longer side at which silhouettes are compared
BORDER = 2.0  # pixels: outlines this close to the image's border are cuts of the frame, not of the head
DEEP = 0.4  # depth inside or outside a silhouette is told up to this
RANGE = 1.5  # head radii before and behind the head's centre that a ray is followed
CORE, REACH = 0.5, 2.4  # head radii: what every image shows, and what may belong to the head
WORST = 0.2  # a misfit counts at most this much: one wild outline must not drown the others
STEPS = 64  # places on a ray
BUDGET = 3_000_000  # look-ups in all: bounds time and memory with many views
UNIT = 1e-4  # depths are kept as whole numbers of this


@dataclass(frozen=True, eq=False)
class Silhouette:
    """One view's outline at SIZE."""

    camera: Camera  # of the small mask
    mask: np.ndarray  # [h, w] bool
    depth: np.ndarray  # [h, w] float32: pixels to the outline, positive inside
    outline: np.ndarray  # [n, 2] float64 pixel positions, along the outline, without those cut by the image's border

    @classmethod
    def of(cls, camera: Camera, matte: np.ndarray, size: int = SIZE) -> Silhouette:
        """matte: [H, W] 0..1 at any size of the camera's field of view; size: pixels of the longer side."""
        scale = size / max(camera.width, camera.height)
        width, height = max(8, round(camera.width * scale)), max(8, round(camera.height * scale))
        small = cv2.resize(np.asarray(matte, np.float32), (width, height), interpolation=cv2.INTER_AREA)
        mask = small > 0.5
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        depth = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
        found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        points = max(found, key=cv2.contourArea)[:, 0].astype(np.float64) + 0.5 if found else np.empty((0, 2))
        free = (points > BORDER).all(1) & (points < np.array([width, height]) - BORDER).all(1)
        return cls(camera.resize(width, height), mask, depth, points[free])

    @property
    def empty(self) -> bool:
        return len(self.outline) == 0

    def seen_by(self, camera: Camera) -> Silhouette:
        """The same outline, had that camera taken it (of any size with the same aspect)."""
        height, width = self.mask.shape
        return replace(self, camera=camera.resize(width, height))

    def mirrored(self) -> Silhouette:
        """The photograph turned left to right, in the same camera."""
        flipped = np.array([self.mask.shape[1], 0.0]) + self.outline * [-1, 1]
        return replace(self, mask=self.mask[:, ::-1], depth=np.ascontiguousarray(self.depth[:, ::-1]), outline=flipped)

    @property
    def box(self) -> np.ndarray:  # [4] x0, y0, x1, y1
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


@dataclass(frozen=True, eq=False)
class BoundingSphere:
    """Where the head is, found so that a minority of wrong cameras does not move it."""

    center: np.ndarray  # [3]
    radius: float

    @classmethod
    def around(cls, silhouettes: Sequence[Silhouette]) -> BoundingSphere:
        cameras = [s.camera for s in silhouettes]
        origins = np.stack([camera.center for camera in cameras])
        middles = [((s.box[:2] + s.box[2:]) / 2)[None] for s in silhouettes]
        rays = np.stack([camera.rays(middle)[0] for camera, middle in zip(cameras, middles)])
        center = _median_point(origins, rays)
        radii = []
        for silhouette, camera in zip(silhouettes, cameras):
            x0, y0, x1, y1 = silhouette.box
            half = max((x1 - x0) / camera.K[0, 0], (y1 - y0) / camera.K[1, 1]) / 2
            radii.append(np.linalg.norm(center - camera.center) * np.sin(np.arctan(half)))
        return cls(center, float(np.median(radii)))


def _median_point(origins: np.ndarray, rays: np.ndarray) -> np.ndarray:  # [3]
    """The point with the least sum of distances (not squared) to lines: reweighted least squares."""
    point = nearest_point(origins, rays)
    for _ in range(15):
        offset = point - origins
        apart = np.linalg.norm(offset - (offset * rays).sum(1, keepdims=True) * rays, axis=1)
        weights = 1 / np.maximum(apart, 1e-3 * np.median(np.linalg.norm(offset, axis=1)))
        projectors = weights[:, None, None] * (np.eye(3) - rays[:, :, None] * rays[:, None, :])
        point = np.linalg.solve(projectors.sum(0), np.einsum("nij,nj->i", projectors, origins))
    return point


def points_on_rays(
    camera: Camera, pixels: np.ndarray, sphere: BoundingSphere, steps: int = STEPS
) -> np.ndarray:  # [3, n, steps] float32
    """Places along the rays of pixels [n, 2], in head radii from the head's centre."""
    rays = camera.rays(pixels)
    eye = (camera.center - sphere.center) / sphere.radius
    middle = -(rays @ eye)  # where the ray is nearest to the centre
    along = np.maximum(middle[:, None] + np.linspace(-RANGE, RANGE, steps), 0)
    return np.ascontiguousarray((eye[:, None, None] + rays.T[:, :, None] * along), np.float32)


def depth_in(silhouette: Silhouette, places: np.ndarray, sphere: BoundingSphere) -> np.ndarray:  # [n, steps] float32
    """How deep places lie inside a silhouette, in head radii; where its image does not reach, it says nothing."""
    sx, sy, sz = places
    if not sx.size:
        return np.zeros(sx.shape, np.float32)  # OpenCV refuses empty maps
    camera = silhouette.camera
    P = np.empty((3, 4), np.float32)  # of the head's frame, with cv2's first pixel centre at 0
    K = camera.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    P[:, :3] = K @ camera.R
    P[:, 3] = K @ (camera.t + camera.R @ sphere.center) / sphere.radius
    # sums by hand: a matrix product of three columns is slower and wakes every core
    x, y, z = (row[0] * sx + row[1] * sy + row[2] * sz + row[3] for row in P)
    before = z > 1e-6
    inverse = 1 / np.maximum(z, np.float32(1e-6))
    x *= inverse
    y *= inverse
    found = remap(silhouette.depth, x, y)
    found *= z * np.float32(1 / np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
    np.clip(found, -DEEP, DEEP, out=found)
    away = sx * sx + sy * sy + sz * sz  # from the head's centre, squared
    beyond = (x < 0) | (y < 0) | (x > camera.width - 1) | (y > camera.height - 1)
    # an image may cut off shoulders, not the middle of the head; and no ray may look for it somewhere else
    found[beyond] = DEEP
    found[~before | (beyond & (away < CORE**2)) | (away > REACH**2)] = -DEEP
    return found


class Agreement:
    """Depths of all outline rays in all silhouettes, from which any subset of views can be judged at once."""

    def __init__(self, silhouettes: Sequence[Silhouette], sphere: BoundingSphere | None = None) -> None:
        self.silhouettes = list(silhouettes)
        self.sphere = sphere or BoundingSphere.around(self.silhouettes)
        views = len(self.silhouettes)
        self.points = int(np.clip(BUDGET / (views * max(views - 1, 1) * STEPS), 48, 128))
        self.depths = np.empty((views, views, self.points, STEPS), np.int16)  # [of, in, point, step], shares / UNIT
        self.samples = [self._samples(s) for s in self.silhouettes]
        for of in range(views):
            for at in range(views):
                self.depths[of, at] = self._depth(of, at) if of != at else round(DEEP / UNIT)

    def _samples(self, silhouette: Silhouette) -> np.ndarray:  # [3, points, steps] float32
        chosen = np.linspace(0, len(silhouette.outline), self.points, endpoint=False).astype(int)
        return points_on_rays(silhouette.camera, silhouette.outline[chosen], self.sphere)

    def _depth(self, of: int, at: int) -> np.ndarray:  # [points, steps] int16
        found = depth_in(self.silhouettes[at], self.samples[of], self.sphere)
        found /= UNIT
        return np.rint(found).astype(np.int16)

    def misfits(self, views: Sequence[int]) -> np.ndarray:
        """[len(views), points] misfit of every outline point against the other views given, 0..WORST."""
        views = list(views)
        rows = []
        for of in views:
            others = self.depths[of, views].min(0)  # the silhouette it lies least deep in, at every step
            rows.append(others.max(-1))  # the step that lies least outside
        return np.clip(np.stack(rows) * np.float32(-UNIT), 0, WORST)

    def misfit(self, views: Sequence[int]) -> float:
        return float(self.misfits(views).mean()) if len(views) > 1 else 0.0

    def replaced(self, changes: Mapping[int, Silhouette]) -> Agreement:
        """The same with other cameras or outlines in some views."""
        other = copy.copy(self)
        other.silhouettes = [changes.get(k, s) for k, s in enumerate(self.silhouettes)]
        other.samples = list(self.samples)
        other.depths = self.depths.copy()
        for i in changes:
            other.samples[i] = other._samples(changes[i])
        for i in changes:
            for k in range(len(self.silhouettes)):
                if k != i:
                    other.depths[i, k] = other._depth(i, k)
                    other.depths[k, i] = other._depth(k, i)
        return other
