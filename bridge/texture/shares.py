"""Which photograph paints which place: shares of all photographs at every vertex, smooth along the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from scipy.sparse import coo_matrix, csr_matrix, diags

from ..errors import Check, unchecked

CALM_ROUNDS = 6  # of smoothing qualities before the best photograph is chosen
VOTE_ROUNDS = 4  # in which a place listens to its neighbours, so that no islands are left
NEIGHBOUR_WEIGHT = 3.0
BORDER_MM = (0.012, 0.04)  # of the head's radius: width of the borders between photographs, details and middle tones
MOST_ROUNDS = 120
LEAST_FOCUS = 0.2  # of the others' contrast: a photograph with less counts as one with so much
FOCUS_ROUNDS = 12  # of smoothing along the surface
HIGHLIGHT = 0.22  # in log light above what the others show: a highlight, which counts half


@dataclass(frozen=True, eq=False)
class Shares:
    """Of every photograph at every vertex; over the photographs they sum to 1, or to 0 where none shows the place."""

    detail: np.ndarray  # [m, V] float32
    middle: np.ndarray  # [m, V]
    broad: np.ndarray  # [m, V]
    label: np.ndarray  # [V] int32 the photograph that paints most, -1 where none does


def neighbour_mean(faces: np.ndarray, count: int) -> csr_matrix:
    """One round of smoothing: half itself, half the mean of the neighbours. A vertex without any keeps its value."""
    f = faces.astype(np.int64)
    i, j = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]).T
    matrix = coo_matrix((np.ones(2 * len(i), np.float32), (np.r_[i, j], np.r_[j, i])), (count, count)).tocsr()
    matrix.data[:] = 1
    degree = np.asarray(matrix.sum(1)).ravel()
    half = diags((0.5 / np.maximum(degree, 1)).astype(np.float32)) @ matrix
    return (half + diags(np.where(degree > 0, 0.5, 1.0).astype(np.float32))).tocsr().astype(np.float32)


def smoothed(smooth: csr_matrix, values: np.ndarray) -> np.ndarray:  # [V, m] float32
    """smooth @ values [V, m] float32 on all cores, the same to the bit."""
    out = np.empty_like(values, order="C")
    _smooth(smooth.indptr, smooth.indices, smooth.data, np.ascontiguousarray(values), out)
    return out


@njit(parallel=True, cache=True, nogil=True)
def _smooth(first, columns, weights, values, out):
    for i in prange(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] = 0
        for at in range(first[i], first[i + 1]):
            for k in range(out.shape[1]):
                out[i, k] += weights[at] * values[columns[at], k]


def focus(quality: np.ndarray, contrast: np.ndarray, smooth: csr_matrix) -> np.ndarray:  # [m, V] 0..1
    """What qualities are multiplied by: less where a photograph has less fine detail than the others have there.

    quality, contrast [m, V]; smooth: neighbour_mean of the mesh. A photograph out of focus or shaken loses against one
    that is not; where all are alike nothing changes.
    """
    others = quality.sum(0) - quality
    usual = ((quality * contrast).sum(0) - quality * contrast) / np.maximum(others, 1e-12)
    judged = (quality > 0) & (others > 1e-3 * quality)
    ratio = np.where(judged, contrast / np.maximum(usual, 1e-6), 1).astype(np.float32).T
    for _ in range(FOCUS_ROUNDS):
        ratio = smoothed(smooth, ratio)
    return np.clip(ratio.T, LEAST_FOCUS, 1) ** 2


def suppress_highlights(quality: np.ndarray, colors: np.ndarray) -> np.ndarray:  # [m, V]
    """Qualities lowered where a photograph is much brighter than what the others show at the same place.

    quality [m, V], colors [m, V, 3] linear light after equalising (anything where quality is 0).
    """
    seen = quality > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(np.maximum(np.where(seen[..., None], colors, 1).mean(-1), 1e-4))
    ranked = np.where(seen, level, np.inf)
    count = seen.sum(0)
    # the lower middle: of two it is the darker
    middle = np.take_along_axis(np.sort(ranked, 0), np.maximum((count - 1) // 2, 0)[None], 0)[0]
    over = np.maximum(np.where(seen, level, 0) - np.where(count > 0, middle, 0), 0)
    return np.where(seen, quality / (1 + (over / HIGHLIGHT) ** 2) ** 2, 0).astype(np.float32)


def share_out(quality: np.ndarray, smooth: csr_matrix, edge: float, radius: float, check: Check = unchecked) -> Shares:
    """quality [m, V]; smooth: neighbour_mean of the mesh; edge: its usual edge length, in the units of radius."""
    calm = np.ascontiguousarray(quality.T)  # [V, m]
    for _ in range(CALM_ROUNDS):
        check()
        calm = smoothed(smooth, calm)
    calm *= quality.T > 0
    seen = calm.max(1) > 0
    label = calm.argmax(1)
    views = np.arange(calm.shape[1])
    for _ in range(VOTE_ROUNDS):
        check()
        vote = (label[:, None] == views).astype(np.float32) * seen[:, None]
        for _ in range(3):
            vote = smoothed(smooth, vote)
        label = (calm * (1 + NEIGHBOUR_WEIGHT * vote)).argmax(1)
    ramp = calm / (calm + 0.1 * calm.max(1, keepdims=True) + 1e-30)
    borders = (label[:, None] == views).astype(np.float32) * seen[:, None]
    found, done = [], 0
    for width in BORDER_MM:
        # a round spreads by about 0.6 edges squared
        rounds = min(MOST_ROUNDS, max(2, round((width * radius / max(edge, 1e-30)) ** 2 / 0.4)))
        for _ in range(rounds - done):
            check()
            borders = smoothed(smooth, borders)
        done = max(done, rounds)
        found.append(_normalised(borders * ramp))
    return Shares(found[0].T, found[1].T, _normalised(calm).T, np.where(seen, label, -1).astype(np.int32))


def _normalised(values: np.ndarray) -> np.ndarray:  # [V, m]
    whole = values.sum(1, keepdims=True)
    return np.divide(values, whole, out=np.zeros_like(values), where=whole > 1e-12)
