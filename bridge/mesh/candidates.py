"""Which edges are to be collapsed or split, and the clean-up of the arrays afterwards."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

f32, u32 = np.float32, np.uint32
LENGTH = 3  # column of the data array that holds the target edge length at a vertex


@njit(parallel=True, cache=True)
def rate_edges(data, start, face_count, normals, tolerance, flagged, priority):
    """priority [3F]: how far an edge is below (1 - tolerance) of its target length, 0..1.

    flagged [F] int8: corner of the edge to collapse in a face that is inverted against its vertex normals or far too
    small, -1 for a sound face (shortest edge, in one face of five an arbitrary one: avoids dead ends).
    """
    for f in prange(face_count):
        h = 3 * f
        i, j, k = start[h], start[h + 1], start[h + 2]
        ax, ay, az = data[j, 0] - data[i, 0], data[j, 1] - data[i, 1], data[j, 2] - data[i, 2]
        bx, by, bz = data[k, 0] - data[j, 0], data[k, 1] - data[j, 1], data[k, 2] - data[j, 2]
        cx, cy, cz = data[i, 0] - data[k, 0], data[i, 1] - data[k, 1], data[i, 2] - data[k, 2]
        l0 = math.sqrt(ax * ax + ay * ay + az * az)
        l1 = math.sqrt(bx * bx + by * by + bz * bz)
        l2 = math.sqrt(cx * cx + cy * cy + cz * cz)
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        facing = (
            x * (normals[i, 0] + normals[j, 0] + normals[k, 0])
            + y * (normals[i, 1] + normals[j, 1] + normals[k, 1])
            + z * (normals[i, 2] + normals[j, 2] + normals[k, 2])
        )
        mi = data[i, LENGTH] * (1 - tolerance)
        mj = data[j, LENGTH] * (1 - tolerance)
        mk = data[k, LENGTH] * (1 - tolerance)
        least = (mi + mj + mk) / 3
        corner = -1
        if facing < 0 or math.sqrt(x * x + y * y + z * z) < least * least:  # twice the area
            corner = 0
            shortest = l0
            if l1 < shortest:
                corner = 1
                shortest = l1
            if l2 < shortest:
                corner = 2
            q = (f * 1103515245 + 12345) & 0x7FFFFFFF
            if (q >> 8) % 10 < 2:
                corner = (q >> 16) % 3
        flagged[f] = corner
        priority[h] = max(f32(0), f32(1 - l0 / (0.5 * (mi + mj))))
        priority[h + 1] = max(f32(0), f32(1 - l1 / (0.5 * (mj + mk))))
        priority[h + 2] = max(f32(0), f32(1 - l2 / (0.5 * (mk + mi))))


@njit(cache=True)
def list_collapses(start, twin, face_count, flagged, priority, candidates, keys, best):
    """Lists each edge to collapse once (the half-edge that starts at the lower vertex); flagged faces rank above 1.

    Its key goes by priority, then by index, so that no two are the same; best [V] (zeros before): of a vertex's edges.
    """
    for f in range(face_count):
        if flagged[f] >= 0:
            h = 3 * f + flagged[f]
            g = twin[h]
            m = h if start[h] < start[g] else g
            if priority[m] < 1:
                priority[m] += 1
    count = 0
    for h in range(3 * face_count):
        if priority[h] > 0:
            a, b = start[h], start[twin[h]]
            if a < b:
                # positive floats compare as their bits do
                key = np.int64(f32(priority[h]).view(np.int32)) << 32 | (0xFFFFFFFF - h)
                candidates[count] = h
                keys[count] = key
                best[a] = max(best[a], key)
                best[b] = max(best[b], key)
                count += 1
    return count


@njit(parallel=True, cache=True)
def spread_keys(keys, first, neighbours, result):
    """result [V] = the best of the keys [V] within one edge of each vertex."""
    for i in prange(keys.shape[0]):
        best = keys[i]
        for q in range(first[i], first[i + 1]):
            best = max(best, keys[neighbours[q]])
        result[i] = best


@njit(cache=True)
def list_splits(data, start, face_count, tolerance, candidates, ranks, moved):
    """Lists each edge longer than (1 + tolerance) of its target; ranks = (length / that)^2, moved[h] = h."""
    count = 0
    for f in range(face_count):
        if start[3 * f] < 0:
            continue
        for e in range(3):
            h = 3 * f + e
            a, b = start[h], start[3 * f + (e + 1) % 3]
            if a < b:
                x, y, z = data[a, 0] - data[b, 0], data[a, 1] - data[b, 1], data[a, 2] - data[b, 2]
                squared = x * x + y * y + z * z
                limit = f32(0.5) * (data[a, LENGTH] + data[b, LENGTH]) * (1 + tolerance)
                if squared > limit * limit:
                    candidates[count] = h
                    ranks[count] = squared / (limit * limit)
                    moved[h] = h
                    count += 1
    return count


@njit(cache=True)
def compact(data, start, twin, degree, vertex_count, face_count, vertex_map, face_map):
    """Closes the gaps that collapses left, in place and in order; returns the new (V, F)."""
    vertices = 0
    for i in range(vertex_count):
        if degree[i] > 0:
            vertex_map[i] = vertices
            if vertices != i:
                for k in range(data.shape[1]):
                    data[vertices, k] = data[i, k]
                degree[vertices] = degree[i]
            vertices += 1
    faces = 0
    for f in range(face_count):
        if start[3 * f] >= 0:
            face_map[f] = faces
            faces += 1
        else:
            face_map[f] = -1
    for f in range(face_count):
        q = face_map[f]
        if q >= 0:
            for e in range(3):
                start[3 * q + e] = vertex_map[start[3 * f + e]]
                t = u32(twin[3 * f + e])
                twin[3 * q + e] = 3 * face_map[t // u32(3)] + np.int32(t % u32(3))
    return vertices, faces
