"""The whole differentiable step of the CPU backend for one view, and over all views: forward, loss, backward.

Pixels that no silhouette touches (nearly all) are shaded, compared and sent back in one go; the pixels on either side
of a silhouette go through the blend first. Views are dealt in fixed order to a fixed number of parts, each with a
gradient buffer of its own that is added up in order, so the result does not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .shading import pixel_weights, row_rays, scatter, shade_backward_pixel, shade_pixel
from .silhouette import blend, blend_backward, find_silhouettes
from .visibility import project, rasterise

f32 = np.float32


@njit(inline="always")
def l1_slope(x):
    """The derivative of |x|: its sign, 0 at 0."""
    return 1.0 if x > 0 else (-1.0 if x < 0 else 0.0)


@njit(inline="always")
def pixel_loss(mode, nx, ny, nz, a, target, p, mask_weight, robust2):
    """Loss of pixel p and its derivative by the rendered normal and coverage. target [pixels, 6], see images.py."""
    w = float(target[p, 4])
    tx, ty, tz = float(target[p, 0]), float(target[p, 1]), float(target[p, 2])
    dx = nx - tx
    dy = ny - ty
    dz = nz - tz
    if mode == 1:  # l1
        loss = w * (abs(dx) + abs(dy) + abs(dz))
        gx, gy, gz = w * l1_slope(dx), w * l1_slope(dy), w * l1_slope(dz)
    elif mode == 0:  # linear, Eq. 8
        loss = -w * (nx * tx + ny * ty + nz * tz)
        gx, gy, gz = -w * tx, -w * ty, -w * tz
    elif mode == 2:  # l2
        loss = 0.5 * w * (dx * dx + dy * dy + dz * dz)
        gx, gy, gz = w * dx, w * dy, w * dz
    else:  # robust: Geman-McClure
        e = dx * dx + dy * dy + dz * dz
        q = 1.0 / (1.0 + e / robust2)
        loss = 0.5 * w * e * q
        s = w * q * q
        gx, gy, gz = s * dx, s * dy, s * dz
    da = a - float(target[p, 3])
    wm = mask_weight * float(target[p, 5])
    return loss + wm * da * da, gx, gy, gz, 2.0 * wm * da


@njit(cache=True)
def touch(pixel, touched, listed, count, vertices, normals, faces, ids, width, center, R, K, color, out):
    """Shades a pixel that takes part in a blend, once."""
    if touched[pixel]:
        return count
    touched[pixel] = 1
    listed[count] = pixel
    f = ids[pixel]
    if f >= 0:
        y = pixel // width
        x, y, z = shade_pixel(vertices, normals, faces, f, pixel - y * width, y, center, R, K)
        color[pixel, 0] = x
        color[pixel, 1] = y
        color[pixel, 2] = z
        color[pixel, 3] = 1.0
    else:
        color[pixel] = f32(0)
    out[pixel] = color[pixel]
    return count + 1


@njit(cache=True)
def view_loss(vertices, normals, faces, P, ids, items, crossing, count, target, mode, mask_weight, robust2, scale,
              center, R, K, touched, listed, color, out, g_out, g_color, gradient):  # fmt: skip
    """Loss of one view whose visibility and silhouettes are known; adds to gradient [V, 6] (positions, normals)."""
    H, W = ids.shape
    flat = ids.reshape(H * W)
    n_listed = 0
    for m in range(count):
        for s in range(2):
            n_listed = touch(
                items[m, s], touched, listed, n_listed, vertices, normals, faces, flat, W, center, R, K, color, out
            )
    blend(items, crossing, count, color, out)
    total = 0.0
    for m in range(n_listed):
        p = listed[m]
        loss, gx, gy, gz, ga = pixel_loss(
            mode, out[p, 0], out[p, 1], out[p, 2], out[p, 3], target, p, mask_weight, robust2
        )
        total += loss
        g_out[p, 0], g_out[p, 1], g_out[p, 2], g_out[p, 3] = gx * scale, gy * scale, gz * scale, ga * scale
        g_color[p] = g_out[p]
    blend_backward(items, crossing, count, P, faces, R, K, W, color, g_out, g_color, gradient)
    for m in range(n_listed):
        p = listed[m]
        f = flat[p]
        if f >= 0:
            y = p // W
            shade_backward_pixel(gradient, vertices, normals, faces, f, p - y * W, y, center, R, K,
                                 float(g_color[p, 0]), float(g_color[p, 1]), float(g_color[p, 2]))  # fmt: skip
    cx, cy, cz = center[0], center[1], center[2]
    for y in range(H):
        rx, ry, rz, sx, sy, sz = row_rays(y, R, K)
        for x in range(W):
            p = y * W + x
            if touched[p]:
                touched[p] = 0
                continue
            f = ids[y, x]
            if f < 0:
                loss, gx, gy, gz, ga = pixel_loss(mode, 0.0, 0.0, 0.0, 0.0, target, p, mask_weight, robust2)
                total += loss
                continue
            dx, dy, dz = rx + x * sx, ry + x * sy, rz + x * sz
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            w0, w1, w2, s, ra, rb, rc = pixel_weights(vertices, i, j, k, (cx, cy, cz), dx, dy, dz)
            nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
            ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
            nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
            loss, gx, gy, gz, ga = pixel_loss(mode, nx, ny, nz, 1.0, target, p, mask_weight, robust2)
            total += loss
            if gx != 0.0 or gy != 0.0 or gz != 0.0:
                scatter(gradient, normals, i, j, k, w0, w1, w2, s, ra, rb, rc, nx, ny, nz,
                        gx * scale, gy * scale, gz * scale)  # fmt: skip
    return total


@njit(parallel=True, cache=True)
def step_views(vertices, normals, faces, twin, R, t, center, K, size, offset, targets, mode, mask_weight, robust2,
               scale, P, facing, zbuffer, ids, items, crossing, touched, listed, color, out, g_out, g_color, gradients,
               losses, counts):  # fmt: skip
    """All views. Scratch arrays have a leading axis of parts; losses and counts (silhouette pairs) one of views."""
    views = R.shape[0]
    parts = gradients.shape[0]
    for part in prange(parts):
        gradients[part] = f32(0)
        for c in range(views * part // parts, views * (part + 1) // parts):
            H, W = size[c, 0], size[c, 1]
            z = zbuffer[part, : H * W].reshape(H, W)
            seen = ids[part, : H * W].reshape(H, W)
            project(vertices, R[c], t[c], K[c], P[part])
            rasterise(P[part], faces, z, seen, facing[part])
            n = find_silhouettes(
                P[part], faces, twin, facing[part], z, seen, f32(K[c, 0]), f32(K[c, 1]), items[part], crossing[part]
            )
            counts[c] = n
            losses[c] = scale * view_loss(vertices, normals, faces, P[part], seen, items[part], crossing[part], n,
                                          targets[offset[c] : offset[c + 1]], mode, mask_weight, robust2, scale,
                                          center[c], R[c], K[c], touched[part], listed[part], color[part], out[part],
                                          g_out[part], g_color[part], gradients[part])  # fmt: skip


@njit(parallel=True, cache=True)
def add_parts(gradients, positions, normals):
    """Adds the parts' gradients [parts, V, 6] up in order: positions [V, 3], normals [V, 3] (both written)."""
    for i in prange(gradients.shape[1]):
        for k in range(3):
            p = 0.0
            n = 0.0
            for part in range(gradients.shape[0]):
                p += gradients[part, i, k]
                n += gradients[part, i, k + 3]
            positions[i, k] = p
            normals[i, k] = n
