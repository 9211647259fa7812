"""Exact box resampling of a square window of an image, with the half pixels where they belong."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

WHOLE = 1 - 1e-4  # share of a cell's width inside the image from which on it counts as inside


@njit(inline="always")
def _cell(start, step, half, i, length):
    """The pixels [first, last) that output cell i covers, and its ends."""
    low = start + (i + 0.5) * step - half
    high = low + 2 * half
    return max(math.floor(low), 0), min(math.ceil(high), length), low, high


@njit(parallel=True, cache=True)
def _resample(maps, x, y, step, result, inside):
    height, width, channels = maps.shape
    half = max(step, 1.0) / 2
    for i in prange(result.shape[0]):
        top, bottom, y_low, y_high = _cell(y, step, half, i, height)
        for j in range(result.shape[1]):
            left, right, x_low, x_high = _cell(x, step, half, j, width)
            total = 0.0
            for p in range(top, bottom):
                tall = min(y_high, p + 1) - max(y_low, p)
                for q in range(left, right):
                    share = tall * (min(x_high, q + 1) - max(x_low, q))
                    total += share
                    for c in range(channels):
                        result[i, j, c] += share * maps[p, q, c]
            for c in range(channels):
                result[i, j, c] /= max(total, 1e-12)
            down = min(y_high, height) - max(y_low, 0)
            across = min(x_high, width) - max(x_low, 0)
            inside[i, j] = min(down, across) > 2 * half * WHOLE


def resample(maps: np.ndarray, x: float, y: float, side: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The window [x, x + side] x [y, y + side] (pixel corners) of maps [H, W, k] -> [size, size, k], inside [size]^2.

    Each output pixel is the mean of what it covers inside the image; inside is 1 where it lies wholly in the image and
    0 where any part of it is outside. Cells narrower than an input pixel are widened to one pixel around their centre
    (linear interpolation).
    """
    result = np.zeros((size, size, maps.shape[2]), np.float32)
    inside = np.empty((size, size), np.float32)
    _resample(np.ascontiguousarray(maps, np.float32), float(x), float(y), side / size, result, inside)
    return result, inside
