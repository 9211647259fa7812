"""Which part of a head looks like the skin of its face, by colour: hair, hats and clothes usually do not."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

AROUND = 8  # vertices whose colours are averaged
LIGHTNESS, HUE = 18.0, 7.0  # units of CIE Lab that skin differs within a face at least: light and shade, red and yellow


def looks_like_skin(
    vertices: np.ndarray, color: np.ndarray, known: np.ndarray, landmarks: np.ndarray
) -> np.ndarray:  # [N, 3], [N, 3] sRGB 0..1, [N] bool, [k, 3] -> [N] 0..1
    """1 where a vertex has the colour that most of the face has, down to 0; 1 where no colour is known.

    The face is the vertices next to the landmarks; lips, brows and eyes are the fewer of them.
    """
    tree = cKDTree(vertices)
    _, face = tree.query(landmarks)
    face = face[known[face]]
    if len(face) < 20:
        return np.ones(len(vertices))
    color = color[tree.query(vertices, AROUND)[1]].mean(1)  # a photograph's noise is no hair
    lab = cv2.cvtColor(np.ascontiguousarray(color, np.float32)[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    middle = np.median(lab[face], 0)
    spread = 2.5 * np.median(np.abs(lab[face] - middle), 0)
    off = (((lab - middle) / np.maximum(spread, [LIGHTNESS, HUE, HUE])) ** 2).sum(1)
    return np.where(known, 1 / (1 + off**2), 1.0)
