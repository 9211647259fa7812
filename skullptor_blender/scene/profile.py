"""A head from its side: how high it is, as a tape measures it, and where its neck is cut. NumPy only, no bpy."""

from __future__ import annotations

import numpy as np

from . import neck

SLICES = 80  # of a length as great as the head is broad
MIDDLE = 0.18  # share of the breadth: half the width of the strip in which nose and chin are looked for
CROWN = 99.97  # percentile: a stray corner is no crown
NOSE = (0.55, 1.3)  # breadths below the crown between which the tip of the nose is the foremost point
CHIN = (1.3, 1.85)  # times as deep as the nose: where a chin may end
USUAL, ABOUT = 1.56, 0.12  # where it does in the mean head, and the spread
DEEPEST = 2.6  # breadths below the crown that are looked at
DROP = 0.12  # breadths within which the profile falls back from the chin to the throat
LEAST = 0.08  # breadths that it falls at least
BELOW_EYES = (1.55, 2.2)  # distances of the eyes below them: where a chin may end
BELOW_EYES_USUAL, BELOW_EYES_ABOUT = 1.85, 0.15  # where it does in the mean head, and the spread
FACE = 0.35  # distances of the eyes from the middle of the face: half the width of the strip in which chins are
CHIN_DROP = 0.3  # distances of the eyes within which the profile falls back from the chin to the throat
FIRST = 0.3  # of the strongest fall, where it is likely: the first such is the chin, a collar comes later
EYES_STEP = 0.03  # distances of the eyes between two slices
LEAST_BY_EYES = 0.15  # distances of the eyes that the profile falls behind a chin at least
NECK_LEANS = np.radians(20.0)  # a neck rises to the front: a level cut would go through the chin or the shoulders
LONGEST = 0.5  # share of the head's height that a neck reaches below the chin
CLEAR = 0.02  # share of the head's height that a cut keeps away from the chin


def head_height(
    vertices: np.ndarray, up: np.ndarray, front: np.ndarray, eyes: np.ndarray | None = None
) -> float | None:
    """Chin to crown of a head with or without shoulders; None where no chin sticks out.

    vertices [V, 3]; up, front [3] unit: front is out of the face, about. Hair counts as head. eyes [2, 3]: where they
    are known, a chin that cannot be theirs is not believed: collars and beards are taken for one.
    """
    found = chin(vertices, up, front)
    if eyes is not None and (found is None or not below(found, up, eyes)):
        found = chin_below(vertices, up, front, eyes)
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
    upper = across[height > top - 0.5 * whole]
    middle, breadth = np.median(upper), np.ptp(np.percentile(upper, (2, 98)))
    strip = (np.abs(across - middle) < MIDDLE * breadth) & (height > top - DEEPEST * breadth)
    step = breadth / SLICES
    slices = ((top - height[strip]) / step).clip(0).astype(int)
    edge = np.full(slices.max() + 1, -np.inf)
    np.maximum.at(edge, slices, depth[strip])
    known = np.flatnonzero(np.isfinite(edge))
    edge = np.interp(np.arange(len(edge)), known, edge[known])
    first, last = (int(share * SLICES) for share in NOSE)
    if last > len(edge):
        return None
    nose = first + int(np.argmax(edge[first:last]))
    high, low = (int(nose * share) for share in CHIN)
    drop = int(DROP * SLICES)
    rows = np.arange(high, min(low, len(edge) - 1 - drop) + 1)
    if not len(rows):
        return None
    falls = edge[rows] - edge[rows + drop]
    likely = int(np.argmax(falls * np.exp(-(((rows / nose - USUAL) / ABOUT) ** 2) / 2)))
    if falls[likely] < LEAST * breadth:
        return None
    steep = int(rows[likely])
    row = steep + int(np.argmin(np.diff(edge[steep : steep + drop + 1])))
    return (top - (row + 1) * step) * up + edge[row] * front + middle * side


def below(chin: np.ndarray, up: np.ndarray, eyes: np.ndarray) -> bool:
    """Does a chin lie where that of such eyes can?"""
    apart = np.linalg.norm(np.subtract(*eyes))
    return bool(BELOW_EYES[0] < (np.mean(eyes, axis=0) - chin) @ up / max(apart, 1e-12) < BELOW_EYES[1])


def chin_below(vertices: np.ndarray, up: np.ndarray, front: np.ndarray, eyes: np.ndarray) -> np.ndarray | None:  # [3]
    """Where the chin ends, below eyes [2, 3] that are known to some millimetres; None where none sticks out."""
    points, middle = np.asarray(vertices, np.float64), np.asarray(eyes, np.float64).mean(0)
    apart = float(np.linalg.norm(np.subtract(*eyes)))
    front = front - up * (front @ up)
    front = front / max(np.linalg.norm(front), 1e-12)
    side = np.cross(up, front)
    down, depth, across = (middle - points) @ up / apart, (points - middle) @ front / apart, (points - middle) @ side
    reach = BELOW_EYES[1] + 2 * CHIN_DROP
    strip = (np.abs(across) < FACE * apart) & (down > 0) & (down < reach)
    count = int(reach / EYES_STEP)
    edge = np.full(count, -np.inf)
    np.maximum.at(edge, (down[strip] / EYES_STEP).astype(int).clip(0, count - 1), depth[strip])
    known = np.flatnonzero(np.isfinite(edge))
    if len(known) < 2:
        return None
    edge = np.interp(np.arange(count), known, edge[known])
    drop = int(CHIN_DROP / EYES_STEP)
    high, low = (int(place / EYES_STEP) for place in BELOW_EYES)
    rows = np.arange(high, low + 1)
    falls = edge[rows] - edge[rows + drop]
    off = (rows * EYES_STEP - BELOW_EYES_USUAL) / BELOW_EYES_ABOUT
    weighed = falls * np.exp(-(off**2) / 2)
    likely = int(np.argmax(weighed >= FIRST * weighed.max()))
    if falls[likely] < LEAST_BY_EYES:
        return None
    steep = int(rows[likely])
    row = steep + int(np.argmin(np.diff(edge[steep : steep + drop + 1])))
    return middle - (row + 1) * EYES_STEP * apart * up + edge[row] * apart * front


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
    level = neck.level(vertices, normal, confidence)
    return normal, float(np.clip(level, found @ normal - LONGEST * whole, found @ normal - CLEAR * whole))
