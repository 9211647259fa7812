"""Flat charts laid side by side in the unit square: upright, at one scale, with a gutter between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GUTTER = 0.006  # of the square's side between two charts and along its border: 12 texels at 2k


def upright(uv: np.ndarray, weights: np.ndarray, height: np.ndarray) -> np.ndarray:  # [n, 2]
    """The chart turned so that height [n] rises along v as well as it can."""
    centred = uv - np.average(uv, axis=0, weights=weights)
    slope = (centred * (weights * (height - np.average(height, weights=weights)))[:, None]).sum(0)
    length = np.linalg.norm(slope)
    if length < 1e-12:
        return centred
    x, y = slope / length
    return centred @ np.array([[y, x], [-x, y]])


def smallest_box(uv: np.ndarray) -> np.ndarray:  # [n, 2]
    """The chart turned to where its bounding box is smallest, lying on its long side."""
    from scipy.spatial import ConvexHull

    hull = uv[ConvexHull(uv).vertices]
    best, least = uv, np.inf
    for turn in np.linspace(0, np.pi / 2, 45, endpoint=False):
        c, s = np.cos(turn), np.sin(turn)
        spin = np.array([[c, -s], [s, c]])
        w, h = np.ptp(hull @ spin, axis=0)
        if w * h < least:
            least = w * h
            best = uv @ (spin if w >= h else spin @ np.array([[0, -1], [1, 0]]))
    return best


def pack(charts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The charts [n, 2] moved and scaled by one factor into the unit square, the largest first, on shelves."""
    boxes = np.array([np.ptp(chart, axis=0) for chart in charts])
    order = np.argsort(-boxes[:, 1])
    low, high = 0.0, 1.0 / max(boxes.max(), 1e-30)
    places = None
    for _ in range(40):
        scale = (low + high) / 2
        found = _shelves(boxes * scale, order)
        if found is None:
            high = scale
        else:
            low, places = scale, found
    if places is None:
        raise ValueError("the charts cannot be packed")
    # what is left free goes to all sides alike
    taken = np.max(places + boxes * low, axis=0) + GUTTER
    spare = np.maximum(1 - taken, 0) / 2
    return [(chart - chart.min(0)) * low + place + spare for chart, place in zip(charts, places)]


def _shelves(boxes: np.ndarray, order: np.ndarray) -> np.ndarray | None:
    places = np.zeros_like(boxes)
    x, y, tallest = GUTTER, GUTTER, 0.0
    for i in order:
        w, h = boxes[i]
        if x + w + GUTTER > 1:
            x, y, tallest = GUTTER, y + tallest + GUTTER, 0.0
        if x + w + GUTTER > 1 or y + h + GUTTER > 1:
            return None
        places[i] = x, y
        x += w + GUTTER
        tallest = max(tallest, h)
    return places
