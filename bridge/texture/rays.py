"""Where the dense surface lies above or below a point: along the normal if it is met there, else the nearest place."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from ..mesh.boxtree import STACK, BoxTree
from .shots import Surface

AGREE = 0.25  # least cosine between the normals of both surfaces: no lip is taken for the other one


@njit(inline="always")
def _meets_box(box, p, d, reach):
    """Does the line p + t d, |t| <= reach, meet the box?"""
    if box[0] > box[3]:  # of nodes after the last face, which hold nothing
        return False
    low, high = -reach, reach
    for k in range(3):
        if abs(d[k]) < 1e-12:
            if p[k] < box[k] or p[k] > box[k + 3]:
                return False
            continue
        a, b = (box[k] - p[k]) / d[k], (box[k + 3] - p[k]) / d[k]
        low, high = max(low, min(a, b)), min(high, max(a, b))
    return low <= high


@njit(cache=True)
def _meets_face(p, d, a, b, c):
    """t, v, w of the line's point on a triangle (Moeller and Trumbore 1997); t is infinite where it misses."""
    ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    fx, fy, fz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    hx, hy, hz = d[1] * fz - d[2] * fy, d[2] * fx - d[0] * fz, d[0] * fy - d[1] * fx
    det = ex * hx + ey * hy + ez * hz
    if abs(det) < 1e-300:
        return np.inf, 0.0, 0.0
    sx, sy, sz = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    v = (sx * hx + sy * hy + sz * hz) / det
    if v < -1e-9 or v > 1 + 1e-9:
        return np.inf, 0.0, 0.0
    qx, qy, qz = sy * ez - sz * ey, sz * ex - sx * ez, sx * ey - sy * ex
    w = (d[0] * qx + d[1] * qy + d[2] * qz) / det
    if w < -1e-9 or v + w > 1 + 1e-9:
        return np.inf, 0.0, 0.0
    return (fx * qx + fy * qy + fz * qz) / det, v, w


@njit(parallel=True, cache=True)
def _along(points, directions, reach, vertices, faces, normals, order, leaves, boxes, found, height, values, result):
    """result [n, k]: vertex values where the line through a point meets the surface nearest to it; found [n]."""
    for i in prange(points.shape[0]):
        p, d = points[i], directions[i]
        best = reach
        stack = np.empty(STACK, np.int64)
        stack[0] = 1
        size = 1
        while size > 0:
            size -= 1
            node = stack[size]
            if not _meets_box(boxes[node], p, d, best):
                continue
            if node < leaves:
                stack[size] = 2 * node
                stack[size + 1] = 2 * node + 1
                size += 2
                continue
            if node - leaves >= order.shape[0]:
                continue
            f = order[node - leaves]
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            t, v, w = _meets_face(p, d, vertices[a], vertices[b], vertices[c])
            if abs(t) >= best:
                continue
            u = 1.0 - v - w
            dot, length = 0.0, 0.0
            for k in range(3):
                n = u * normals[a, k] + v * normals[b, k] + w * normals[c, k]
                dot += n * d[k]
                length += n * n
            if dot < AGREE * math.sqrt(length):
                continue
            best = abs(t)
            found[i] = True
            height[i] = t
            for k in range(values.shape[1]):
                result[i, k] = u * values[a, k] + v * values[b, k] + w * values[c, k]


class Met(NamedTuple):
    """Where lines through n points met a surface."""

    found: np.ndarray  # [n] bool
    height: np.ndarray  # [n] signed distance along the line's direction, 0 where nothing was found
    values: np.ndarray  # [n, k] what the surface's vertices say there, 0 where nothing was found


def surface_along(
    points: np.ndarray,
    directions: np.ndarray,
    reach: float,
    surface: Surface,
    values: np.ndarray,
    *,
    tree: BoxTree | None = None,
) -> Met:
    """From points [n, 3] along unit directions [n, 3], both ways, as far as reach: where the surface is met.

    What looks the other way there is not met. values [V, k]: of the surface's vertices, interpolated.
    tree: the surface's boxes in float64, where they were made before.
    """
    vertices, faces = np.ascontiguousarray(surface.vertices, np.float64), surface.faces
    tree = tree or BoxTree.of(vertices, faces)
    met = Met(np.zeros(len(points), np.bool_), np.zeros(len(points)), np.zeros((len(points), values.shape[1])))
    points, directions = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(directions, np.float64)
    normals, values = np.ascontiguousarray(surface.normals, np.float64), np.ascontiguousarray(values, np.float64)
    held = tree.order, tree.leaves, tree.boxes
    _along(points, directions, reach, vertices, faces, normals, *held, met.found, met.height, values, met.values)
    return met
