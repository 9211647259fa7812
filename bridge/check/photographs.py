"""The photographs themselves: one too dark, one out of focus, one used twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import cv2
import numpy as np

from ..mattes.hull import Hull
from ..mattes.silhouettes import Silhouette
from ..side_by_side import side_by_side
from .findings import WARNING, Finding, names

SIDE = 400  # pixels: the head's longer side when its sharpness is told
BLURRED, BLURRIER = 0.62, 0.16  # blur of a photograph that is soft, and how far above the others' median
STOPS = 0.8  # exposure that differs by more from the others (factor of 2 each)
SHARED = 60  # surface points two views must share before their brightness is compared
SAME = 0.002  # mean difference of two photographs that are one


def check(
    names_: Sequence[str],
    taken: Callable[[int], tuple[np.ndarray, np.ndarray]],
    silhouettes: Sequence[Silhouette],
    hull: Hull,
) -> list[Finding]:
    """What is odd about the photographs themselves: blurred, of another exposure, the same one twice.

    taken: a view's photograph [H, W, 3] and matte [h, w], asked for once.
    """

    def look(i: int) -> tuple[np.ndarray, np.ndarray, float]:
        photo, matte = taken(i)
        small = cv2.resize(photo, (48, 48), interpolation=cv2.INTER_AREA)
        return small, _light(photo, silhouettes[i], hull, i), blur(photo, matte)

    small, light, blurs = zip(*side_by_side(look, range(len(names_))), strict=True)
    return [*_duplicates(names_, small), *_exposure(names_, exposures(np.stack(light))), *_sharpness(names_, blurs)]


def blur(photo: np.ndarray, matte: np.ndarray) -> float:
    """0 (crisp) to 1 inside the matte: how little one more blur changes (Crete et al. 2007)."""
    rows, columns = np.flatnonzero((matte > 0.5).any(1)), np.flatnonzero((matte > 0.5).any(0))
    if len(rows) < 8 or len(columns) < 8:
        return 0.0
    sy, sx = photo.shape[0] / matte.shape[0], photo.shape[1] / matte.shape[1]
    y, x = slice(int(rows[0] * sy), int(rows[-1] * sy)), slice(int(columns[0] * sx), int(columns[-1] * sx))
    part = photo[y, x] @ np.array([0.299, 0.587, 0.114], np.float32)
    scale = min(1.0, SIDE / max(part.shape))
    size = max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale))
    grey = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(np.ascontiguousarray(matte[rows[0] : rows[-1], columns[0] : columns[-1]], np.float32), size)
    inside = np.asarray(cv2.erode((inside > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    results = []
    for axis in (0, 1):
        window = (1, 9) if axis == 0 else (9, 1)  # cv2: width, height
        change = np.abs(np.diff(grey, axis=axis))
        left = np.abs(np.diff(cv2.blur(grey, window), axis=axis))
        kept = inside[1:] if axis == 0 else inside[:, 1:]
        lost = np.maximum(change - left, 0)[kept].sum()
        results.append(1 - lost / max(float(change[kept].sum()), 1e-6))
    return float(max(results))


def _sharpness(view_names: Sequence[str], blurs: Sequence[float]) -> list[Finding]:
    usual = float(np.median(blurs))
    found = []
    for name, value in zip(view_names, blurs, strict=True):
        if value > BLURRED and value > usual + BLURRIER:
            sentence = f"The photograph of '{name}' is blurred compared with the others."
            cure = "Take it again with a shorter exposure or better focus, or leave it out."
            found.append(Finding("photo-blurred", WARNING, (name,), sentence, cure))
    return found


def _light(photo: np.ndarray, silhouette: Silhouette, hull: Hull, i: int) -> np.ndarray:  # [points]
    """Logarithm (base 2) of the light that view i shows at the hull's points, NaN where it does not see them."""
    camera, light = silhouette.camera, np.full(len(hull.points), np.nan)
    small = cv2.resize(photo, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    grey = np.clip(small @ np.array([0.2126, 0.7152, 0.0722], np.float32), 0, 1) ** 2.2
    weight = cv2.blur(silhouette.mask.astype(np.float32), (9, 9))
    grey = cv2.blur(grey * silhouette.mask, (9, 9)) / np.maximum(weight, 1e-3)  # the hull is coarse, so is this
    pixels, _ = camera.project(hull.points)
    within = ((pixels > 0) & (pixels < [camera.width, camera.height])).all(1)
    seen = hull.seen[i] & within
    column, row = np.floor(pixels[seen].T).astype(int)
    values = np.where(silhouette.mask[row, column], grey[row, column], np.nan)
    light[seen] = np.log2(np.maximum(values, 1e-3))
    return light


def exposures(light: np.ndarray) -> np.ndarray:  # [views]
    """Stops of each photograph against their common middle, from points [views, points] of which light is known."""
    views = len(light)
    rows, right = [], []
    for a, b in combinations(range(views), 2):
        apart = light[a] - light[b]
        apart = apart[np.isfinite(apart)]
        if len(apart) >= SHARED:
            row = np.zeros(views)
            row[a], row[b] = 1, -1
            rows.append(row)
            right.append(np.median(apart))
    if not rows:
        return np.full(views, np.nan)
    A, y = np.stack(rows), np.array(right)
    gains, weights = np.zeros(views), np.ones(len(y))
    for _ in range(15):  # least absolute differences: one odd photograph must not make the others odd
        W = np.sqrt(weights)[:, None]
        gains = np.linalg.lstsq(A * W, y * W[:, 0], rcond=None)[0]
        weights = 1 / np.maximum(np.abs(A @ gains - y), 0.05)
    gains[~np.abs(A).any(0)] = np.nan
    return gains - np.nanmedian(gains)


def _exposure(view_names: Sequence[str], found_stops: np.ndarray) -> list[Finding]:
    found = []
    for name, stops in zip(view_names, found_stops, strict=True):
        if abs(stops) > STOPS:
            side = "brighter" if stops > 0 else "darker"
            sentence = f"The photograph of '{name}' is about {abs(stops):.1f} stops {side} than the others."
            cure = "Lock exposure and white balance, or develop the photographs alike."
            found.append(Finding("photo-exposure", WARNING, (name,), sentence, cure))
    return found


def _duplicates(view_names: Sequence[str], small: Sequence[np.ndarray]) -> list[Finding]:
    found = []
    for a, b in combinations(range(len(small)), 2):
        if np.abs(small[a] - small[b]).mean() < SAME:
            views = (view_names[a], view_names[b])
            sentence = f"{names(views)} show the same photograph."
            cure = "Give each camera its own photograph, or leave one out."
            found.append(Finding("photo-twin", WARNING, views, sentence, cure))
    return found
