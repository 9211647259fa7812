"""The closest point of a triangle mesh to each of many points: where it is, in which face, with which weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from .boxtree import STACK, BoxTree
from .distance import _squared_to_box


@dataclass(frozen=True, eq=False)
class Closest:
    """One closest point for each query."""

    face: np.ndarray  # [n] int32
    weights: np.ndarray  # [n, 3] of the face's corners
    distance: np.ndarray  # [n]

    def of(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, k] -> [n, k]
        """Values of the vertices, interpolated at the closest points."""
        return np.einsum("nk,nkd->nd", self.weights, values[faces[self.face]])


class Target:
    """A triangle mesh [V, 3], [F, 3] that is asked for closest points again and again."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.faces = np.ascontiguousarray(faces, np.int32)
        self._tree = BoxTree.of(self.vertices, self.faces)

    def move(self, vertices: np.ndarray) -> None:
        """The same faces with other vertices [V, 3]."""
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self._tree.refit(self.vertices, self.faces)

    def closest(
        self,
        points: np.ndarray,
        normals: np.ndarray | None = None,
        face_normals: np.ndarray | None = None,
        least: float = 0.0,
        reach: float = np.inf,
    ) -> Closest:
        """The closest points [n, 3]; with unit normals [n, 3] of the points only faces whose unit normals [F, 3]
        make a cosine of at least `least` with them count. Beyond `reach` the
        distance is infinite."""
        points = np.ascontiguousarray(points, np.float64)
        face = np.zeros(len(points), np.int32)
        weights = np.zeros((len(points), 3))
        distance = np.empty(len(points))
        tree = self._tree
        directed = normals is not None
        if not directed:
            normals = face_normals = np.empty((0, 3))
        _closest(points, self.vertices, self.faces, tree.order, tree.leaves, tree.boxes, directed,
                 np.ascontiguousarray(normals, np.float64), np.ascontiguousarray(face_normals, np.float64),
                 least, float(reach) ** 2, face, weights, distance)  # fmt: skip
        return Closest(face, weights, distance)


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [F, 3]
    """Unit normals of triangles, 0 for those without area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)


@njit(cache=True)
def _on_face(p, a, b, c):
    """Weights of b and c of the point of the triangle a b c closest to p (Ericson, Real-Time Collision Detection,
    5.1.5), and the squared distance."""
    d1 = d2 = d3 = d4 = d5 = d6 = 0.0
    for k in range(3):
        ab, ac = b[k] - a[k], c[k] - a[k]
        d1 += ab * (p[k] - a[k])
        d2 += ac * (p[k] - a[k])
        d3 += ab * (p[k] - b[k])
        d4 += ac * (p[k] - b[k])
        d5 += ab * (p[k] - c[k])
        d6 += ac * (p[k] - c[k])
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
    squared = 0.0
    for k in range(3):
        away = p[k] - a[k] - v * (b[k] - a[k]) - w * (c[k] - a[k])
        squared += away * away
    return v, w, squared


@njit(parallel=True, cache=True)
def _closest(
    points, vertices, faces, order, leaves, boxes, directed, normals, theirs, least, most, face, weights, distance
):
    for i in prange(points.shape[0]):
        p = points[i]
        best = most
        found = False
        stack = np.empty(STACK, np.int64)
        stack[0] = 1
        size = 1
        while size > 0:
            size -= 1
            node = stack[size]
            if _squared_to_box(boxes[node], p[0], p[1], p[2]) >= best:
                continue
            if node < leaves:
                near, far = 2 * node, 2 * node + 1
                if _squared_to_box(boxes[near], p[0], p[1], p[2]) > _squared_to_box(boxes[far], p[0], p[1], p[2]):
                    near, far = far, near
                stack[size] = far
                stack[size + 1] = near
                size += 2
                continue
            f = order[node - leaves]
            if directed:
                cosine = normals[i, 0] * theirs[f, 0] + normals[i, 1] * theirs[f, 1] + normals[i, 2] * theirs[f, 2]
                if cosine < least:
                    continue
            v, w, squared = _on_face(p, vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]])
            if squared < best:
                best = squared
                found = True
                face[i] = f
                weights[i, 0] = 1 - v - w
                weights[i, 1] = v
                weights[i, 2] = w
        distance[i] = np.sqrt(best) if found else np.inf
