"""The last touches on a solved surface: what no view saw closes smoothly, faces that cross are pulled apart."""

from __future__ import annotations

import numpy as np

from ..errors import Check, unchecked
from ..mesh import Surface
from ..mesh.intersections import intersecting_faces
from ..mesh.laplacian import neighbour_means

UNSEEN_ROUNDS = 60  # smoothing steps of unseen regions: carries about 8 rings
UNSEEN_SHARE = 0.05  # a vertex seen in a smaller share of the last steps counts as unseen
TANGLED = 0.005  # share of crossing faces above which only three gentle attempts are made
UNTANGLE_ROUNDS = 20  # attempts; the smoothed neighbourhood grows by a ring every fourth


def _grown(chosen: np.ndarray, faces: np.ndarray, rings: int) -> np.ndarray:  # [V] bool
    for _ in range(rings):
        touched = chosen[faces].any(1)
        chosen = chosen.copy()
        chosen[faces[touched].reshape(-1)] = True
    return chosen


def _relax(surface: Surface, chosen: np.ndarray, rounds: int) -> None:
    """Moves the chosen vertices [V] half way to their neighbours' mean, in place, again and again."""
    means = np.empty_like(surface.vertices)
    for _ in range(rounds):
        neighbour_means(surface.vertices, surface.faces.reshape(-1), surface.twin, surface.outgoing, means)
        surface.vertices[chosen] += 0.5 * (means[chosen] - surface.vertices[chosen])


def clean_up(surface: Surface, seen: np.ndarray, check: Check = unchecked) -> np.ndarray:
    """Cleaned positions [V, 3]; seen [V] = share of the last steps in which a view saw the vertex."""
    surface = Surface(surface.vertices.copy(), surface.faces, surface.twin, surface.outgoing)
    unseen = seen < UNSEEN_SHARE
    if unseen.any() and not unseen.all():
        _relax(surface, _grown(unseen, surface.faces, 1), UNSEEN_ROUNDS)
    for attempt in range(UNTANGLE_ROUNDS):
        check()
        crossing = intersecting_faces(surface.vertices, surface.faces)
        if not crossing.any() or (attempt > 2 and crossing.mean() > TANGLED):
            break  # sound, or so tangled that more smoothing would cost shape
        chosen = np.zeros(len(surface.vertices), bool)
        chosen[surface.faces[crossing].reshape(-1)] = True
        _relax(surface, _grown(chosen, surface.faces, attempt // 4), 2 + attempt // 4)
    return surface.vertices
