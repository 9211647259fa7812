"""Neighbour sums and uniform Laplacian smoothing on closed meshes."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def neighbour_means(vertices, start, twin, out, means):
    """means [V, 3] = mean of the neighbours of each vertex (every neighbour once), gathered around the vertex."""
    for i in prange(vertices.shape[0]):
        x = 0.0
        y = 0.0
        z = 0.0
        count = 0
        first = out[i]
        h = first
        while h >= 0:
            f = h - h % 3
            j = start[f + (h + 1) % 3]
            x += vertices[j, 0]
            y += vertices[j, 1]
            z += vertices[j, 2]
            count += 1
            h = twin[f + (h + 2) % 3]
            if h == first:
                break
        inverse = 1.0 / max(count, 1)
        means[i, 0] = x * inverse
        means[i, 1] = y * inverse
        means[i, 2] = z * inverse


def smooth(vertices: np.ndarray, faces_start: np.ndarray, twin: np.ndarray, out: np.ndarray, weight: np.ndarray,
           iterations: int, shrink: float = 0.5, grow: float = -0.53) -> np.ndarray:  # fmt: skip
    """Taubin smoothing: a shrinking and a growing Laplacian step in turn, so that volume stays.

    vertices [V, 3]; weight [V] 0..1 scales the motion of each vertex (0 = pinned). Returns new vertices [V, 3].
    """
    vertices = vertices.copy()
    means = np.empty_like(vertices)
    for _ in range(iterations):
        for step in (shrink, grow):
            neighbour_means(vertices, faces_start, twin, out, means)
            vertices += (step * weight[:, None] * (means - vertices)).astype(vertices.dtype)
    return vertices
