"""Which faces of a mesh pass through each other: a box tree over Morton-sorted faces, then exact edge-face tests."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .topology import morton_order

LEAF = 4  # faces in a leaf of the tree


@njit(cache=True)
def _build_tree(vertices, faces, order, leaves):
    """boxes [2 * leaves, 6]: node 1 is the root, node i has the children 2i and 2i + 1, leaf k is node leaves + k."""
    boxes = np.empty((2 * leaves, 6), np.float32)
    boxes[:, :3] = np.inf
    boxes[:, 3:] = -np.inf
    for q in range(order.shape[0]):
        node = leaves + q // LEAF
        for c in range(3):
            for d in range(3):
                x = vertices[faces[order[q], c], d]
                boxes[node, d] = min(boxes[node, d], x)
                boxes[node, d + 3] = max(boxes[node, d + 3], x)
    for node in range(leaves - 1, 0, -1):
        for d in range(3):
            boxes[node, d] = min(boxes[2 * node, d], boxes[2 * node + 1, d])
            boxes[node, d + 3] = max(boxes[2 * node, d + 3], boxes[2 * node + 1, d + 3])
    return boxes


@njit(inline="always")
def _volume(v, a, b, c, d):
    """Six times the signed volume of the tetrahedron a b c d, in float64."""
    ax, ay, az = float(v[a, 0]), float(v[a, 1]), float(v[a, 2])
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
def _is_crossed(vertices, faces, f, order, leaves, boxes):
    """True if any face passes through face f."""
    low = np.empty(3, np.float32)
    high = np.empty(3, np.float32)
    for d in range(3):
        x, y, z = vertices[faces[f, 0], d], vertices[faces[f, 1], d], vertices[faces[f, 2], d]
        low[d] = min(x, min(y, z))
        high[d] = max(x, max(y, z))
    stack = np.empty(64, np.int64)
    stack[0] = 1
    size = 1
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
        begin = (node - leaves) * LEAF
        for q in range(begin, min(begin + LEAF, order.shape[0])):
            if order[q] != f and _faces_cross(vertices, faces, f, order[q]):
                return True
    return False


@njit(parallel=True, cache=True)
def _query(vertices, faces, order, leaves, boxes, result):
    for i in prange(faces.shape[0]):
        result[i] = _is_crossed(vertices, faces, np.int64(i), order, leaves, boxes)


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 3], [F, 3] -> [F] bool
    """True for every face that another face passes through."""
    vertices = np.ascontiguousarray(vertices, np.float32)
    order = morton_order(vertices[faces].mean(1))
    leaves = 1
    while leaves * LEAF < len(faces):
        leaves *= 2
    boxes = _build_tree(vertices, faces, order, leaves)
    result = np.zeros(len(faces), np.bool_)
    _query(vertices, faces, order, leaves, boxes, result)
    return result
