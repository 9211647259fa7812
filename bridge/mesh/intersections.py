"""Which faces of a mesh pass through each other: a box tree over the faces, then exact edge-face tests."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .boxtree import STACK, BoxTree


@njit(inline="always")
def _volume(v, a, b, c, d):
    """Six times the signed volume of the tetrahedron a b c d, in float64."""
    ax, ay, az = np.float64(v[a, 0]), np.float64(v[a, 1]), np.float64(v[a, 2])  # numba's float() would keep float32
    bx, by, bz = v[b, 0] - ax, v[b, 1] - ay, v[b, 2] - az
    cx, cy, cz = v[c, 0] - ax, v[c, 1] - ay, v[c, 2] - az
    dx, dy, dz = v[d, 0] - ax, v[d, 1] - ay, v[d, 2] - az
    return bx * (cy * dz - cz * dy) + by * (cz * dx - cx * dz) + bz * (cx * dy - cy * dx)


@njit(cache=True)
def _edge_cuts_face(v, p, q, a, b, c):
    """True if the segment p q passes through the inside of the face a b c (touching does not count)."""
    s = _volume(v, a, b, c, p)
    t = _volume(v, a, b, c, q)
    if s * t >= 0:
        return False
    u = _volume(v, p, q, a, b)
    w = _volume(v, p, q, b, c)
    x = _volume(v, p, q, c, a)
    return (u > 0 and w > 0 and x > 0) or (u < 0 and w < 0 and x < 0)


@njit(cache=True)
def _faces_cross(v, faces, f, g):
    """Edges of either face against the other; an edge that ends in a shared vertex only touches there."""
    for first in range(2):
        a = f if first == 0 else g
        b = g if first == 0 else f
        for e in range(3):
            p = faces[a, e]
            q = faces[a, e + 1 if e < 2 else 0]
            i, j, k = faces[b, 0], faces[b, 1], faces[b, 2]
            if p in (i, j, k) or q in (i, j, k):
                continue
            if _edge_cuts_face(v, p, q, i, j, k):
                return True
    return False


@njit(cache=True)
def _mark_crossed(vertices, faces, f, place, order, leaves, boxes, result):
    """Marks face f and every face that passes through it; with its place in the order, only those that come later."""
    low = np.empty(3, boxes.dtype)
    high = np.empty(3, boxes.dtype)
    for d in range(3):
        x, y, z = vertices[faces[f, 0], d], vertices[faces[f, 1], d], vertices[faces[f, 2], d]
        low[d] = min(x, min(y, z))
        high[d] = max(x, max(y, z))
    stack = np.empty(STACK, np.int64)
    size = 0
    if place < 0:
        stack[0] = 1
        size = 1
    else:
        node = leaves + place
        while node > 1:
            if node % 2 == 0:
                stack[size] = node + 1  # all that comes later below the same parent
                size += 1
            node //= 2
    while size > 0:
        size -= 1
        node = stack[size]
        apart = False
        for d in range(3):
            if boxes[node, d] > high[d] or boxes[node, d + 3] < low[d]:
                apart = True
        if apart:
            continue
        if node < leaves:
            stack[size] = 2 * node
            stack[size + 1] = 2 * node + 1
            size += 2
            continue
        g = order[node - leaves]
        if g != f and _faces_cross(vertices, faces, f, g):
            result[f] = True
            result[g] = True  # from several threads at once, but always the same value


@njit(parallel=True, cache=True)
def _query(vertices, faces, suspects, order, leaves, boxes, result):
    for i in prange(suspects.shape[0]):
        _mark_crossed(vertices, faces, np.int64(suspects[i]), -1, order, leaves, boxes, result)


@njit(parallel=True, cache=True)
def _query_all(vertices, faces, order, leaves, boxes, result):
    """Each pair once."""
    for i in prange(order.shape[0]):
        _mark_crossed(vertices, faces, order[i], i, order, leaves, boxes, result)


def crossing_faces(
    vertices: np.ndarray, faces: np.ndarray, tree: BoxTree, suspects: np.ndarray | None = None
) -> np.ndarray:  # [V, 3], [F, 3], [n] -> [F] bool
    """True for each of the suspects (None: of all faces) that passes through any face, and for what it crosses."""
    result = np.zeros(len(faces), np.bool_)
    if suspects is None:
        _query_all(vertices, faces, tree.order, tree.leaves, tree.boxes, result)
    else:
        _query(vertices, faces, suspects, tree.order, tree.leaves, tree.boxes, result)
    return result


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 3], [F, 3] -> [F] bool
    """True for every face that another face passes through, judged in float64."""
    vertices = np.ascontiguousarray(vertices)
    return crossing_faces(vertices, faces, BoxTree.of(vertices, faces))
