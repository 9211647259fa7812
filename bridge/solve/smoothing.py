"""Smoothing of some vertices of a surface, and of what lies around them."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..mesh import Surface
from ..mesh.laplacian import neighbours_mean


def around(reach: np.ndarray, surface: Surface) -> np.ndarray:  # [V] int32, written -> [n]
    """The vertices with a reach of 0 or more, and those within so many rings of them."""
    given = np.flatnonzero(reach >= 0)
    listed = np.empty(len(reach), np.int64)
    listed[: len(given)] = given
    count = _spread(reach, listed, len(given), *surface.rings)
    return listed[:count]


def smooth(surface: Surface, chosen: np.ndarray, rounds: int) -> None:
    """Moves the chosen vertices [n] half way to their neighbours' mean, in place, so many times (float64 vertices)."""
    _relax(surface.vertices, *surface.rings, chosen, rounds, np.empty((len(chosen), 3)))


@njit(cache=True)
def _relax(vertices, first, neighbours, chosen, rounds, means):
    """Moves the chosen vertices [n] half way to their neighbours' mean, in place, again and again (Jacobi)."""
    for _ in range(rounds):
        for q in range(chosen.shape[0]):
            means[q, 0], means[q, 1], means[q, 2] = neighbours_mean(vertices, first, neighbours, chosen[q])
        for q in range(chosen.shape[0]):
            for d in range(3):
                vertices[chosen[q], d] += 0.5 * (means[q, d] - vertices[chosen[q], d])


@njit(cache=True)
def _spread(reach, listed, count, first, neighbours):
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
            for p in range(first[i], first[i + 1]):
                j = neighbours[p]
                if reach[j] < left - 1:
                    if reach[j] < 0:
                        listed[count] = j
                        count += 1
                    reach[j] = left - 1
    return count
