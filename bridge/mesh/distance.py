"""Distances from points to a triangle mesh, and points spread evenly over one."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .boxtree import STACK, BoxTree


@njit(cache=True)
def _squared_to_face(px, py, pz, a, b, c):
    """Squared distance of a point to the triangle a b c (Ericson, Real-Time Collision Detection, 5.1.5)."""
    abx, aby, abz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    acx, acy, acz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    apx, apy, apz = px - a[0], py - a[1], pz - a[2]
    d1 = abx * apx + aby * apy + abz * apz
    d2 = acx * apx + acy * apy + acz * apz
    bpx, bpy, bpz = px - b[0], py - b[1], pz - b[2]
    d3 = abx * bpx + aby * bpy + abz * bpz
    d4 = acx * bpx + acy * bpy + acz * bpz
    cpx, cpy, cpz = px - c[0], py - c[1], pz - c[2]
    d5 = abx * cpx + aby * cpy + abz * cpz
    d6 = acx * cpx + acy * cpy + acz * cpz
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    if d1 <= 0 and d2 <= 0:
        v, w = 0.0, 0.0
    elif d3 >= 0 and d4 <= d3:
        v, w = 1.0, 0.0
    elif d6 >= 0 and d5 <= d6:
        v, w = 0.0, 1.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        v, w = d1 / (d1 - d3), 0.0
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        v, w = 0.0, d2 / (d2 - d6)
    elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        total = va + vb + vc
        v, w = vb / total, vc / total
    x, y, z = apx - v * abx - w * acx, apy - v * aby - w * acy, apz - v * abz - w * acz
    return x * x + y * y + z * z


@njit(inline="always")
def _squared_to_box(box, px, py, pz):
    x = max(max(box[0] - px, px - box[3]), 0.0)
    y = max(max(box[1] - py, py - box[4]), 0.0)
    z = max(max(box[2] - pz, pz - box[5]), 0.0)
    return x * x + y * y + z * z


@njit(parallel=True, cache=True)
def _closest(points, vertices, faces, order, leaves, boxes, result):
    for i in prange(points.shape[0]):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        best = np.inf
        stack = np.empty(STACK, np.int64)
        stack[0] = 1
        size = 1
        while size > 0:
            size -= 1
            node = stack[size]
            if _squared_to_box(boxes[node], px, py, pz) >= best:
                continue
            if node < leaves:
                near, far = 2 * node, 2 * node + 1
                if _squared_to_box(boxes[near], px, py, pz) > _squared_to_box(boxes[far], px, py, pz):
                    near, far = far, near
                stack[size] = far
                stack[size + 1] = near  # looked at first: what it finds spares most of the other
                size += 2
                continue
            f = order[node - leaves]
            squared = _squared_to_face(px, py, pz, vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]])
            best = min(best, squared)
        result[i] = math.sqrt(best)


def distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [n, 3] -> [n]
    """Distance of each point to the nearest point of a mesh [V, 3], [F, 3], exact in float64."""
    vertices = np.ascontiguousarray(vertices, np.float64)
    tree = BoxTree.of(vertices, faces)
    result = np.empty(len(points))
    _closest(np.ascontiguousarray(points, np.float64), vertices, faces, tree.order, tree.leaves, tree.boxes, result)
    return result


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:  # [count, 3], [count]
    """Points spread over a mesh by area, and the face each is on: the same ones every time."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    rng = np.random.default_rng(seed)
    # one point in each of count equal shares of the area: less scatter than independent draws
    place = (np.arange(count) + rng.uniform(size=count)) / count * area[-1]
    face = np.minimum(np.searchsorted(area, place, side="right"), len(faces) - 1)
    u, v = np.sqrt(rng.uniform(size=count)), rng.uniform(size=count)
    weights = np.stack([1 - u, u * (1 - v), u * v], 1)
    return np.einsum("nk,nkd->nd", weights, np.stack([a[face], b[face], c[face]], 1)), face
