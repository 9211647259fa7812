"""One view seen through the mesh from another: grey values, and how they change when the surface moves outward.

A pixel of the reference view has a point X on the mesh; moved along the normal n by d it is, on the same ray r,
X + d r / (n . r), and the partner shows it somewhere else. Faugeras and Keriven 1998; Vu et al. 2012.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(inline="always")
def _cubic(a):
    """Catmull-Rom weights of four samples at a share a of the way from the second to the third, and their derivatives.

    Linear sampling would blur one of two photographs that are compared."""
    a2 = a * a
    return (
        (a * (-0.5 + a - 0.5 * a2), 1 - 2.5 * a2 + 1.5 * a2 * a, a * (0.5 + 2 * a - 1.5 * a2), 0.5 * a2 * (a - 1)),
        (-0.5 + 2 * a - 1.5 * a2, a * (4.5 * a - 5), 0.5 + 4 * a - 4.5 * a2, a * (1.5 * a - 1)),
    )


@njit(inline="always")
def sample(image, u, v):
    """Grey value of image [H, W] at pixels (u, v), where pixel centres are at .5, and its derivatives to u and v."""
    i, j = math.floor(u - 0.5), math.floor(v - 0.5)
    wx, dx = _cubic(np.float32(u - 0.5 - i))
    wy, dy = _cubic(np.float32(v - 0.5 - j))
    value = np.float32(0)
    along = np.float32(0)
    down = np.float32(0)
    for n in range(4):
        p, q = image[j - 1 + n, i - 1], image[j - 1 + n, i]
        r, s = image[j - 1 + n, i + 1], image[j - 1 + n, i + 2]
        row = wx[0] * p + wx[1] * q + wx[2] * r + wx[3] * s
        value += wy[n] * row
        down += dy[n] * row
        along += wy[n] * (dx[0] * p + dx[1] * q + dx[2] * r + dx[3] * s)
    return value, along, down


@njit(cache=True, nogil=True)
def warp(first, depth, normals, use, back, center, image, their_first, their_depth, their_use, P, their_center, behind,
         least_cosine, values, change, cosine):  # fmt: skip
    """Fills values, change and cosine [h, w] float32: the partner's grey at the surface point of each pixel of the
    reference's part that starts at pixel first (y, x), its derivative to the surface's motion along its normal, and the
    smaller cosine between normal and both lines of sight; 0 where not both views see the point.

    depth, use [h, w], normals [h, w, 3]: the part; use is 0 where a pixel must not be compared. back [3, 3]: pixel to
    ray of depth 1 in the world. image [H, W] and P [3, 4] are the partner's, their_depth and
    their_use [h', w'] its part that starts at pixel their_first; behind: how far
    behind the surface that the partner sees a point still counts as seen. Returns how many pixels are seen.
    """
    H, W = image.shape
    count = 0
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            cosine[y, x] = 0
            values[y, x] = 0
            change[y, x] = 0
            if use[y, x] == 0:
                continue
            px, py, z = first[1] + x + 0.5, first[0] + y + 0.5, np.float64(depth[y, x])
            rx = back[0, 0] * px + back[0, 1] * py + back[0, 2]
            ry = back[1, 0] * px + back[1, 1] * py + back[1, 2]
            rz = back[2, 0] * px + back[2, 1] * py + back[2, 2]
            nx, ny, nz = np.float64(normals[y, x, 0]), np.float64(normals[y, x, 1]), np.float64(normals[y, x, 2])
            along = nx * rx + ny * ry + nz * rz
            ours = -along / math.sqrt(rx * rx + ry * ry + rz * rz)
            if ours < least_cosine:
                continue
            X, Y, Z = center[0] + z * rx, center[1] + z * ry, center[2] + z * rz
            sx, sy, sz = their_center[0] - X, their_center[1] - Y, their_center[2] - Z
            theirs = (nx * sx + ny * sy + nz * sz) / math.sqrt(sx * sx + sy * sy + sz * sz)
            if theirs < least_cosine:
                continue
            there = P[2, 0] * X + P[2, 1] * Y + P[2, 2] * Z + P[2, 3]
            if there <= 0:
                continue
            u = (P[0, 0] * X + P[0, 1] * Y + P[0, 2] * Z + P[0, 3]) / there
            v = (P[1, 0] * X + P[1, 1] * Y + P[1, 2] * Z + P[1, 3]) / there
            if u < 2 or v < 2 or u >= W - 2 or v >= H - 2:
                continue
            i, j = int(u) - their_first[1], int(v) - their_first[0]
            if i < 0 or j < 0 or i >= their_depth.shape[1] or j >= their_depth.shape[0]:
                continue
            if their_use[j, i] == 0 or there > their_depth[j, i] + behind:
                continue
            value, to_right, down = sample(image, u, v)
            k = 1 / along
            qx = P[0, 0] * rx + P[0, 1] * ry + P[0, 2] * rz
            qy = P[1, 0] * rx + P[1, 1] * ry + P[1, 2] * rz
            qz = P[2, 0] * rx + P[2, 1] * ry + P[2, 2] * rz
            values[y, x] = value
            change[y, x] = (to_right * (qx - u * qz) + down * (qy - v * qz)) * k / there
            cosine[y, x] = min(ours, theirs)
            count += 1
    return count
