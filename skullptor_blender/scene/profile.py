"""How high a head is, from its surface: chin to crown, as a tape measures it. NumPy only, no bpy."""

from __future__ import annotations

import numpy as np

from . import neck

SLICES = 120  # of the head's height above its neck
MIDDLE = 0.12  # share of that height: half the width of the strip in which nose and chin are looked for
CROWN = 99.97  # percentile: a stray corner is no crown
NOSE = (0.25, 0.9)  # where the nose lies between crown and neck
UNDER_THE_CHIN = 0.55  # share of the way from the throat to the tip of the nose at which the chin ends


def head_height(vertices: np.ndarray, up: np.ndarray, front: np.ndarray) -> float | None:
    """Chin to crown of a head with or without shoulders; None where no chin sticks out.

    vertices [V, 3]; up, front [3] unit: front is out of the face, about. Hair counts as head.
    """
    points = np.asarray(vertices, np.float64)
    if len(points) < 100:
        return None
    front = front - up * (front @ up)
    front = front / max(np.linalg.norm(front), 1e-12)
    side = np.cross(up, front)
    height, depth, across = points @ up, points @ front, points @ side
    top, bottom = np.percentile(height, CROWN), neck.level(points, up)
    whole = top - bottom
    if whole <= 0:
        return None
    upper = height > top - 0.5 * whole
    middle = np.median(across[upper])
    strip = (np.abs(across - middle) < MIDDLE * whole) & (height > bottom)
    slices = np.clip(((top - height[strip]) / whole * SLICES).astype(int), 0, SLICES - 1)
    edge = np.full(SLICES, -np.inf)
    np.maximum.at(edge, slices, depth[strip])
    known = np.flatnonzero(np.isfinite(edge))
    edge = np.interp(np.arange(SLICES), known, edge[known])
    first, last = (int(share * SLICES) for share in NOSE)
    nose = first + int(np.argmax(edge[first:last]))
    throat = edge[nose:].min()
    if edge[nose] - throat < 0.1 * whole:
        return None
    out = edge[nose:] > throat + UNDER_THE_CHIN * (edge[nose] - throat)
    chin = nose + int(np.flatnonzero(out)[-1])
    return float((chin + 1) / SLICES * whole)
