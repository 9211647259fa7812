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

f32, f64 = np.float32, np.float64  # to numba, float() of a float32 is still one


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
def load(array, i):
    """The first three columns of row i, in doubles. What decides whether a face is inverted is the sign of products of
    differences of these: doubles keep it where float32 leaves only rounding, in slivers and where a middle lies."""
    return f64(array[i, 0]), f64(array[i, 1]), f64(array[i, 2])


@njit(cache=True)
def plus(a, b):
    """a + b, of vectors [3] as tuples."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@njit(cache=True)
def minus(a, b):
    """a - b, of vectors [3] as tuples."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@njit(cache=True)
def cross(a, b):
    """The cross product a x b."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True)
def dot(a, b):
    """The dot product of a and b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def collapse_inverts_a_face(data, start, twin, normals, h, middle):
    """True if moving both ends of h to its middle would turn a face that is sound against the surface.

    normals [V, 3]: unit, of the surface as it is.
    """
    g = twin[h]
    merged = plus(load(normals, start[h]), load(normals, start[g]))
    for side in range(2):
        first = h if side == 0 else g
        o = start[first]
        e = first
        while True:
            f = e // 3
            if f != h // 3 and f != g // 3:
                i, j = start[next_half_edge(e)], start[previous_half_edge(e)]
                p, others = load(data, i), plus(load(normals, i), load(normals, j))
                edge = minus(load(data, j), p)
                if (
                    dot(cross(edge, minus(middle, p)), plus(others, merged)) <= 0
                    and dot(cross(edge, minus(load(data, o), p)), plus(others, load(normals, o))) > 0
                ):
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
        middle = (
            f64((data[a, 0] + data[b, 0]) * f32(0.5)),
            f64((data[a, 1] + data[b, 1]) * f32(0.5)),
            f64((data[a, 2] + data[b, 2]) * f32(0.5)),
        )  # as it will be stored
        if collapse_inverts_a_face(data, start, twin, normals, h, middle):
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
    o, p = load(data, a), load(data, b)
    edge, to_c, to_d = minus(p, o), minus(load(data, c), o), minus(load(data, d), o)
    pair = cross(edge, minus(to_c, to_d))
    return dot(pair, cross(to_d, to_c)) <= 0 or dot(pair, cross(minus(load(data, c), p), minus(load(data, d), p))) <= 0


@njit(cache=True)
def normal_at(data, start, twin, h):
    """The unit normal at the start of h."""
    o = load(data, start[h])
    total = (0.0, 0.0, 0.0)
    e = h
    while True:
        i, j = start[next_half_edge(e)], start[previous_half_edge(e)]
        total = plus(total, cross(minus(load(data, i), o), minus(load(data, j), o)))
        e = twin[previous_half_edge(e)]
        if e == h:
            break
    inverse = 1.0 / max(math.sqrt(dot(total, total)), TINY)
    return total[0] * inverse, total[1] * inverse, total[2] * inverse


@njit(cache=True)
def faces_against(data, i, j, k, p, q, r):
    """True if the face (i, j, k) points against the surface, whose normals at its corners are p, q and r."""
    o = load(data, i)
    return dot(cross(minus(load(data, j), o), minus(load(data, k), o)), plus(plus(p, q), r)) <= 0


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
