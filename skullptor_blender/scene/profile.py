"""A head from its side: how high it is, as a tape measures it, and where its neck is cut. NumPy only, no bpy."""

from __future__ import annotations

import numpy as np

from . import neck

SLICES = 120  # of the head's height above its neck
MIDDLE = 0.12  # share of that height: half the width of the strip in which nose and chin are looked for
CROWN = 99.97  # percentile: a stray corner is no crown
BELOW = 0.4  # share of it below the narrowest slice, which may lie as high as the chin
LEAST = 0.1  # share of it that a nose sticks out before its throat
NOSE = (0.25, 0.9)  # where the nose lies between crown and neck
NECK_LEANS = np.radians(20.0)  # a neck rises to the front: a level cut would go through the chin or the shoulders
CLEAR = 0.02  # share of that height that a cut keeps away from the chin
UNDER_THE_CHIN = 0.55  # share of the way from the throat to the tip of the nose at which the chin ends


def head_height(vertices: np.ndarray, up: np.ndarray, front: np.ndarray) -> float | None:
    """Chin to crown of a head with or without shoulders; None where no chin sticks out.

    vertices [V, 3]; up, front [3] unit: front is out of the face, about. Hair counts as head.
    """
    found = chin(vertices, up, front)
    if found is None:
        return None
    return float(np.percentile(np.asarray(vertices, np.float64) @ up, CROWN) - found @ up)


def chin(vertices: np.ndarray, up: np.ndarray, front: np.ndarray) -> np.ndarray | None:  # [3]
    """Where the chin ends, in the middle of the face; None where none sticks out."""
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
    middle = np.median(across[height > top - 0.5 * whole])
    strip = (np.abs(across - middle) < MIDDLE * whole) & (height > bottom - BELOW * whole)
    count = round(SLICES * (1 + BELOW))
    slices = np.clip(((top - height[strip]) / whole * SLICES).astype(int), 0, count - 1)
    edge = np.full(count, -np.inf)
    np.maximum.at(edge, slices, depth[strip])
    known = np.flatnonzero(np.isfinite(edge))
    edge = np.interp(np.arange(count), known, edge[known])[: known[-1] + 1]
    first, last = (int(share * SLICES) for share in NOSE)
    nose = first + int(np.argmax(edge[first:last]))
    throat = nose + int(np.argmin(edge[nose:]))
    if edge[nose] - edge[throat] < LEAST * whole:
        return None
    out = edge[nose : throat + 1] > edge[throat] + UNDER_THE_CHIN * (edge[nose] - edge[throat])
    row = nose + int(np.flatnonzero(out)[-1])
    return (top - (row + 1) / SLICES * whole) * up + edge[row] * front + middle * side


def neck_plane(
    vertices: np.ndarray, up: np.ndarray, front: np.ndarray, confidence: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """(normal [3], distance): the head is above, where normal @ x exceeds the distance.

    vertices [V, 3]; up, front [3] unit; confidence [V] 0..1, where it is known. Square to the neck where a chin tells
    the face from the back of the head, else level.
    """
    found = chin(vertices, up, front)
    if found is None:
        return up, neck.level(vertices, up, confidence)
    front = front - up * (front @ up)
    normal = np.cos(NECK_LEANS) * up + np.sin(NECK_LEANS) * front / max(np.linalg.norm(front), 1e-12)
    whole = np.percentile(vertices @ up, CROWN) - found @ up
    return normal, min(neck.level(vertices, normal, confidence), found @ normal - CLEAR * whole)
