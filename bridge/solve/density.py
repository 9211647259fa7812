"""Where the vertices go: the lower limit of the edge length at every vertex, from the curvature found so far."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..mesh import Surface
from ..mesh.normals import closed_vertex_normals

# Normal errors go with curvature * edge and vertices with edge^-2, so -1/3 is best for their sum; -1/2 also lowers the
# share of large errors (eyelids, lips), and measured better in all four metrics.
EXPONENT = -0.5
RANGE = (0.25, 4.0)  # of the mean edge length: how far a flat or a curved place may depart from it
UNSEEN_BEND = 0.02  # share of its curvature that a vertex counts with where no view sees it
SMOOTHING = 4  # rings over which the curvature is averaged


@njit(parallel=True, cache=True)
def _curvature(vertices, normals, first, neighbours, result):
    """result [V] = mean over the neighbours of |n_i - n_j| / |x_i - x_j|."""
    for i in prange(vertices.shape[0]):
        total = 0.0
        for q in range(first[i], first[i + 1]):
            j = neighbours[q]
            turned = 0.0
            length = 1e-12
            for d in range(3):
                turned += (normals[i, d] - normals[j, d]) ** 2
                length += (vertices[i, d] - vertices[j, d]) ** 2
            total += math.sqrt(turned / length)
        result[i] = total / max(first[i + 1] - first[i], 1)


@njit(parallel=True, cache=True)
def _towards_neighbours(values, first, neighbours, result):
    """result [V] = half way from the values [V] to their neighbours' mean."""
    for i in prange(values.shape[0]):
        total = 0.0
        for q in range(first[i], first[i + 1]):
            total += values[neighbours[q]]
        result[i] = 0.5 * (values[i] + total / max(first[i + 1] - first[i], 1))


def shortest_edges(surface: Surface, seen: np.ndarray, vertex_budget: float) -> np.ndarray:  # [V] float32
    """Edge lengths that give the surface about vertex_budget vertices, shorter where it bends more.

    seen [V] 0..1: what no view sees counts as flat, so that its accidents cost no vertices.
    """
    normals = np.empty_like(surface.vertices)
    lengths = np.empty(len(normals), np.float32)
    closed_vertex_normals(surface.vertices, *surface.rings, normals, lengths)
    bend, smoothed = np.empty_like(lengths), np.empty_like(lengths)
    _curvature(surface.vertices, normals, *surface.rings, bend)
    bend *= np.maximum(seen, UNSEEN_BEND)
    for _ in range(SMOOTHING):
        _towards_neighbours(bend, *surface.rings, smoothed)
        bend, smoothed = smoothed, bend
    relative = np.power(np.maximum(bend, 1e-6), EXPONENT)
    area = lengths / 6.0  # of each vertex's third of its faces
    relative /= np.sqrt(area.sum() / (area / relative**2).sum())  # mean 1, weighted by where vertices will be
    relative = np.clip(relative, *RANGE)
    # vertices = sum of area_i / (sqrt(3) / 2 * edge_i^2)
    scale = math.sqrt(float((area / relative**2).sum()) / (vertex_budget * math.sqrt(3) / 2))
    return (scale * relative).astype(np.float32)
