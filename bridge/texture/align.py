"""Details of one photograph moved onto those of the others: what a camera a pixel off would make a ghost.

Every photograph is compared with a picture of the mesh painted by all others, by dense flow (DIS: Kroeger, Timofte,
Dai, Van Gool 2016); each moves half of the way, twice, so that they meet in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.images import resize_map
from ..errors import Check, unchecked
from ..raster.look import look
from ..side_by_side import side_by_side
from .light import grey, to_srgb
from .shots import FINE_SIGMA, Shot, Surface, at_pixels

ROUNDS = 2
HALF = 0.6  # of the flow that a photograph follows in a round
FARTHEST = 0.03  # of the head's radius: a larger flow is a mistake
BLUR = 0.004  # of the head's radius: vertices hold no finer detail, so the photograph is compared without
FAR = 0.12  # of the head's radius: how far evidence reaches into what one photograph alone shows
SMOOTH = 0.03  # of the head's radius: flow changes slowly along a head


def align(
    shots: Sequence[Shot], colors: np.ndarray, shares: np.ndarray, surface: Surface, check: Check = unchecked
) -> np.ndarray:
    """Offsets [m, V, 2] in pixels of each shot's small picture, to be added to where a vertex projects.

    colors [m, V, 3] equalised linear light; shares [m, V] of the broad tones.
    """
    offsets = np.zeros((len(shots), len(surface.vertices), 2), np.float32)
    encoded = np.stack([grey(to_srgb(own)) for own in colors])

    def moved(i: int) -> np.ndarray:  # [V]: the tone that equalising gave a vertex, with the grey of where it looks now
        level, place = grey(shots[i].pixels), shots[i].place
        now, before = at_pixels(level, place + offsets[i]), at_pixels(level, place)
        return np.where(shares[i] > 0, encoded[i] * (now + 0.02) / (before + 0.02), encoded[i])

    for turn in range(ROUNDS):
        if turn:
            for i, tone in enumerate(side_by_side(moved, range(len(shots)))):
                encoded[i] = tone
        whole, weight = (shares * encoded).sum(0), shares.sum(0)

        def found(i: int, whole: np.ndarray = whole, weight: np.ndarray = weight) -> np.ndarray:  # [V, 2]
            others = weight - shares[i]
            known = others > 0.05
            mean = np.where(known, (whole - shares[i] * encoded[i]) / np.maximum(others, 1e-6), 0)
            flow = _flow(shots[i], mean, known & (shares[i] > 0), surface)
            return at_pixels(flow, shots[i].place)

        for i, motion in enumerate(side_by_side(found, range(len(shots)))):
            check()
            offsets[i] += HALF * (motion - (offsets[i] if turn else 0))
    return offsets


def _flow(shot: Shot, level: np.ndarray, known: np.ndarray, surface: Surface) -> np.ndarray:
    """[h, w, 2]: where the painted picture's details lie in the photograph, relative to where they should."""
    attributes = np.stack([level, known.astype(np.float32)], 1)
    depth, image = look(shot.camera, surface.vertices, surface.faces, attributes)
    painted, sure = (np.ascontiguousarray(image[..., k]) for k in range(2))
    hit = depth > 0
    if (sure > 0.9).sum() < 200:
        return np.zeros((*painted.shape, 2), np.float32)
    pixel = surface.radius * shot.camera.K[0, 0] / float(np.median(depth[hit]))
    sure = cv2.erode((sure > 0.99).astype(np.float32), np.ones((5, 5), np.uint8))
    photo = cv2.GaussianBlur(grey(shot.pixels), (0, 0), max(BLUR * pixel, 0.5))
    # the photograph in the tone of the painted picture: slow changes of light are no motion
    wide = SMOOTH * pixel
    tone = (_blur(painted, sure, wide) + 0.02) / (_blur(photo, sure, wide) + 0.02)
    a = np.where(sure > 0, painted, photo * tone)
    eights = [np.clip(255 * 1.4 * k, 0, 255).astype(np.uint8) for k in (a, photo * tone)]
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = engine.calc(*eights, None)  # type: ignore[call-overload]  # no flow to begin with
    length = np.linalg.norm(flow, axis=-1)
    most = FARTHEST * pixel
    contrast = np.hypot(cv2.Sobel(photo, cv2.CV_32F, 1, 0), cv2.Sobel(photo, cv2.CV_32F, 0, 1))
    trust = sure * (length < most) * np.clip(contrast / 0.05, 0.02, 1)
    found = np.zeros_like(flow)
    for sigma in (FAR * pixel, wide / 2):  # far from evidence the broad mean, near it the evidence
        smooth = np.stack([_blur(np.ascontiguousarray(flow[..., k]), trust, sigma) for k in range(2)], -1)
        held = np.clip(_soft(trust, sigma) / 0.05, 0, 1)[..., None]  # little evidence moves nothing
        found += held * (smooth - found)
    return found.astype(np.float32)


def _blur(values: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    return _soft(values * weight, sigma) / (_soft(weight, sigma) + 1e-4)


def _soft(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur, on fewer pixels where it is wide."""
    height, width = values.shape
    coarse = 1 / max(1.0, sigma / FINE_SIGMA)
    size = max(4, round(width * coarse)), max(4, round(height * coarse))
    small = cv2.GaussianBlur(resize_map(values.astype(np.float32), *size), (0, 0), sigma * size[0] / width)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
