"""The three local edits of continuous remeshing (Palfinger 2022) on half-edge arrays, in place: collapse, split, flip.

Arrays: data [V, D] float32 with the position in columns 0..2 (further columns ride along and are averaged), start [3F]
(start vertex of each half-edge, -1 for a removed face), twin [3F], degree [V] (0 for a removed vertex).
The mesh is closed and manifold before and after every single edit, and none inverts a face: no face that it changes
comes to point against the surface as it was, which is the sum of the unit normals of the face's vertices (where two
become one, of both). What did so before may go on, or folds of the optimiser's could never be mended. Splits turn no
face. Names around the edge h = a -> b, g = twin[h]:

            c
          /   \\          h  a -> b    g  b -> a
        a --h-- b         h1 b -> c    g1 a -> d
          \\   /          h2 c -> a    g2 d -> b
            d
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .normals import TINY
from .topology import next_half_edge, previous_half_edge

f32 = np.float32


@njit(cache=True)
def may_collapse(start, twin, degree, h):
    """The link condition: a and b share exactly the two neighbours c and d, and no degree falls below 3."""
    g = twin[h]
    a, b = start[h], start[g]
    c, d = start[previous_half_edge(h)], start[previous_half_edge(g)]
    if c == d or degree[c] <= 3 or degree[d] <= 3 or degree[a] + degree[b] - 4 < 4:
        return False
    common = 0
    e = h
    while True:
        w = g
        while True:
            if start[twin[e]] == start[twin[w]]:
                common += 1
            w = twin[previous_half_edge(w)]
            if w == g:
                break
        e = twin[previous_half_edge(e)]
        if e == h:
            break
    return common == 2


@njit(cache=True)
def collapse_inverts_a_face(data, start, twin, normals, h, mx, my, mz):
    """True if moving both ends of h to m would turn a face that is sound against the surface (normals [V, 3], unit)."""
    g = twin[h]
    a, b = start[h], start[g]
    sx, sy, sz = normals[a, 0] + normals[b, 0], normals[a, 1] + normals[b, 1], normals[a, 2] + normals[b, 2]
    for side in range(2):
        first = h if side == 0 else g
        o = start[first]
        e = first
        while True:
            f = e // 3
            if f != h // 3 and f != g // 3:
                p = start[next_half_edge(e)]
                r = start[previous_half_edge(e)]
                ux, uy, uz = data[r, 0] - data[p, 0], data[r, 1] - data[p, 1], data[r, 2] - data[p, 2]
                ox, oy, oz = data[o, 0] - data[p, 0], data[o, 1] - data[p, 1], data[o, 2] - data[p, 2]
                wx, wy, wz = mx - data[p, 0], my - data[p, 1], mz - data[p, 2]
                n0x, n0y, n0z = uy * oz - uz * oy, uz * ox - ux * oz, ux * oy - uy * ox
                n1x, n1y, n1z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
                tx, ty = normals[p, 0] + normals[r, 0], normals[p, 1] + normals[r, 1]
                tz = normals[p, 2] + normals[r, 2]
                inverted = n1x * (tx + sx) + n1y * (ty + sy) + n1z * (tz + sz) <= 0
                tx, ty, tz = tx + normals[o, 0], ty + normals[o, 1], tz + normals[o, 2]
                if inverted and n0x * tx + n0y * ty + n0z * tz > 0:
                    return True
            e = twin[previous_half_edge(e)]
            if e == first:
                break
    return False


@njit(cache=True)
def collapse_edges(data, start, twin, degree, normals, candidates, keys, nearby):
    """Collapses those of the candidates [n] (half-edges) to their middles that lead within two rings; gives the count.

    keys [n] int64 (list_collapses), nearby [V]: the best key within two edges of each vertex. This spacing decides the
    quality of the result (engine.md C), and the edges that are taken share no neighbour: their order does not matter.
    normals [V, 3]: unit, of the vertices as they are.
    """
    done = 0
    for q in range(candidates.shape[0]):
        h = candidates[q]
        g = twin[h]
        a, b = start[h], start[g]
        if nearby[a] != keys[q] or nearby[b] != keys[q] or not may_collapse(start, twin, degree, h):
            continue
        mx = (data[a, 0] + data[b, 0]) * f32(0.5)
        my = (data[a, 1] + data[b, 1]) * f32(0.5)
        mz = (data[a, 2] + data[b, 2]) * f32(0.5)
        if collapse_inverts_a_face(data, start, twin, normals, h, mx, my, mz):
            continue
        h1, h2, g1, g2 = next_half_edge(h), previous_half_edge(h), next_half_edge(g), previous_half_edge(g)
        c, d = start[h2], start[g2]
        e = g
        while True:  # b becomes a
            following = twin[previous_half_edge(e)]
            start[e] = a
            e = following
            if e == g:
                break
        x, y, p, r = twin[h1], twin[h2], twin[g1], twin[g2]
        twin[x], twin[y] = y, x
        twin[p], twin[r] = r, p
        start[h], start[h1], start[h2] = -1, -1, -1
        start[g], start[g1], start[g2] = -1, -1, -1
        degree[a] = degree[a] + degree[b] - 4
        degree[b] = 0
        degree[c] -= 1
        degree[d] -= 1
        for k in range(data.shape[1]):
            data[a, k] = (data[a, k] + data[b, k]) * f32(0.5)
        done += 1
    return done


@njit(cache=True)
def split_edges(data, start, twin, degree, order, candidates, moved, vertex_count, face_count):
    """Puts a vertex in the middle of each candidate edge and cuts its two faces; returns the new (V, F).

    A split moves one other edge of each face to a new half-edge; moved [3F] (moved[h] = h on entry, for candidates)
    remembers where, so that every candidate is split as the edge it was.
    """
    for q in range(order.shape[0]):
        h = moved[candidates[order[q]]]
        g = twin[h]
        a, b = start[h], start[g]
        h1, h2, g2 = next_half_edge(h), previous_half_edge(h), previous_half_edge(g)
        c, d = start[h2], start[g2]
        m = vertex_count
        vertex_count += 1
        for k in range(data.shape[1]):
            data[m, k] = (data[a, k] + data[b, k]) * f32(0.5)
        k0 = 3 * face_count  # new faces: (m, b, c) at k0 and (b, m, d) at l0
        k1, k2, l0, l1, l2 = k0 + 1, k0 + 2, k0 + 3, k0 + 4, k0 + 5
        face_count += 2
        th1, tg2 = twin[h1], twin[g2]
        for place, new in ((h1, k1), (g2, l2)):
            if moved[place] == place:  # else its candidate has left already, and an inner edge lies here now
                moved[place] = new
        start[h1], start[g] = m, m
        start[k0], start[k1], start[k2] = m, b, c
        start[l0], start[l1], start[l2] = b, m, d
        twin[h1], twin[k2] = k2, h1
        twin[k1], twin[th1] = th1, k1
        twin[k0], twin[l0] = l0, k0
        twin[g2], twin[l1] = l1, g2
        twin[l2], twin[tg2] = tg2, l2
        degree[m] = 4
        degree[c] += 1
        degree[d] += 1
    return vertex_count, face_count


@njit(cache=True)
def flip_turns_a_face(data, a, b, c, d):
    """True if a face of the flipped pair (a, d, c), (b, c, d) would not face the way the pair faces now."""
    ex, ey, ez = data[b, 0] - data[a, 0], data[b, 1] - data[a, 1], data[b, 2] - data[a, 2]
    cx, cy, cz = data[c, 0] - data[a, 0], data[c, 1] - data[a, 1], data[c, 2] - data[a, 2]
    dx, dy, dz = data[d, 0] - data[a, 0], data[d, 1] - data[a, 1], data[d, 2] - data[a, 2]
    nx = ey * cz - ez * cy + dy * ez - dz * ey
    ny = ez * cx - ex * cz + dz * ex - dx * ez
    nz = ex * cy - ey * cx + dx * ey - dy * ex
    if nx * (dy * cz - dz * cy) + ny * (dz * cx - dx * cz) + nz * (dx * cy - dy * cx) <= 0:
        return True
    cx, cy, cz, dx, dy, dz = cx - ex, cy - ey, cz - ez, dx - ex, dy - ey, dz - ez
    return nx * (cy * dz - cz * dy) + ny * (cz * dx - cx * dz) + nz * (cx * dy - cy * dx) <= 0


@njit(cache=True)
def normal_at(data, start, twin, h):
    """The unit normal at the start of h."""
    x = 0.0
    y = 0.0
    z = 0.0
    i = start[h]
    e = h
    while True:
        j, k = start[next_half_edge(e)], start[previous_half_edge(e)]
        ax, ay, az = data[j, 0] - data[i, 0], data[j, 1] - data[i, 1], data[j, 2] - data[i, 2]
        bx, by, bz = data[k, 0] - data[i, 0], data[k, 1] - data[i, 1], data[k, 2] - data[i, 2]
        x += ay * bz - az * by
        y += az * bx - ax * bz
        z += ax * by - ay * bx
        e = twin[previous_half_edge(e)]
        if e == h:
            break
    inverse = 1.0 / max(math.sqrt(x * x + y * y + z * z), TINY)
    return x * inverse, y * inverse, z * inverse


@njit(cache=True)
def faces_against(data, i, j, k, p, q, r):
    """True if the face (i, j, k) points against the surface, whose normals at its corners are p, q and r."""
    ax, ay, az = data[j, 0] - data[i, 0], data[j, 1] - data[i, 1], data[j, 2] - data[i, 2]
    bx, by, bz = data[k, 0] - data[i, 0], data[k, 1] - data[i, 1], data[k, 2] - data[i, 2]
    x, y, z = p[0] + q[0] + r[0], p[1] + q[1] + r[1], p[2] + q[2] + r[2]
    return x * (ay * bz - az * by) + y * (az * bx - ax * bz) + z * (ax * by - ay * bx) <= 0


@njit(cache=True)
def flip_inverts_a_face(data, start, twin, h):
    """True if one of the two faces that the flip of h makes would point against the surface as it is."""
    g = twin[h]
    h2, g2 = previous_half_edge(h), previous_half_edge(g)
    a, b, c, d = start[h], start[g], start[h2], start[g2]
    at_c, at_d = normal_at(data, start, twin, h2), normal_at(data, start, twin, g2)
    return faces_against(data, a, d, c, normal_at(data, start, twin, h), at_d, at_c) or faces_against(
        data, b, c, d, normal_at(data, start, twin, g), at_c, at_d
    )


@njit(cache=True)
def flip_gain(start, twin, degree, h):
    """How much closer to 6 the degrees around h come by its flip; below 1: it had better stay."""
    g = twin[h]
    c, d = start[previous_half_edge(h)], start[previous_half_edge(g)]
    return degree[start[h]] + degree[start[g]] - degree[c] - degree[d] - 2


@njit(cache=True)
def may_flip(data, start, twin, degree, h):
    """False if the flip would double an edge, turn or invert a face or leave a degree below 3."""
    g, h2 = twin[h], previous_half_edge(h)
    a, b, c, d = start[h], start[g], start[h2], start[previous_half_edge(g)]
    if degree[a] <= 3 or degree[b] <= 3 or c == d or flip_turns_a_face(data, a, b, c, d):
        return False
    e = h2
    while True:
        if start[twin[e]] == d:
            return False
        e = twin[previous_half_edge(e)]
        if e == h2:
            return not flip_inverts_a_face(data, start, twin, h)


@njit(parallel=True, cache=True)
def rate_flips(start, twin, degree, face_count, gains):
    """gains [3F] int8: flip_gain of each edge, at its half-edge from the lower vertex; 0 where it is not positive."""
    for h in prange(3 * face_count):
        lower = start[h] < start[twin[h]]
        gains[h] = min(max(flip_gain(start, twin, degree, h), 0), 127) if lower else 0


@njit(cache=True)
def flip_edges(data, start, twin, degree, gains, candidates):
    """Flips that bring degrees closer to 6, those that do most first; gives the count.

    gains [3F] int8 (rate_flips), candidates [3F / 2] int32 (written). An edge flips only if it still gains what its
    turn is about: sweeping by index instead, where a flip leads to the next, gave surfaces 13 % further off for
    slightly better degrees.
    """
    count, most, done = 0, 0, 0
    for h in range(gains.shape[0]):
        if gains[h] > 0:
            candidates[count] = h
            most = max(most, gains[h])
            count += 1
    for least in range(most, 0, -1):
        for q in range(count):
            h = candidates[q]
            if gains[h] < least or flip_gain(start, twin, degree, h) < least:
                continue
            if not may_flip(data, start, twin, degree, h):
                continue
            g, h1, h2 = twin[h], next_half_edge(h), previous_half_edge(h)
            g1, g2 = next_half_edge(g), previous_half_edge(g)
            a, b, c, d = start[h], start[g], start[h2], start[g2]
            th1, th2, tg1, tg2 = twin[h1], twin[h2], twin[g1], twin[g2]
            start[h], start[h1], start[h2] = d, c, a
            start[g], start[g1], start[g2] = c, d, b
            twin[h1], twin[th2] = th2, h1
            twin[h2], twin[tg1] = tg1, h2
            twin[g1], twin[tg2] = tg2, g1
            twin[g2], twin[th1] = th1, g2
            degree[a] -= 1
            degree[b] -= 1
            degree[c] += 1
            degree[d] += 1
            done += 1
    return done
