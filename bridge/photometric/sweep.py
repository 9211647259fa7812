"""Depth maps that do not believe the mesh: each view's pixels searched along their rays by what the other views show.

Plane sweeping (Collins 1996) with surfaces instead of planes: the mesh's own depth, blurred until its folds and false
edges are gone, moved to both sides. A depth counts where the depth maps of other views agree with it, as in PatchMatch
stereo (Schoenberger et al. 2016, section 4.3). Nothing here asks the mesh what hides what, so its folds hide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from ..errors import Check
from .sight import WORKERS, Sight, Sights

REACH = 0.12  # of the head's radius, to both sides
STEP = 1.2  # pixels between two depths
BLUR = 8.0  # pixels, of the mesh's depth
HALF = 3  # windows of 7 x 7 pixels
SHOWN = 2  # views whose correlations are averaged, the best ones: a true point may be hidden from the others
APART = 3  # steps beside the best depth from which another one is another
NEAR = 2.5  # pixels within which two views' depths agree
OUTSIDE = -10.0  # grey value that no window of a photograph is like


@dataclass(frozen=True, eq=False)
class DepthMap:
    """What one view's part [h, w] of the picture says about depth."""

    depth: np.ndarray  # [h, w] float32 along the optical axis, 0: unknown
    correlation: np.ndarray  # [h, w] there
    elsewhere: np.ndarray  # [h, w] the best correlation at another depth
    mesh: np.ndarray  # [h, w] the correlation at the mesh's own depth, -1 where there is none
    agreeing: np.ndarray  # [h, w] int: other views whose depth maps have the same point


def depth_maps(sights: Sights, partners: Sequence[Sequence[int]], check: Check) -> list[DepthMap]:
    """Of all views; partners: for each view the others that it is compared with."""
    pictures = sights.pictures
    masked = [
        grey if mask is None else np.where(_sized(mask, grey) > 0.5, grey, np.float32(OUTSIDE))
        for grey, mask in zip(pictures.grey, pictures.masks, strict=True)
    ]

    def one(i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        check()
        return _searched(sights, i, partners[i], masked)

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(one, range(len(sights.views))))
    depths = [depth for depth, _, _, _ in found]
    return [
        DepthMap(depth, alike, elsewhere, mesh, _agreeing(sights, i, partners[i], depths))
        for i, (depth, alike, elsewhere, mesh) in enumerate(found)
    ]


def _searched(
    sights: Sights, i: int, partners: Sequence[int], masked: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """depth, correlation, elsewhere, mesh [h, w] of view i. masked: all pictures, OUTSIDE where the head is not."""
    sight, pictures = sights.views[i], sights.pictures
    base = _blurred(sight, pictures.masks[i], pictures.grey[i])
    reference = sight.cut(pictures.grey[i])
    mean = _mean(reference)
    variance = np.maximum(_mean(reference * reference) - mean * mean, 0) + pictures.noise[i]
    unit = STEP * pictures.pixel
    steps = int(REACH / unit)
    scores = np.zeros((2 * steps + 1, *base.shape), np.float32)
    u, v, best, second = (np.empty_like(base) for _ in range(4))
    for k in range(len(scores)):
        best.fill(-1)
        second.fill(-1)
        for j in partners:
            _places(base, np.float32((k - steps) * unit), sight.first, sight.back, sight.camera.center,
                    sights.views[j].P, u, v)  # fmt: skip
            theirs = cv2.remap(masked[j], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
            _keep_best(_mean(theirs), _mean(theirs * theirs), _mean(reference * theirs), mean, variance,
                       np.float32(pictures.noise[j]), best, second)  # fmt: skip
        several = best if len(partners) < SHOWN else 0.5 * (best + second)
        cv2.boxFilter(several, -1, (3, 3), dst=scores[k])
    return _peaks(scores, base, sight.depth, np.float32(unit), APART)


def _blurred(sight: Sight, mask: np.ndarray | None, grey: np.ndarray) -> np.ndarray:  # [h, w] float32, 0: not the head
    """The mesh's depth as its surroundings have it, also where the mesh is missing in the mask [H, W]."""
    hit = sight.depth > 0
    head = hit if mask is None else sight.cut(_sized(mask, grey)) > 0.5
    weight = (hit & head).astype(np.float32)
    depth, share = (cv2.GaussianBlur(part, (0, 0), BLUR) for part in (sight.depth * weight, weight))
    return np.where(head & (share > 0.02), depth / np.maximum(share, 1e-6), 0).astype(np.float32)


def _sized(mask: np.ndarray, grey: np.ndarray) -> np.ndarray:
    return cv2.resize(mask, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _mean(values: np.ndarray) -> np.ndarray:
    return cv2.boxFilter(values, cv2.CV_32F, (2 * HALF + 1, 2 * HALF + 1))


def _agreeing(sights: Sights, i: int, partners: Sequence[int], depths: Sequence[np.ndarray]) -> np.ndarray:
    """[h, w] int: how many of the partners' depth maps have the points of view i's."""
    sight, near = sights.views[i], np.float32(NEAR * sights.pictures.pixel)
    count = np.zeros(depths[i].shape, np.int64)
    for j in partners:
        other = sights.views[j]
        _count_same(depths[i], sight.first, sight.back, sight.camera.center, depths[j], other.first, other.P, near,
                    count)  # fmt: skip
    return count


@njit(inline="always")
def _shown(first, back, center, x, y, depth, P):
    """Where a partner shows the point of depth `depth` that pixel (x, y) of a part sees, and its depth there."""
    px, py, z = first[1] + x + 0.5, first[0] + y + 0.5, np.float64(depth)
    X = center[0] + z * (back[0, 0] * px + back[0, 1] * py + back[0, 2])
    Y = center[1] + z * (back[1, 0] * px + back[1, 1] * py + back[1, 2])
    Z = center[2] + z * (back[2, 0] * px + back[2, 1] * py + back[2, 2])
    there = P[2, 0] * X + P[2, 1] * Y + P[2, 2] * Z + P[2, 3]
    over = 1.0 / max(there, 1e-9)
    u = (P[0, 0] * X + P[0, 1] * Y + P[0, 2] * Z + P[0, 3]) * over
    v = (P[1, 0] * X + P[1, 1] * Y + P[1, 2] * Z + P[1, 3]) * over
    return u, v, there


@njit(cache=True, nogil=True)
def _places(base, offset, first, back, center, P, u, v):
    """Where the partner shows the points [h, w] that lie `offset` behind the base: u, v as cv2.remap counts pixels."""
    for y in range(base.shape[0]):
        for x in range(base.shape[1]):
            u[y, x] = v[y, x] = -1e4
            if base[y, x] > 0:
                to_right, down, there = _shown(first, back, center, x, y, base[y, x] + offset, P)
                if there > 0:
                    u[y, x], v[y, x] = to_right - 0.5, down - 0.5


@njit(cache=True, nogil=True)
def _keep_best(theirs, squares, products, mean, variance, noise, best, second):
    """Keeps the two highest correlations [h, w] of windows, by their means."""
    for y in range(best.shape[0]):
        for x in range(best.shape[1]):
            spread = max(squares[y, x] - theirs[y, x] * theirs[y, x], 0.0) + noise
            alike = (products[y, x] - mean[y, x] * theirs[y, x]) / np.sqrt(variance[y, x] * spread)
            if alike > best[y, x]:
                second[y, x] = best[y, x]
                best[y, x] = alike
            elif alike > second[y, x]:
                second[y, x] = alike


@njit(cache=True, nogil=True)
def _peaks(scores, base, mesh_depth, unit, apart):
    """depth, correlation, elsewhere, mesh [h, w] of scores [K, h, w] at depths around the base."""
    K, h, w = scores.shape
    depth, correlation = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    elsewhere, mesh = np.zeros((h, w), np.float32), np.full((h, w), -1.0, np.float32)
    for y in range(h):
        for x in range(w):
            if base[y, x] <= 0:
                continue
            top = 0
            for k in range(K):
                if scores[k, y, x] > scores[top, y, x]:
                    top = k
            if mesh_depth[y, x] > 0:
                place = (mesh_depth[y, x] - base[y, x]) / unit + (K - 1) / 2
                k = int(np.floor(place))
                if 0 <= k < K - 1:
                    mesh[y, x] = scores[k, y, x] + (place - k) * (scores[k + 1, y, x] - scores[k, y, x])
            if top == 0 or top == K - 1:
                continue
            before, at, after = scores[top - 1, y, x], scores[top, y, x], scores[top + 1, y, x]
            part = 0.5 * (before - after) / min(before - 2 * at + after, np.float32(-1e-6))
            depth[y, x] = base[y, x] + (top - (K - 1) / 2 + min(max(part, -0.5), 0.5)) * unit
            correlation[y, x] = at
            other = np.float32(-1.0)
            for k in range(K):
                if abs(k - top) > apart:
                    other = max(other, scores[k, y, x])
            elsewhere[y, x] = other
    return depth, correlation, elsewhere, mesh


@njit(cache=True, nogil=True)
def _count_same(depth, first, back, center, their_depth, their_first, P, near, count):
    """Adds 1 to count [h, w] where the partner's depth map has the same point."""
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            if depth[y, x] <= 0:
                continue
            u, v, there = _shown(first, back, center, x, y, depth[y, x], P)
            i, j = int(np.floor(u)) - their_first[1], int(np.floor(v)) - their_first[0]
            if there <= 0 or not (0 <= i < their_depth.shape[1] and 0 <= j < their_depth.shape[0]):
                continue
            if their_depth[j, i] > 0 and abs(their_depth[j, i] - there) < near:
                count[y, x] += 1
