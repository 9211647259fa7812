"""Paints a photograph onto a map, triangle by triangle: every texel belongs to one triangle, so all cores may paint."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .light import DECODE, ENCODE_SQRT, tone
from .uv_mesh import _inside

f32 = np.float32


@njit(inline="always")
def _box(corners, f, size):
    """First and last column and row of texels whose centres the triangle may cover, and its area's sign."""
    ax, ay, bx, by = corners[f, 0, 0], corners[f, 0, 1], corners[f, 1, 0], corners[f, 1, 1]
    cx, cy = corners[f, 2, 0], corners[f, 2, 1]
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    x0, x1 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
    y0, y1 = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
    return x0, x1, y0, y1, area


@njit(inline="always")
def _covers(corners, f, area, x, y):
    """Does the triangle cover the texel's centre? And the weights of its corners there."""
    ax, ay, bx, by = corners[f, 0, 0], corners[f, 0, 1], corners[f, 1, 0], corners[f, 1, 1]
    cx, cy = corners[f, 2, 0], corners[f, 2, 1]
    if area > 0:
        inside = _inside(ax, ay, bx, by, x, y) and _inside(bx, by, cx, cy, x, y) and _inside(cx, cy, ax, ay, x, y)
    else:
        inside = _inside(ax, ay, cx, cy, x, y) and _inside(cx, cy, bx, by, x, y) and _inside(bx, by, ax, ay, x, y)
    if not inside:
        return False, f32(0), f32(0), f32(0)
    px, py = f32(x + 0.5), f32(y + 0.5)
    u = ((px - ax) * (cy - ay) - (cx - ax) * (py - ay)) / area
    v = ((bx - ax) * (py - ay) - (px - ax) * (by - ay)) / area
    return True, f32(1) - u - v, u, v


@njit(inline="always")
def _bilinear(image, x, y, c):
    """At a place counted from the first pixel's corner."""
    x, y = x - f32(0.5), y - f32(0.5)
    i, j = int(np.floor(x)), int(np.floor(y))
    a, b = x - f32(i), y - f32(j)
    w, h = image.shape[1] - 1, image.shape[0] - 1
    i0, i1, j0, j1 = min(max(i, 0), w), min(max(i + 1, 0), w), min(max(j, 0), h), min(max(j + 1, 0), h)
    top = image[j0, i0, c] + a * (image[j0, i1, c] - image[j0, i0, c])
    low = image[j1, i0, c] + a * (image[j1, i1, c] - image[j1, i0, c])
    return top + b * (low - top)


@njit(inline="always")
def _cubic(t):
    """Weights of four neighbours (Catmull and Rom)."""
    s = t * t
    r = s * t
    return (
        f32(0.5) * (-r + f32(2) * s - t),
        f32(0.5) * (f32(3) * r - f32(5) * s + f32(2)),
        f32(0.5) * (f32(-3) * r + f32(4) * s + t),
        f32(0.5) * (r - s),
    )


@njit(inline="always")
def _bicubic(image, x, y, c):
    x, y = x - f32(0.5), y - f32(0.5)
    i, j = int(np.floor(x)), int(np.floor(y))
    h, w = image.shape[0] - 1, image.shape[1] - 1
    p = _cubic(x - f32(i))
    q = _cubic(y - f32(j))
    total = f32(0)
    for m in range(4):
        row = min(max(j + m - 1, 0), h)
        line = f32(0)
        for n in range(4):
            line += p[n] * f32(image[row, min(max(i + n - 1, 0), w), c])
        total += q[m] * line
    return total


@njit(parallel=True, cache=True, nogil=True)
def paint(corners, faces, place, gain, detail, middle, broad, photo, first, second, decode, encode, out):
    """Adds a photograph's bands to out [S, S, 3] float32 sRGB.

    corners [n, 3, 2] texels of the faces [n, 3]; per vertex: place [V, 2] in the photo's pixels, gain [V, 3] on linear
    light, shares of the three bands. photo [H, W, 3] float32; first, second [h, w, 3] the blurred pictures of the same
    field of view, of any size.
    """
    size = out.shape[0]
    x1st, y1st = f32(first.shape[1] / photo.shape[1]), f32(first.shape[0] / photo.shape[0])
    x2nd, y2nd = f32(second.shape[1] / photo.shape[1]), f32(second.shape[0] / photo.shape[0])
    for f in prange(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if (
            detail[i] + detail[j] + detail[k] <= 0
            and middle[i] + middle[j] + middle[k] <= 0
            and broad[i] + broad[j] + broad[k] <= 0
        ):
            continue
        x0, x1, y0, y1, area = _box(corners, f, size)
        if area == 0:
            continue
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                inside, a, b, c = _covers(corners, f, area, x, y)
                if not inside:
                    continue
                px = a * place[i, 0] + b * place[j, 0] + c * place[k, 0]
                py = a * place[i, 1] + b * place[j, 1] + c * place[k, 1]
                wd = a * detail[i] + b * detail[j] + c * detail[k]
                wm = a * middle[i] + b * middle[j] + c * middle[k]
                wb = a * broad[i] + b * broad[j] + c * broad[k]
                for m in range(3):
                    g = a * gain[i, m] + b * gain[j, m] + c * gain[k, m]
                    one = tone(_bilinear(first, px * x1st, py * y1st, m), g, decode, encode)
                    two = tone(_bilinear(second, px * x2nd, py * y2nd, m), g, decode, encode)
                    value = wm * (one - two) + wb * two
                    if wd > 0:
                        value += wd * (tone(_bicubic(photo, px, py, m), g, decode, encode) - one)
                    out[y, x, m] += value


@njit(parallel=True, cache=True, nogil=True)
def paint_values(corners, faces, values, share, out, covered):
    """Adds vertex values [V, k] times share [V] to out [S, S, k] and marks what triangles cover."""
    size = out.shape[0]
    for f in prange(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, x1, y0, y1, area = _box(corners, f, size)
        if area == 0:
            continue
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                inside, a, b, c = _covers(corners, f, area, x, y)
                if not inside:
                    continue
                covered[y, x] = 1
                w = a * share[i] + b * share[j] + c * share[k]
                if w > 0:
                    for m in range(values.shape[1]):
                        out[y, x, m] += w * (a * values[i, m] + b * values[j, m] + c * values[k, m])


def tables() -> tuple[np.ndarray, np.ndarray]:
    """The look-up tables between stored and linear light that paint() takes."""
    return DECODE, ENCODE_SQRT
