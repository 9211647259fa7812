"""Points of the head that several photographs show: SIFT matches of near views, joined over all views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..capture.cameras import Camera
from ..check.matches import ENOUGH, Features, features, mutual_matches
from ..errors import Check, unchecked
from ..mattes.silhouettes import BoundingSphere

NEAR = np.radians(80.0)  # views further apart than this share too few features
NEIGHBOURS = 9  # each view is compared with so many: the nearest
TOLERANCE = 0.006  # of the head's radius: a match this far from its epipolar line still fits


@dataclass(frozen=True, eq=False)
class Tracks:
    """Images of surface points: observation k is of point ``point[k]``, in view ``view[k]``, at ``pixel[k]``."""

    point: np.ndarray  # [M] int, 0 .. count - 1
    view: np.ndarray  # [M] int
    pixel: np.ndarray  # [M, 2]

    @property
    def count(self) -> int:
        return int(self.point.max()) + 1 if len(self.point) else 0

    def only(self, keep: np.ndarray) -> Tracks:
        """Those observations [M] bool, without points that fewer than two are left of."""
        keep = keep & (np.bincount(self.point[keep], minlength=self.count) >= 2)[self.point]
        _, point = np.unique(self.point[keep], return_inverse=True)
        return Tracks(point, self.view[keep], self.pixel[keep])

    def of_views(self, views: Sequence[int]) -> Tracks:
        """What is left in some views, which are counted anew in their order."""
        place = np.full(max([*self.view, *views], default=0) + 1, -1)
        place[list(views)] = np.arange(len(views))
        found = self.only(place[self.view] >= 0)
        return Tracks(found.point, place[found.view], found.pixel)


def find_tracks(
    photos: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    mattes: Sequence[np.ndarray],
    sphere: BoundingSphere,
    check: Check = unchecked,
) -> Tracks:
    """photos [H, W, 3] sRGB 0..1, mattes [h, w] 0..1. The cameras only tell which views are near each other: a match
    counts if its pair of photographs has an epipolar geometry of its own that explains it."""
    found = []
    for photo, camera, matte in zip(photos, cameras, mattes, strict=True):
        check()
        found.append(features(photo, camera, matte, sphere))
    first = np.cumsum([0, *(len(f.points) for f in found)])
    links = [np.empty((0, 2), int)]
    for a, b in _pairs(cameras, sphere):
        check()
        links.append(_matches(found[a], found[b], sphere) + [first[a], first[b]])
    return _joined(found, np.concatenate(links))


def _pairs(cameras: Sequence[Camera], sphere: BoundingSphere) -> list[tuple[int, int]]:
    towards = np.stack([camera.center - sphere.center for camera in cameras])
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    angle = np.arccos(np.clip(towards @ towards.T, -1, 1))
    near = np.argsort(angle, axis=1, kind="stable")[:, : NEIGHBOURS + 1]
    return sorted(
        {(min(i, int(j)), max(i, int(j))) for i, row in enumerate(near) for j in row if i != j and angle[i, j] < NEAR}
    )


def _matches(a: Features, b: Features, sphere: BoundingSphere) -> np.ndarray:  # [m, 2] indices
    found = mutual_matches(a.descriptors, b.descriptors)
    if len(found) < ENOUGH:
        return np.empty((0, 2), int)
    sizes = [f.camera.K[0, 0] * sphere.radius / np.linalg.norm(sphere.center - f.camera.center) for f in (a, b)]
    cv2.setRNGSeed(0)
    x, y = a.points[found[:, 0]], b.points[found[:, 1]]
    _, inside = cv2.findFundamentalMat(x, y, cv2.USAC_MAGSAC, TOLERANCE * float(np.mean(sizes)), 0.999, 3000)
    kept = found[:0] if inside is None else found[inside.ravel() > 0]
    return kept if len(kept) >= ENOUGH else found[:0]


def _joined(found: Sequence[Features], links: np.ndarray) -> Tracks:
    """Features that are linked are one point; chains that come back to a view elsewhere are none."""
    view = np.repeat(np.arange(len(found)), [len(f.points) for f in found])
    pixel = np.concatenate([f.points for f in found])
    graph = sparse.coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(view), len(view)))
    count, point = connected_components(graph, directed=False)
    views_of = np.bincount(point, minlength=count)
    different = np.bincount(np.unique(point * len(found) + view) // len(found), minlength=count)
    return Tracks(point, view, pixel).only((views_of == different)[point])
