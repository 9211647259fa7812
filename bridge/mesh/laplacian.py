"""The uniform Laplacian of values on a closed mesh, and their diffusion."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def from_neighbours(values, share, start, twin, out, result):
    """result [V, 3] = values [V, 3] less share [V] of their neighbours' mean (every neighbour once)."""
    for i in prange(values.shape[0]):
        x = 0.0
        y = 0.0
        z = 0.0
        count = 0
        first = out[i]
        h = first
        while h >= 0:
            f = h - h % 3
            j = start[f + (h + 1) % 3]
            x += values[j, 0]
            y += values[j, 1]
            z += values[j, 2]
            count += 1
            h = twin[f + (h + 2) % 3]
            if h == first:
                break
        part = share[i] / max(count, 1)
        result[i, 0] = values[i, 0] - x * part
        result[i, 1] = values[i, 1] - y * part
        result[i, 2] = values[i, 2] - z * part


def laplacian(positions: np.ndarray, start: np.ndarray, twin: np.ndarray, out: np.ndarray,
              even: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """The Laplacian L of positions [V, 3] float32: it points out of every bend. Connectivity as in Surface.

    even [V] float32 0..1: where it is 1 the answer is L^2, which is 0 on an even bend and not where one bend differs
    from those around it; where it is 0 it stays L.
    """
    first = np.empty_like(positions)
    from_neighbours(positions, np.ones(len(positions), np.float32), start, twin, out, first)
    if even is None:
        return first
    second = np.empty_like(positions)
    from_neighbours(first, even, start, twin, out, second)
    return second


def diffused(values: np.ndarray, start: np.ndarray, twin: np.ndarray, out: np.ndarray, rounds: int) -> np.ndarray:
    """Values [V, 3] float32 after rounds of going half way to their neighbours' mean. Connectivity as in Surface."""
    twice = np.full(len(values), -1, np.float32)
    for _ in range(rounds):
        result = np.empty_like(values)
        from_neighbours(values, twice, start, twin, out, result)
        values = np.float32(0.5) * result
    return values
