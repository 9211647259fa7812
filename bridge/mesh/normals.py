"""Vertex normals, area weighted, and the way back from their gradient to the positions.

The closed-mesh versions gather around each vertex (topology.Rings): every vertex is written by one thread only, so the
result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

TINY = 1e-20  # keeps a vertex whose normals cancel finite (its normal is then 0)


@njit(parallel=True, cache=True)
def closed_vertex_normals(vertices, first, neighbours, normals, lengths):
    """normals [V, 3] = sum of the face cross products around a vertex, normalised; lengths [V] before normalising."""
    for i in prange(vertices.shape[0]):
        nx = 0.0
        ny = 0.0
        nz = 0.0
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        begin, end = first[i], first[i + 1]
        for q in range(begin, end):
            j = neighbours[q]
            k = neighbours[q + 1 if q + 1 < end else begin]
            ax, ay, az = vertices[j, 0] - x, vertices[j, 1] - y, vertices[j, 2] - z
            bx, by, bz = vertices[k, 0] - x, vertices[k, 1] - y, vertices[k, 2] - z
            nx += ay * bz - az * by
            ny += az * bx - ax * bz
            nz += ax * by - ay * bx
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        lengths[i] = length
        inverse = 1.0 / max(length, TINY)
        normals[i, 0] = nx * inverse
        normals[i, 1] = ny * inverse
        normals[i, 2] = nz * inverse


@njit(parallel=True, cache=True)
def normalisation_backward(normals, lengths, gradient):
    """gradient [V, 3] with respect to unit normals -> with respect to the summed cross products, in place."""
    for i in prange(normals.shape[0]):
        inverse = 1.0 / max(lengths[i], TINY)
        d = 0.0
        for k in range(3):
            d += normals[i, k] * gradient[i, k]
        for k in range(3):
            gradient[i, k] = (gradient[i, k] - d * normals[i, k]) * inverse


@njit(parallel=True, cache=True)
def closed_normals_backward(vertices, first, neighbours, gradient, result):
    """Adds to result [V, 3] the gradient through the cross products; gradient comes from normalisation_backward.

    With s = g_i + g_j + g_k of a face (i, j, k): d/dv_i of s . (v_j - v_i) x (v_k - v_i) = (v_j - v_k) x s.
    """
    for i in prange(vertices.shape[0]):
        rx = 0.0
        ry = 0.0
        rz = 0.0
        begin, end = first[i], first[i + 1]
        for q in range(begin, end):
            j = neighbours[q]
            k = neighbours[q + 1 if q + 1 < end else begin]
            sx = gradient[i, 0] + gradient[j, 0] + gradient[k, 0]
            sy = gradient[i, 1] + gradient[j, 1] + gradient[k, 1]
            sz = gradient[i, 2] + gradient[j, 2] + gradient[k, 2]
            ex = vertices[j, 0] - vertices[k, 0]
            ey = vertices[j, 1] - vertices[k, 1]
            ez = vertices[j, 2] - vertices[k, 2]
            rx += ey * sz - ez * sy
            ry += ez * sx - ex * sz
            rz += ex * sy - ey * sx
        result[i, 0] += rx
        result[i, 1] += ry
        result[i, 2] += rz


@njit(cache=True)
def _accumulate(vertices, faces, sums):
    for f in range(faces.shape[0]):
        i = faces[f, 0]
        j = faces[f, 1]
        k = faces[f, 2]
        ax = vertices[j, 0] - vertices[i, 0]
        ay = vertices[j, 1] - vertices[i, 1]
        az = vertices[j, 2] - vertices[i, 2]
        bx = vertices[k, 0] - vertices[i, 0]
        by = vertices[k, 1] - vertices[i, 1]
        bz = vertices[k, 2] - vertices[i, 2]
        nx = ay * bz - az * by
        ny = az * bx - ax * bz
        nz = ax * by - ay * bx
        for c in (i, j, k):
            sums[c, 0] += nx
            sums[c, 1] += ny
            sums[c, 2] += nz


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 3], [F, 3] -> [V, 3] float32
    """Area-weighted unit normals of any triangle mesh, open or not; 0 for a vertex without area."""
    sums = np.zeros((len(vertices), 3))
    _accumulate(np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces), sums)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > TINY).astype(np.float32)
