"""Exact box resampling of a square window of an image, with the half pixels where they belong."""

from __future__ import annotations

import numpy as np


def _box_weights(length: int, start: float, side: float, size: int) -> np.ndarray:
    """[size, length] share of output cell i = [start + i s, start + (i + 1) s], s = side / size, in each input pixel.

    Cells narrower than an input pixel are widened to one pixel around their centre (linear interpolation). Rows sum to
    the share of the cell that lies inside the image.
    """
    step = side / size
    centre = start + (np.arange(size) + 0.5) * step
    half = max(step, 1.0) / 2
    low, high = (centre - half)[:, None], (centre + half)[:, None]
    pixel = np.arange(length)[None]
    return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None) / (2 * half)


def resample(maps: np.ndarray, x: float, y: float, side: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The window [x, x + side] x [y, y + side] (pixel corners) of maps [H, W, k] -> [size, size, k], inside [size]^2.

    Each output pixel is the mean of what it covers inside the image; inside is 1 where it lies wholly in the image and
    0 where any part of it is outside.
    """
    H, W = maps.shape[:2]
    rows = _box_weights(H, y, side, size)
    columns = _box_weights(W, x, side, size)
    r, c = rows.sum(1), columns.sum(1)
    rows = (rows / np.maximum(r, 1e-9)[:, None]).astype(np.float32)
    columns = (columns / np.maximum(c, 1e-9)[:, None]).astype(np.float32)
    half = np.tensordot(rows, maps, axes=(1, 0))  # [size, W, k]
    result = np.moveaxis(np.tensordot(columns, half, axes=(1, 1)), 0, 1)
    inside = (r > 1 - 1e-4)[:, None] & (c > 1 - 1e-4)[None]
    return np.ascontiguousarray(result, np.float32), inside.astype(np.float32)
