"""Folds of one surface that lie on each other, such as lips and lids, are pushed apart where they cross.

A rest pose tells on which side of a face each vertex belongs. Vertices that have come to the other side, and edges that
pass through faces, push both away by half of their depth, and the pushes are smoothed over the surface, as in
position-based dynamics (Mueller et al. 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numba import njit, prange
from scipy import sparse
from scipy.spatial import cKDTree

from .closest import _on_face, face_normals
from .intersections import _edge_cuts_face, _faces_cross
from .normals import vertex_normals

REACH = 8.0  # of the rest pose's units, millimetres: what may come to lie on a vertex
HIDDEN = 2.0  # so far from what is seen a fold counts
MARGIN = 0.02  # between folds that have been pushed apart
DEEP = 5.0  # what lies deeper in a face does not belong to it
FACING = 0.2  # largest cosine between normals of folds that can meet
ROUNDS, SMOOTHED = 60, 40  # of pushes; so many are smoothed
FEW, EVERY = 8, 4  # vertices on the wrong side below which edges are asked too; else in every fourth round


@njit(cache=True)
def _crossings(x, rest, faces, seen, margin, push, weight):
    """Number of pairs of faces, one of them seen, that cross in x and not in the rest pose; what they push."""
    n = len(faces)
    low, high = np.empty((n, 3)), np.empty((n, 3))
    for i in range(n):
        for d in range(3):
            a, b, c = x[faces[i, 0], d], x[faces[i, 1], d], x[faces[i, 2], d]
            low[i, d], high[i, d] = min(a, min(b, c)), max(a, max(b, c))
    order = np.argsort(low[:, 0])
    found = 0
    for place in range(n):
        i = order[place]
        for other in range(place + 1, n):
            j = order[other]
            if low[j, 0] > high[i, 0]:
                break
            if low[j, 1] > high[i, 1] or low[i, 1] > high[j, 1] or low[j, 2] > high[i, 2] or low[i, 2] > high[j, 2]:
                continue
            if not (seen[i] or seen[j]) or not _faces_cross(x, faces, i, j) or _faces_cross(rest, faces, i, j):
                continue
            found += 1
            if len(push):
                _push_edges(x, rest, faces, i, j, margin, push, weight)
                _push_edges(x, rest, faces, j, i, margin, push, weight)
    return found


@njit(cache=True)
def _side(x, p, a, normal):
    total = 0.0
    for d in range(3):
        total += (x[p, d] - x[a, d]) * normal[d]
    return total


@njit(cache=True)
def _normal(x, a, b, c):
    normal = np.cross(x[b] - x[a], x[c] - x[a])
    length = np.sqrt((normal**2).sum())
    return normal / max(length, 1e-12)


@njit(cache=True)
def _push_edges(x, rest, faces, f, g, margin, push, weight):
    """Each edge of f that passes through g: its end on the wrong side, told by the rest pose, is pushed back."""
    a, b, c = faces[g, 0], faces[g, 1], faces[g, 2]
    for e in range(3):
        p, q = faces[f, e], faces[f, (e + 1) % 3]
        if p in (a, b, c) or q in (a, b, c) or not _edge_cuts_face(x, p, q, a, b, c):
            continue
        normal, before = _normal(x, a, b, c), _normal(rest, a, b, c)
        at_p, at_q = _side(x, p, a, normal), _side(x, q, a, normal)
        wrong_p, wrong_q = at_p * _side(rest, p, a, before) < 0, at_q * _side(rest, q, a, before) < 0
        if wrong_p == wrong_q:
            wrong_p = abs(at_p) < abs(at_q)
        end, depth = (p, at_p) if wrong_p else (q, at_q)
        way = (abs(depth) + margin) / 2 * (-1.0 if depth > 0 else 1.0)
        push[end] += way * normal
        weight[end] += 1
        for corner in (a, b, c):
            push[corner] -= way / 3 * normal
            weight[corner] += 1 / 3


@njit(cache=True)
def _distance(x, p, y, q):
    return np.sqrt((x[p, 0] - y[q, 0]) ** 2 + (x[p, 1] - y[q, 1]) ** 2 + (x[p, 2] - y[q, 2]) ** 2)


@njit(cache=True)
def _contacts(x, faces, first, facing, deep, margin, push, weight):
    """Number of vertices on the wrong side of the nearest face that they can meet; what they push."""
    found = 0
    middle, radius = np.empty((len(faces), 3)), np.zeros(len(faces))  # balls around faces: most are too far at a glance
    for f in range(len(faces)):
        for d in range(3):
            middle[f, d] = (x[faces[f, 0], d] + x[faces[f, 1], d] + x[faces[f, 2], d]) / 3
        for corner in faces[f]:
            radius[f] = max(radius[f], _distance(x, corner, middle, f))
    for v in range(len(first) - 1):
        best, nearest, second, third = deep**2, -1, 0.0, 0.0
        reach = deep
        for k in range(first[v], first[v + 1]):
            f = facing[k]
            if _distance(x, v, middle, f) > reach + radius[f]:
                continue
            wb, wc, squared = _on_face(x[v], x[faces[f, 0]], x[faces[f, 1]], x[faces[f, 2]])
            if squared < best:
                best, nearest, second, third = squared, f, wb, wc
                reach = np.sqrt(best)
        if nearest < 0:
            continue
        a, b, c = faces[nearest, 0], faces[nearest, 1], faces[nearest, 2]
        normal = _normal(x, a, b, c)
        side = _side(x, v, a, normal)
        if side >= margin or (side >= 0 and best > margin**2):
            continue
        found += 1
        way = (margin - side) / 2
        push[v] += way * normal
        weight[v] += 1
        for corner, share in ((a, 1 - second - third), (b, second), (c, third)):
            push[corner] -= share * way * normal
            weight[corner] += share
    return found


@njit(parallel=True, cache=True)
def _crossings_of_mixes(rest, shapes, mixes, weights, faces, seen, result):
    for i in prange(len(mixes)):
        x = rest.copy()
        for member in mixes[i]:
            if member >= 0:
                x += weights[i] * shapes[member]
        nothing, none = np.empty((0, 3)), np.empty(0)
        result[i] = _crossings(x, rest, faces, seen, 0.0, nothing, none)


class Folds:
    """The part of a surface around folds that can meet. Millimetres.

    vertices: [n] indices of the surface's vertices; all arrays below are of these only.
    """

    def __init__(
        self,
        rest: np.ndarray,
        triangles: np.ndarray,
        near: np.ndarray,
        seen: np.ndarray,
        solid: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """rest [V, 3], triangles [T, 3], near [V] bool: what may move; seen [T] bool: faces that must not be crossed;
        solid: of some vertices, their indices [n] and places [n, 3], what brings them out of other things [n, 3]."""
        chosen = near[triangles].any(1)
        shown = np.unique(triangles[chosen & seen])
        chosen &= (cKDTree(rest[shown]).query(rest)[0] < HIDDEN)[triangles].any(1)
        self.vertices, corners = np.unique(triangles[chosen], return_inverse=True)
        self.faces = np.ascontiguousarray(corners.reshape(-1, 3), np.int64)
        self.rest = np.ascontiguousarray(rest[self.vertices], np.float64)
        self.seen = np.ascontiguousarray(seen[chosen])
        self._free = near[self.vertices][:, None]
        self._solid = solid
        self._first, self._facing = _facing(self.rest, self.faces, self.seen)
        edges = np.concatenate([self.faces[:, [k, (k + 1) % 3]] for k in range(3)])
        count = len(self.vertices)
        links = sparse.coo_matrix((np.ones(len(edges)), edges.T), (count, count)).tocsr()
        links = ((links + links.T) > 0).astype(float)
        self._mean = sparse.diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links

    def crossings(self, shapes: np.ndarray, mixes: np.ndarray, weights: np.ndarray) -> np.ndarray:  # [k] int
        """Pairs of faces that cross at rest + weights[i] * the sum of shapes[mixes[i]].

        shapes: [m, n, 3] displacements; mixes: [k, j] indices of shapes, -1 for none.
        """
        result = np.zeros(len(mixes), np.int64)
        if len(mixes):
            _crossings_of_mixes(self.rest, shapes, mixes, weights, self.faces, self.seen, result)
        return result

    def apart(
        self, displacement: np.ndarray, margin: float = MARGIN, tries: Sequence[int] = (1,)
    ) -> tuple[np.ndarray, int]:  # [n, 3] -> [n, 3]
        """What to add to a displacement from the rest pose that fewer faces cross, and how many pairs still do.

        Small and smooth, not the smallest there is. Where pushing at the end does not free all, the way there is gone
        in steps, each with what the one before it has moved: so sides stay known. margin: what is left between folds;
        tries: how many steps, one try after another until all are free.
        """
        best, fewest = np.zeros_like(displacement), self._count(self.rest + displacement)
        for steps in tries:
            moved, left = np.zeros_like(displacement), fewest
            for step in range(1, steps + 1):
                moved, left = self._settled(
                    self.rest + step / steps * displacement, moved * (step / max(step - 1, 1)), margin
                )
            if left < fewest:
                best, fewest = moved, left
            if fewest == 0:
                break
        return best, fewest

    def _count(self, vertices: np.ndarray) -> int:
        return _crossings(vertices, self.rest, self.faces, self.seen, 0.0, np.empty((0, 3)), np.empty(0))

    def _settled(
        self, vertices: np.ndarray, moved: np.ndarray, margin: float
    ) -> tuple[np.ndarray, int]:  # [n, 3] x 2 -> [n, 3]
        best, fewest = moved, np.iinfo(np.int64).max
        for turn in range(ROUNDS):
            push, weight = np.zeros_like(vertices), np.zeros(len(vertices))
            x = vertices + moved
            wrong = _contacts(x, self.faces, self._first, self._facing, DEEP, margin, push, weight)
            if wrong < FEW or turn % EVERY == 0:
                crossing = _crossings(x, self.rest, self.faces, self.seen, margin, push, weight)
                if crossing < fewest:
                    best, fewest = moved, crossing
                if crossing == 0 and (wrong == 0 or turn > SMOOTHED):
                    break
            moved = moved + np.where(self._free, push / np.maximum(weight, 1)[:, None], 0)
            if turn < SMOOTHED:
                moved = np.where(self._free, (moved + self._mean @ moved) / 2, 0)
            if self._solid is not None:
                moved = moved + np.where(self._free, self._solid(self.vertices, vertices + moved), 0)
        return best, fewest


def _facing(rest: np.ndarray, faces: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [n + 1], [k]
    """For each vertex the faces before which it lies, that look at it; one of the two is seen."""
    shown = np.zeros(len(rest), bool)
    shown[faces[seen]] = True
    normals, outward = vertex_normals(rest, faces), face_normals(rest, faces)
    lists = cKDTree(rest[faces].mean(1)).query_ball_point(rest, REACH, return_sorted=True)
    first, found = [0], []
    for v, near in enumerate(lists):
        f = np.array(near, np.int64)
        before = ((rest[v] - rest[faces[f, 0]]) * outward[f]).sum(1) > 0
        looks = (outward[f] @ normals[v] < FACING) & ~(faces[f] == v).any(1)
        found.append(f[before & looks & (seen[f] | shown[v])])
        first.append(first[-1] + len(found[-1]))
    return np.array(first), np.concatenate(found) if found else np.empty(0, np.int64)
