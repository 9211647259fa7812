"""A disc made coarse vertex by vertex, and its flat picture made fine again without a flipped triangle.

Inner vertices are merged into a neighbour and remembered with their ring (half-edge collapses, Hoppe 1996); once the
coarse disc lies flat, each comes back at its mean value coordinates in its ring (Floater 2003), pulled towards the
neighbour that took its place as far as every triangle of the ring stays upright (Hormann, Greiner, Campagna 1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from ...mesh.topology import build_twins

MOST_RING = 12  # neighbours of a vertex that may be taken out
GROWTH = 1.25  # of the longest edge that is merged, a round
ROUNDS = 60
LEAST_QUALITY = 0.15  # of a new triangle: 1 equilateral, 0 a line


@dataclass(frozen=True, eq=False)
class Coarse:
    """A coarse disc and how to undo it."""

    faces: np.ndarray  # [f, 3] int32 rows of the fine vertices
    removed: np.ndarray  # [n] int32 in the order they were taken out
    rings: np.ndarray  # [n, MOST_RING] int32, -1 behind the last
    target: np.ndarray  # [n] int32: which of the ring took the vertex's place


def coarsen(vertices: np.ndarray, faces: np.ndarray, most: int) -> Coarse:
    """At most so many inner vertices are left, if shape and connectivity allow. The border stays as it is."""
    faces = np.ascontiguousarray(faces, np.int32).copy()
    twin = build_twins(faces, len(vertices))
    border = np.zeros(len(vertices), bool)
    open_edges = np.flatnonzero(twin < 0)
    border[faces.reshape(-1)[open_edges]] = True
    border[np.roll(faces, -1, 1).reshape(-1)[open_edges]] = True
    inner = int((~border).sum())
    removed = np.empty(max(inner, 1), np.int32)
    rings = np.full((max(inner, 1), MOST_RING), -1, np.int32)
    target = np.empty(max(inner, 1), np.int32)
    edge = vertices[faces[:, 1]] - vertices[faces[:, 0]]
    longest = float(np.median(np.linalg.norm(edge, axis=1)))
    outgoing = np.full(len(vertices), -1, np.int32)
    outgoing[faces.reshape(-1)] = np.arange(faces.size, dtype=np.int32)
    alive = np.ones(len(faces), np.bool_)
    gone = border.copy()  # border vertices are never asked
    count = 0
    for _ in range(ROUNDS):
        if inner - count <= most:
            break
        count = _merge_round(vertices, faces.reshape(-1), twin, outgoing, alive, gone, border, longest,
                             removed, rings, target, count, inner - most)  # fmt: skip
        longest *= GROWTH
    return Coarse(faces[alive], removed[:count], rings[:count], target[:count])


@njit(cache=True)
def _ring(start, twin, h, ring):
    """Neighbours of the inner vertex that h leaves, in order; their number, or 0 if there are too many."""
    n = 0
    g = h
    while True:
        if n == ring.shape[0]:
            return 0
        ring[n] = start[g + 1 if g % 3 < 2 else g - 2]
        n += 1
        g = twin[g - 1 if g % 3 > 0 else g + 2]  # the next half-edge that leaves the vertex
        if g < 0:
            return 0
        if g == h:
            return n


@njit(cache=True)
def _merge_round(vertices, start, twin, outgoing, alive, gone, border, longest, removed, rings, target, count, most):
    ring = np.empty(MOST_RING, np.int32)
    locked = np.zeros(vertices.shape[0], np.bool_)
    for v in range(vertices.shape[0]):
        if count >= most:
            break
        if gone[v] or locked[v]:
            continue
        n = _ring(start, twin, outgoing[v], ring)
        if n < 3:
            continue
        best, best_quality = -1, LEAST_QUALITY
        for j in range(n):
            u = ring[j]
            if border[u] and n == 3:
                continue
            squared = 0.0
            for k in range(3):
                squared += (vertices[u, k] - vertices[v, k]) ** 2
            if squared > longest * longest:
                continue
            quality = _merge_quality(vertices, start, twin, outgoing, border, v, ring, n, j)
            if quality > best_quality:
                best, best_quality = j, quality
        if best < 0:
            continue
        for i in range(n):
            rings[count, i] = ring[i]
            locked[ring[i]] = True
        removed[count] = v
        target[count] = best
        count += 1
        gone[v] = True
        _merge(start, twin, outgoing, alive, v, ring[best])
    return count


@njit(cache=True)
def _merge_quality(vertices, start, twin, outgoing, border, v, ring, n, j):
    """The worst quality among the triangles that a merge of v into ring[j] makes; -1 where it must not be."""
    u = ring[j]
    before, after = ring[(j + n - 1) % n], ring[(j + 1) % n]
    # no other edge from u to the ring, or two faces would fold onto each other
    h = outgoing[u]
    g = h
    while True:
        p = g - 1 if g % 3 > 0 else g + 2
        if _strange(start[g + 1 if g % 3 < 2 else g - 2], ring, n, v, before, after):
            return -1.0
        if _strange(start[p], ring, n, v, before, after):
            return -1.0
        g = twin[p]
        if g == h or g < 0:
            break
    while g < 0:  # u lies on the border: from h the other way around as well
        t = twin[h]
        if t < 0:
            break
        h = t + 1 if t % 3 < 2 else t - 2
        if _strange(start[h + 1 if h % 3 < 2 else h - 2], ring, n, v, before, after):
            return -1.0
    if n == 3:
        # what is left is one triangle; both of its outer sides must not be one face already
        return _quality(vertices, ring[0], ring[1], ring[2])
    worst = 1.0
    for i in range(n):
        a, b = ring[i], ring[(i + 1) % n]
        if a == u or b == u:
            continue
        if border[u] and border[a] and border[b]:
            return -1.0  # three border vertices make an ear that has nothing to hold it open
        ox, oy, oz = _cross(vertices, v, a, b)
        nx, ny, nz = _cross(vertices, u, a, b)
        dot = ox * nx + oy * ny + oz * nz
        if dot <= 0.3 * math.sqrt((ox * ox + oy * oy + oz * oz) * (nx * nx + ny * ny + nz * nz)):
            return -1.0
        worst = min(worst, _quality(vertices, u, a, b))
    return worst


@njit(cache=True)
def _strange(w, ring, n, v, before, after):
    """Is a neighbour of u in v's ring without lying beside u in it?"""
    if w in (v, before, after):
        return False
    for i in range(n):  # noqa: SIM110 - numba knows no any()
        if ring[i] == w:
            return True
    return False


@njit(cache=True)
def _cross(p, i, j, k):
    ax, ay, az = p[j, 0] - p[i, 0], p[j, 1] - p[i, 1], p[j, 2] - p[i, 2]
    bx, by, bz = p[k, 0] - p[i, 0], p[k, 1] - p[i, 1], p[k, 2] - p[i, 2]
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@njit(cache=True)
def _quality(p, i, j, k):
    """4 sqrt(3) area / sum of squared sides."""
    x, y, z = _cross(p, i, j, k)
    squares = 0.0
    for a, b in ((i, j), (j, k), (k, i)):
        for m in range(3):
            squares += (p[a, m] - p[b, m]) ** 2
    return 2 * math.sqrt(3.0) * math.sqrt(x * x + y * y + z * z) / max(squares, 1e-300)


@njit(cache=True)
def _merge(start, twin, outgoing, alive, v, u):
    """v becomes u; the two faces on their edge go."""
    h = outgoing[v]
    while start[h + 1 if h % 3 < 2 else h - 2] != u:
        h = twin[h - 1 if h % 3 > 0 else h + 2]
    # all half-edges that leave v leave u now
    g = h
    while True:
        start[g] = u
        g = twin[g - 1 if g % 3 > 0 else g + 2]
        if g == h:
            break
    back = twin[h]
    for side in (h, back):
        # the face's two other half-edges: their twins become one edge
        a = side + 1 if side % 3 < 2 else side - 2
        b = side - 1 if side % 3 > 0 else side + 2
        p, q = twin[a], twin[b]
        if p >= 0:
            twin[p] = q
        if q >= 0:
            twin[q] = p
        alive[side // 3] = False
    for side in (h, back):
        a = side + 1 if side % 3 < 2 else side - 2
        b = side - 1 if side % 3 > 0 else side + 2
        # a half-edge of what is left for the tip and for u
        tip = start[b]
        p, q = twin[a], twin[b]
        for r in (p, q):
            if r >= 0 and alive[r // 3]:
                s = r + 1 if r % 3 < 2 else r - 2
                if start[r] == tip or start[s] == tip:
                    outgoing[tip] = r if start[r] == tip else s
                if start[r] == u or start[s] == u:
                    outgoing[u] = r if start[r] == u else s


@njit(cache=True)
def refine(vertices, removed, rings, target, uv):
    """Puts the removed vertices back into uv [V, 2], the last one first. Returns how many had to be pulled in."""
    pulled = 0
    weights = np.empty(MOST_RING)
    angles = np.empty(MOST_RING)
    for k in range(removed.shape[0] - 1, -1, -1):
        v = removed[k]
        n = 0
        while n < MOST_RING and rings[k, n] >= 0:
            n += 1
        total = 0.0
        for i in range(n):
            a, b = rings[k, i], rings[k, (i + 1) % n]
            dot, la, lb = 0.0, 0.0, 0.0
            for m in range(3):
                pa, pb = vertices[a, m] - vertices[v, m], vertices[b, m] - vertices[v, m]
                dot += pa * pb
                la += pa * pa
                lb += pb * pb
            angles[i] = math.acos(min(1.0, max(-1.0, dot / max(math.sqrt(la * lb), 1e-300))))
            total += angles[i]
        scale = 2 * math.pi / max(total, 1e-9)
        x, y, whole = 0.0, 0.0, 0.0
        for i in range(n):
            a = rings[k, i]
            length = 0.0
            for m in range(3):
                length += (vertices[a, m] - vertices[v, m]) ** 2
            one, two = min(angles[i] * scale, 0.95 * math.pi), min(angles[(i + n - 1) % n] * scale, 0.95 * math.pi)
            weights[i] = (math.tan(one / 2) + math.tan(two / 2)) / max(math.sqrt(length), 1e-300)
            whole += weights[i]
            x += weights[i] * uv[a, 0]
            y += weights[i] * uv[a, 1]
        x, y = x / whole, y / whole
        u = rings[k, target[k]]
        for attempt in range(40):
            good = True
            for i in range(n):
                a, b = rings[k, i], rings[k, (i + 1) % n]
                area = (uv[a, 0] - x) * (uv[b, 1] - y) - (uv[b, 0] - x) * (uv[a, 1] - y)
                if area <= 0:
                    good = False
                    break
            if good:
                if attempt > 0:
                    pulled += 1
                break
            x, y = uv[u, 0] + 0.7 * (x - uv[u, 0]), uv[u, 1] + 0.7 * (y - uv[u, 1])
        uv[v, 0], uv[v, 1] = x, y
    return pulled
