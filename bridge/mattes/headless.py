"""Which photographs show no head at all: a grey card, a wall, a black frame. The network sees all views together, so
it draws a head's matte where the cameras say that one should be; whether the photograph shows it is asked here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIZE = 256  # pixels of the longer side at which photographs are looked at
# Of a view's matte, against the median of all views. Heads (24 views of three captures) have 0.77 or more of the
# texture and 0.84 of the outline; walls, grey and black pictures at most 0.05 of either
LEAST_TEXTURE, LEAST_OUTLINE = 0.2, 0.2
# Noise and charts have edges everywhere: no more along the outline than elsewhere (heads 1.6 times or more), and the
# network's confidence falls to 0.82 of the other views' or less
LEAST_CONTRAST, LEAST_CONFIDENCE = 1.2, 0.9
LEAST_SHARE = 1e-3  # of the picture
MOST_HEADLESS = 1 / 3  # of the views: beyond that they are no measure of each other


def without_head(
    photos: Sequence[np.ndarray],
    mattes: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray | None],
    given: Sequence[bool],
) -> list[int]:
    """The views that show no head, in rising order; none where they would be many.

    photos [H, W, 3] float32 sRGB 0..1; mattes, confidences [h, w] 0..1 of the same fields of view; given: whose matte
    is the user's, who knows that there is a head.
    """
    seen = [_seen(photo, matte) for photo, matte in zip(photos, mattes, strict=True)]
    sure = [_confidence(matte, confidence) for matte, confidence in zip(mattes, confidences, strict=True)]
    texture, outline, contrast = np.array(seen).T
    usual = [np.median(values) for values in (texture, outline, sure)]
    found = []
    for i, matte in enumerate(mattes):
        empty = (matte > 0.5).mean() < LEAST_SHARE
        blank = texture[i] < LEAST_TEXTURE * usual[0] or outline[i] < LEAST_OUTLINE * usual[1]
        busy = contrast[i] < LEAST_CONTRAST and sure[i] < LEAST_CONFIDENCE * usual[2]
        if not given[i] and (empty or blank or busy):
            found.append(i)
    return found if len(found) <= MOST_HEADLESS * len(photos) else []


def _seen(photo: np.ndarray, matte: np.ndarray) -> tuple[float, float, float]:
    """Texture inside the matte, edges along its outline (both in CIELAB), and how much stronger those are than the
    picture's usual ones."""
    scale = SIZE / max(matte.shape)
    size = tuple(max(16, round(side * scale)) for side in matte.shape[::-1])
    head = cv2.resize(matte.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    if not head.any() or head.all():
        return 0.0, 0.0, 0.0
    lab = cv2.cvtColor(np.clip(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), 0, 1), cv2.COLOR_RGB2LAB)
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.5)
    detail = smooth - cv2.GaussianBlur(lab, (0, 0), 5)
    texture = float(np.sqrt((detail[head] ** 2).sum(1).mean()))
    slope = [cv2.Sobel(smooth, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))]
    edges = np.sqrt((np.square(slope[0]) + np.square(slope[1])).sum(2))
    near = cv2.dilate(edges, np.ones((9, 9), np.uint8))  # a matte is a few pixels off
    rim = cv2.morphologyEx(head.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    rim[:4] = rim[-4:] = rim[:, :4] = rim[:, -4:] = False  # where the frame cuts the head
    outline = float(near[rim].mean()) if rim.any() else 0.0
    return texture, outline, outline / max(float(np.median(near)), 1e-3)


def _confidence(matte: np.ndarray, confidence: np.ndarray | None) -> float:
    head = matte > 0.5
    if confidence is None:
        return 1.0
    return float(confidence[head].mean()) if head.any() else 0.0
