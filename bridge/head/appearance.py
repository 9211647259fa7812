"""What a picture of a face shows besides the face: glasses, and that it is a drawing. Signs, not proofs.

They look at brightness around the landmarks alone, in a picture of the face that is always about equally large.
Measured on 40 heads from two or three sides each, bare, with painted glasses, and on five drawings (docs/lab/few.md).
"""

from __future__ import annotations

import cv2
import numpy as np

from .landmarks import CHIN, EYES, FOREHEAD, OVAL, Face

HEIGHT = 160  # pixels of the face in the picture that is looked at
# from the lower lid down to the cheek, the subject's right eye and the left one
BELOW = (
    ((145, 101), (144, 36), (153, 100), (163, 50), (154, 142)),
    ((374, 330), (373, 266), (380, 329), (390, 280), (381, 371)),
)
UNDER, CHEEKS = ((230, 229, 231), (450, 449, 451)), ((50, 205), (280, 425))
FROM, TO, STEPS = 0.25, 0.95, 24  # of the way from the lid to the cheek: lashes are left out
RIM = 0.11  # of the face's height: what is narrower and darker than both its sides is a rim
ALIKE = 0.012  # of the brightness: equal for the eye
TURNED = 0.25  # an eye that looks away so far is not judged
RIMS = 0.46  # painted rims 0.55 to 0.86; 86 bare faces 0.01 to 0.37, those that are painted dark below the eyes most
DARK = 0.5  # painted dark glasses mostly 0.15 to 0.4; bare faces 0.62 and more
FLAT = 0.45  # drawings 0.69 to 0.79; 127 photographs 0.07 to 0.28


def wears_glasses(picture: np.ndarray, face: Face) -> bool:
    """Whether the picture [H, W, 3] (sRGB 0..1 or uint8) seems to show glasses before the face, in its pixels."""
    return rims(picture, face) > RIMS or shade(picture, face) < DARK


def is_drawn(picture: np.ndarray, face: Face) -> bool:
    """Whether the picture [H, W, 3] seems to be a drawing of the face and no photograph."""
    return flatness(picture, face) > FLAT


def rims(picture: np.ndarray, face: Face) -> float:
    """How dark a line runs below both eyes, as a share of the skin's brightness: the rims of glasses.

    picture: [H, W, 3] sRGB 0..1 or uint8, face: in its pixels. The fainter eye counts, the middle of five rays.
    """
    seen = _close(picture, face)
    if seen is None or min(face.frontal[list(EYES)]) < TURNED:
        return 0.0
    grey, points = seen
    size = max(round(RIM * HEIGHT) | 1, 3)
    dark = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    depth = dark / np.maximum(grey + dark, 0.05)
    way = np.linspace(FROM, TO, STEPS)[:, None]
    found = []
    for rays in BELOW:
        lines = [_at(depth, points[a] + way * (points[b] - points[a])).max() for a, b in rays]
        found.append(float(np.median(lines)))
    return min(found)


def shade(picture: np.ndarray, face: Face) -> float:
    """How bright the skin below the eyes is beside that of the cheeks: dark glasses make it far less than 1."""
    seen = _close(picture, face)
    if seen is None or min(face.frontal[list(EYES)]) < TURNED:
        return 1.0
    grey, points = seen
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.02 * HEIGHT)
    pairs = [(np.median(_at(smooth, points[list(a)])), np.median(_at(smooth, points[list(b)])))
             for a, b in zip(UNDER, CHEEKS, strict=True)]  # fmt: skip
    return float(max(under / max(cheek, 0.02) for under, cheek in pairs))


def flatness(picture: np.ndarray, face: Face) -> float:
    """Share of the face that is equally bright: light makes skin differ, a drawing's paper and paint are even."""
    seen = _close(picture, face)
    if seen is None:
        return 0.0
    grey, points = seen
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points[list(OVAL)].astype(np.float32)).astype(np.int32), 1)
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.01 * HEIGHT)
    values = np.sort(smooth[inside > 0])
    if len(values) < 100:
        return 0.0
    upto = np.searchsorted(values, values + 2 * ALIKE, side="right")
    return float((upto - np.arange(len(values))).max() / len(values))


def _close(picture: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray] | None:
    """The face's brightness [h, w] 0..1, HEIGHT pixels from forehead to chin, and the landmarks [468, 2] in it."""
    points = face.points[:, :2]
    height = float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))
    if height < 16:
        return None
    low = np.floor(points.min(0) - 0.1 * height).astype(int)
    high = np.ceil(points.max(0) + 0.1 * height).astype(int)
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, picture.shape[1::-1])
    if x1 - x0 < 16 or y1 - y0 < 16:
        return None
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    part = part.astype(np.float32) / 255 if part.dtype == np.uint8 else part.astype(np.float32)
    scale = HEIGHT / height
    grey = cv2.cvtColor(np.clip(part, 0, 1), cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how), (points - [x0, y0]) * scale


def _at(values: np.ndarray, points: np.ndarray) -> np.ndarray:  # [h, w], [n, 2] -> [n]
    x, y = np.ascontiguousarray(points.T - 0.5, np.float32)
    return cv2.remap(values, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
