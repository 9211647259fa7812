"""Where the canonical head is in a capture's world, from the network's canonical coordinates (paper, section 3.1).

Every pixel of a view names the point of a canonical head that it shows (units of 140 mm, +Y up, +Z out of the face).
For points of the surface the views that see them are asked for their middle; a similarity brings world and canonical
points together robustly (RANSAC, Fischler and Bolles 1981; Umeyama 1991). It says which way is up, where the face
looks, and how long a world unit is. Only to be used where enough points agree: `trusted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..capture.images import remap
from ..capture.normal_map import NormalMap

UNIT_MM = 140.0  # of the canonical frame
TOLERANCE = 0.15  # canonical units: a pair this far apart still agrees
# Least share of the pairs that must agree. It belongs to the weights: the longer they are trained, the more agrees, on
# what is no head as well. Those of five runs: 0.62 to 0.90 on ten heads and 0.49 on one, up and front found within 6
# degrees; 0.36 on a bust with a tall crown (10 degrees off), 0.53 on a ball with a pattern and 0.28 on buddha_real
TRUSTED = 0.58
LEAST_PAIRS = 50
TRIALS = 500
VOTERS = 1000  # pairs that judge a trial
LEAST_SPREAD = 0.2  # canonical units: three points closer than this to a line fix no rotation


@dataclass(frozen=True, eq=False)
class Canonical:
    """canonical = scale * rotation @ world + offset."""

    scale: float
    rotation: np.ndarray  # [3, 3]
    offset: np.ndarray  # [3]
    inlier_share: float  # of the pairs

    @property
    def trusted(self) -> bool:
        return self.inlier_share >= TRUSTED

    @property
    def up(self) -> np.ndarray:  # [3] unit, in the world
        return self.rotation[1]

    @property
    def front(self) -> np.ndarray:  # [3] unit, in the world: out of the face
        return self.rotation[2]

    @property
    def unit_mm(self) -> float:
        """Millimetres of a world unit, were this head of average size."""
        return self.scale * UNIT_MM

    @property
    def center(self) -> np.ndarray:  # [3] the canonical origin in the world
        return -self.rotation.T @ self.offset / self.scale

    def apply(self, points: np.ndarray) -> np.ndarray:  # [N, 3] world -> canonical
        return self.scale * points @ self.rotation.T + self.offset


def locate(
    maps: Sequence[NormalMap], points: np.ndarray, normals: np.ndarray, seen: np.ndarray, seed: int = 0
) -> Canonical | None:
    """The canonical frame from maps with canonical coordinates and surface points [N, 3] with unit normals (world).

    seen: [views, N] bool, which view shows which point. None where maps or points are too few.
    """
    world, canonical = pairs(maps, points, normals, seen)
    return robust_similarity(world, canonical, seed=seed) if len(world) >= LEAST_PAIRS else None


def pairs(
    maps: Sequence[NormalMap], points: np.ndarray, normals: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World points and the canonical points [n, 3] that the views name there, weighted by confidence and facing."""
    values, weights = [], []
    for found, visible in zip(maps, seen, strict=True):
        if found.canonical is None:
            continue
        pixels, _ = found.camera.project(points)
        x, y = (pixels.T - 0.5).astype(np.float32)  # cv2 puts the first pixel's centre at 0
        inside = remap(found.matte, x, y, border=cv2.BORDER_CONSTANT)
        sure = 1.0 if found.confidence is None else remap(found.confidence, x, y, border=cv2.BORDER_CONSTANT)
        ray = points - found.camera.center
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        facing = np.clip(-(normals * ray).sum(1), 0, 1)
        weights.append(np.where(visible & (inside > 0.95), sure * facing, 0))
        values.append(remap(found.canonical, x, y, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT))
    if not values:
        return np.empty((0, 3)), np.empty((0, 3))
    weight = np.stack(weights)
    known = weight.sum(0) > 1e-3
    return points[known], _middle(np.stack(values)[:, known].astype(np.float64), weight[:, known])


def _middle(values: np.ndarray, weights: np.ndarray) -> np.ndarray:  # [views, n, 3], [views, n] -> [n, 3]
    """Geometric median over the views: one wrong view does not pull it (Weiszfeld)."""
    pull = weights
    for _ in range(8):
        middle = (pull[..., None] * values).sum(0) / pull.sum(0)[:, None]
        pull = weights / np.maximum(np.linalg.norm(values - middle, axis=2), 0.02)
    return middle


def robust_similarity(
    source: np.ndarray, target: np.ndarray, tolerance: float = TOLERANCE, seed: int = 0
) -> Canonical | None:
    """The similarity source [N, 3] -> target [N, 3] that most pairs agree with. None if no three points fix one."""
    rng = np.random.default_rng(seed)
    best, most = None, 0
    voters = rng.permutation(len(source))[:VOTERS]
    from_, to = source[voters], target[voters]
    for _ in range(TRIALS):
        chosen = rng.choice(len(source), 3, replace=False)
        if _spread(target[chosen]) < LEAST_SPREAD:
            continue
        found = similarity(source[chosen], target[chosen])
        agreeing = int((_gap(found, from_, to) < tolerance).sum()) if found is not None else 0
        if agreeing > most:
            best, most = found, agreeing
    if best is None:
        return None
    for _ in range(20):  # all that agree decide together, the closest most
        gap = _gap(best, source, target)
        agree = gap < tolerance
        usual = max(float(np.median(gap[agree])), 1e-3 * tolerance) if agree.any() else tolerance
        better = similarity(source[agree], target[agree], 1 / (1 + (gap[agree] / usual) ** 2))
        if agree.sum() < 3 or better is None:
            break
        best = better
    share = float((_gap(best, source, target) < tolerance).mean())
    return Canonical(best.scale, best.rotation, best.offset, share)


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> Canonical | None:
    """Least squares of scale, rotation and offset (Umeyama 1991); None where the points have no extent."""
    share = np.full(len(source), 1 / max(len(source), 1)) if weights is None else weights / weights.sum()
    a, b = share @ source, share @ target
    from_, to = source - a, (target - b) * share[:, None]
    variance = share @ (from_**2).sum(1)
    if variance < 1e-18:
        return None
    u, d, vt = np.linalg.svd(to.T @ from_)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])  # a rotation, never a mirror
    rotation = u @ np.diag(sign) @ vt
    scale = float((d * sign).sum() / variance)
    if scale <= 0:
        return None
    return Canonical(scale, rotation, b - scale * rotation @ a, 1.0)


def _gap(found: Canonical, source: np.ndarray, target: np.ndarray) -> np.ndarray:  # [N] canonical units
    return np.linalg.norm(found.apply(source) - target, axis=1)


def _spread(points: np.ndarray) -> float:
    """Distance of the third point from the line through the other two."""
    along = points[1] - points[0]
    length = np.linalg.norm(along)
    return float(np.linalg.norm(np.cross(along, points[2] - points[0])) / length) if length > 1e-9 else 0.0
