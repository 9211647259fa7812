"""How alike the photographs are at points in front of and behind a surface: numba kernels."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

NOISE = 1.5 / 255  # deviation of a pixel's grain: flat skin must not match by its noise


@njit(cache=True, fastmath=True)
def _pixel(pixels, start, height, width, x, y):
    """Bilinear sample of one view's grey picture, -1 outside; x, y in pixels, the first centre at 0.5."""
    x -= 0.5
    y -= 0.5
    i = int(np.floor(x))
    j = int(np.floor(y))
    if i < 0 or j < 0 or i >= width - 1 or j >= height - 1:
        return -1.0
    a = x - i
    b = y - j
    k = start + j * width + i
    upper = pixels[k] + a * (pixels[k + 1] - pixels[k])
    k += width
    lower = pixels[k] + a * (pixels[k + 1] - pixels[k])
    return upper + b * (lower - upper)


@njit(cache=True, fastmath=True, parallel=True)
def mean_ncc(points, normals, views, counts, spacing, offsets, half, pixels, starts, sizes, P, out):
    """Mean normalised cross-correlation of the patches that all pairs of a point's views see, at every offset.

    points, normals [V, 3]; views [V, m] indices of the views that see a point, the first counts [V] of them valid;
    spacing [V] between the samples of a square patch in the tangent plane, (2 half + 1)^2 samples; offsets [D] along
    the normal; pixels: all grey pictures one after another, starts [N], sizes [N, 2] height, width; P [N, 3, 4]
    projections. out [V, D] in -1..1, 0 where fewer than two views see the patch whole.
    """
    side = 2 * half + 1
    samples = side * side
    for v in prange(points.shape[0]):
        m = counts[v]
        if m < 2:
            continue
        nx = normals[v, 0]
        ny = normals[v, 1]
        nz = normals[v, 2]
        if abs(nx) < 0.7:
            tx = 0.0
            ty = nz
            tz = -ny
        else:
            tx = -nz
            ty = 0.0
            tz = nx
        scale = spacing[v] / np.sqrt(tx * tx + ty * ty + tz * tz)
        tx *= scale
        ty *= scale
        tz *= scale
        bx = ny * tz - nz * ty
        by = nz * tx - nx * tz
        bz = nx * ty - ny * tx
        patch = np.empty((m, samples), np.float32)
        whole = np.empty(m, np.bool_)
        for d in range(offsets.shape[0]):
            px = points[v, 0] + offsets[d] * nx
            py = points[v, 1] + offsets[d] * ny
            pz = points[v, 2] + offsets[d] * nz
            for k in range(m):
                c = views[v, k]
                # homogeneous pixel of the middle, and its change per sample
                x0 = P[c, 0, 0] * px + P[c, 0, 1] * py + P[c, 0, 2] * pz + P[c, 0, 3]
                y0 = P[c, 1, 0] * px + P[c, 1, 1] * py + P[c, 1, 2] * pz + P[c, 1, 3]
                w0 = P[c, 2, 0] * px + P[c, 2, 1] * py + P[c, 2, 2] * pz + P[c, 2, 3]
                xa = P[c, 0, 0] * tx + P[c, 0, 1] * ty + P[c, 0, 2] * tz
                ya = P[c, 1, 0] * tx + P[c, 1, 1] * ty + P[c, 1, 2] * tz
                wa = P[c, 2, 0] * tx + P[c, 2, 1] * ty + P[c, 2, 2] * tz
                xb = P[c, 0, 0] * bx + P[c, 0, 1] * by + P[c, 0, 2] * bz
                yb = P[c, 1, 0] * bx + P[c, 1, 1] * by + P[c, 1, 2] * bz
                wb = P[c, 2, 0] * bx + P[c, 2, 1] * by + P[c, 2, 2] * bz
                whole[k] = True
                mean = 0.0
                q = 0
                for a in range(-half, half + 1):
                    for b in range(-half, half + 1):
                        w = 1.0 / (w0 + a * wa + b * wb)
                        value = _pixel(
                            pixels,
                            starts[c],
                            sizes[c, 0],
                            sizes[c, 1],
                            (x0 + a * xa + b * xb) * w,
                            (y0 + a * ya + b * yb) * w,
                        )
                        if value < 0:
                            whole[k] = False
                        patch[k, q] = value
                        mean += value
                        q += 1
                mean /= samples
                total = samples * NOISE * NOISE
                for q in range(samples):
                    value = patch[k, q] - mean
                    patch[k, q] = value
                    total += value * value
                norm = 1.0 / np.sqrt(total)
                for q in range(samples):
                    patch[k, q] *= norm
            pairs = 0
            correlation = 0.0
            for i in range(m):
                for k in range(i + 1, m):
                    if whole[i] and whole[k]:
                        for q in range(samples):
                            correlation += patch[i, q] * patch[k, q]
                        pairs += 1
            out[v, d] = correlation / pairs if pairs else 0.0
