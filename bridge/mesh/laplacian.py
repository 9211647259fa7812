"""The uniform Laplacian of values on a closed mesh, and their diffusion."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .topology import Rings


@njit(inline="always")
def neighbours_mean(values, first, neighbours, i):
    """Mean of the values [V, 3] of vertex i's neighbours."""
    x = 0.0
    y = 0.0
    z = 0.0
    for q in range(first[i], first[i + 1]):
        j = neighbours[q]
        x += values[j, 0]
        y += values[j, 1]
        z += values[j, 2]
    count = max(first[i + 1] - first[i], 1)
    return x / count, y / count, z / count


@njit(parallel=True, cache=True)
def _from_neighbours(values, share, first, neighbours, result):
    """result [V, 3] = values [V, 3] less share [V] of their neighbours' mean."""
    for i in prange(values.shape[0]):
        x, y, z = neighbours_mean(values, first, neighbours, i)
        result[i, 0] = values[i, 0] - x * share[i]
        result[i, 1] = values[i, 1] - y * share[i]
        result[i, 2] = values[i, 2] - z * share[i]


@njit(parallel=True, cache=True)
def _diffuse(values, first, neighbours, result):
    """result [V, 3] = values [V, 3] half way to their neighbours' mean."""
    for i in prange(values.shape[0]):
        x, y, z = neighbours_mean(values, first, neighbours, i)
        result[i, 0] = 0.5 * (values[i, 0] + x)
        result[i, 1] = 0.5 * (values[i, 1] + y)
        result[i, 2] = 0.5 * (values[i, 2] + z)


def laplacian(positions: np.ndarray, rings: Rings, even: np.ndarray | None = None) -> np.ndarray:
    """The Laplacian L of positions [V, 3] float32: it points out of every bend.

    even [V] float32 0..1: where it is 1 the answer is L^2, which is 0 on an even bend and not where one bend differs
    from those around it; where it is 0 it stays L.
    """
    once = np.empty_like(positions)
    _from_neighbours(positions, np.ones(len(positions), np.float32), *rings, once)
    if even is None:
        return once
    twice = np.empty_like(positions)
    _from_neighbours(once, even, *rings, twice)
    return twice


def diffused(values: np.ndarray, rings: Rings, rounds: int) -> np.ndarray:
    """Values [V, 3] float32 after rounds of going half way to their neighbours' mean."""
    spare = np.empty_like(values), np.empty_like(values)
    for turn in range(rounds):
        _diffuse(values, *rings, spare[turn % 2])
        values = spare[turn % 2]
    return values
