"""Smoothing of some vertices of a surface, and of what lies around them."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..mesh import Surface


def around(reach: np.ndarray, surface: Surface) -> np.ndarray:  # [V] int32, written -> [n]
    """The vertices with a reach of 0 or more, and those within so many rings of them."""
    given = np.flatnonzero(reach >= 0)
    listed = np.empty(len(reach), np.int64)
    listed[: len(given)] = given
    count = _spread(reach, listed, len(given), surface.faces.reshape(-1), surface.twin, surface.outgoing)
    return listed[:count]


def smooth(surface: Surface, chosen: np.ndarray, rounds: int) -> None:
    """Moves the chosen vertices [n] half way to their neighbours' mean, in place, so many times (float64 vertices)."""
    start, means = surface.faces.reshape(-1), np.empty((len(chosen), 3))
    _relax(surface.vertices, start, surface.twin, surface.outgoing, chosen, rounds, means)


@njit(cache=True)
def _relax(vertices, start, twin, out, chosen, rounds, means):
    """Moves the chosen vertices [n] half way to their neighbours' mean, in place, again and again (Jacobi)."""
    for _ in range(rounds):
        for q in range(chosen.shape[0]):
            x = 0.0
            y = 0.0
            z = 0.0
            count = 0
            first = out[chosen[q]]
            h = first
            while True:
                f = h - h % 3
                j = start[f + (h + 1) % 3]
                x += vertices[j, 0]
                y += vertices[j, 1]
                z += vertices[j, 2]
                count += 1
                h = twin[f + (h + 2) % 3]
                if h == first:
                    break
            means[q, 0] = x / count
            means[q, 1] = y / count
            means[q, 2] = z / count
        for q in range(chosen.shape[0]):
            for d in range(3):
                vertices[chosen[q], d] += 0.5 * (means[q, d] - vertices[chosen[q], d])


@njit(cache=True)
def _spread(reach, listed, count, start, twin, out):
    """Adds all vertices that lie within reach[v] rings of a listed v; the rings that are left are their own reach.

    reach [V] int32, -1 where not listed; listed [V], its first count entries are given. Returns the new count.
    """
    most = 0
    for q in range(count):
        most = max(most, reach[listed[q]])
    for left in range(most, 0, -1):
        q = 0
        while q < count:
            i = listed[q]
            q += 1
            if reach[i] != left:
                continue
            first = out[i]
            h = first
            while True:
                f = h - h % 3
                j = start[f + (h + 1) % 3]
                if reach[j] < left - 1:
                    if reach[j] < 0:
                        listed[count] = j
                        count += 1
                    reach[j] = left - 1
                h = twin[f + (h + 2) % 3]
                if h == first:
                    break
    return count
