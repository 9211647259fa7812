"""Interpolated normals at the pixels, and the way back to normals and positions.

With the pixel's ray r and the triangle's corners A, B, C relative to the camera, the perspective-correct weights are
r . (B x C), r . (C x A), r . (A x B) divided by their sum: no matrices, and simple derivatives. Scalars are float64
because the products of sub-pixel triangles cancel.
"""

from __future__ import annotations

from numba import njit


@njit(inline="always")
def pixel_ray(x, y, R, K):
    """World direction (not unit) of the ray through the centre of pixel (x, y)."""
    v = (y + 0.5 - K[3]) / K[1]
    u = (x + 0.5 - K[2] - K[4] * v) / K[0]
    return (
        R[0, 0] * u + R[1, 0] * v + R[2, 0],
        R[0, 1] * u + R[1, 1] * v + R[2, 1],
        R[0, 2] * u + R[1, 2] * v + R[2, 2],
    )


@njit(inline="always")
def row_rays(y, R, K):
    """pixel_ray along row y: the ray of x = 0 and what each further pixel adds."""
    v = (y + 0.5 - K[3]) / K[1]
    u = (0.5 - K[2] - K[4] * v) / K[0]
    step = 1.0 / K[0]
    return (
        R[0, 0] * u + R[1, 0] * v + R[2, 0],
        R[0, 1] * u + R[1, 1] * v + R[2, 1],
        R[0, 2] * u + R[1, 2] * v + R[2, 2],
        R[0, 0] * step,
        R[0, 1] * step,
        R[0, 2] * step,
    )


@njit(inline="always")
def pixel_weights(vertices, i, j, k, center, dx, dy, dz):
    """Weights of the corners (sum 1), the factor that normalised them, and r x A, r x B, r x C."""
    ax, ay, az = vertices[i, 0] - center[0], vertices[i, 1] - center[1], vertices[i, 2] - center[2]
    bx, by, bz = vertices[j, 0] - center[0], vertices[j, 1] - center[1], vertices[j, 2] - center[2]
    cx, cy, cz = vertices[k, 0] - center[0], vertices[k, 1] - center[1], vertices[k, 2] - center[2]
    rax, ray, raz = dy * az - dz * ay, dz * ax - dx * az, dx * ay - dy * ax
    rbx, rby, rbz = dy * bz - dz * by, dz * bx - dx * bz, dx * by - dy * bx
    rcx, rcy, rcz = dy * cz - dz * cy, dz * cx - dx * cz, dx * cy - dy * cx
    w0 = rbx * cx + rby * cy + rbz * cz  # r . (B x C) = (r x B) . C
    w1 = rcx * ax + rcy * ay + rcz * az
    w2 = rax * bx + ray * by + raz * bz
    total = w0 + w1 + w2
    s = 1.0 / total if total != 0.0 else 0.0
    return w0 * s, w1 * s, w2 * s, s, (rax, ray, raz), (rbx, rby, rbz), (rcx, rcy, rcz)


@njit(cache=True)
def shade_pixel(vertices, normals, faces, f, x, y, center, R, K):
    """The interpolated (not renormalised) normal that pixel (x, y) sees on face f."""
    dx, dy, dz = pixel_ray(x, y, R, K)
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    w0, w1, w2, _, _, _, _ = pixel_weights(vertices, i, j, k, center, dx, dy, dz)
    return (
        w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0],
        w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1],
        w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2],
    )


@njit(inline="always")
def scatter(gradient, normals, i, j, k, w0, w1, w2, s, ra, rb, rc, nx, ny, nz, gx, gy, gz):
    """Adds dL/d(pixel normal) = g to gradient [V, 6] = (d position, d normal) of the three corners.

    n is the pixel's normal. The positions matter through the weights: they decide which surface point the pixel sees.
    """
    gradient[i, 3] += w0 * gx
    gradient[i, 4] += w0 * gy
    gradient[i, 5] += w0 * gz
    gradient[j, 3] += w1 * gx
    gradient[j, 4] += w1 * gy
    gradient[j, 5] += w1 * gz
    gradient[k, 3] += w2 * gx
    gradient[k, 4] += w2 * gy
    gradient[k, 5] += w2 * gz
    ng = nx * gx + ny * gy + nz * gz
    h0 = (normals[i, 0] * gx + normals[i, 1] * gy + normals[i, 2] * gz - ng) * s
    h1 = (normals[j, 0] * gx + normals[j, 1] * gy + normals[j, 2] * gz - ng) * s
    h2 = (normals[k, 0] * gx + normals[k, 1] * gy + normals[k, 2] * gz - ng) * s
    # w0 = r.(BxC): d/dB = -(r x C), d/dC = r x B; and the same for w1 = r.(CxA), w2 = r.(AxB)
    gradient[i, 0] += h1 * rc[0] - h2 * rb[0]
    gradient[i, 1] += h1 * rc[1] - h2 * rb[1]
    gradient[i, 2] += h1 * rc[2] - h2 * rb[2]
    gradient[j, 0] += h2 * ra[0] - h0 * rc[0]
    gradient[j, 1] += h2 * ra[1] - h0 * rc[1]
    gradient[j, 2] += h2 * ra[2] - h0 * rc[2]
    gradient[k, 0] += h0 * rb[0] - h1 * ra[0]
    gradient[k, 1] += h0 * rb[1] - h1 * ra[1]
    gradient[k, 2] += h0 * rb[2] - h1 * ra[2]


@njit(cache=True)
def shade_backward_pixel(gradient, vertices, normals, faces, f, x, y, center, R, K, gx, gy, gz):
    """shade_pixel's way back for one pixel."""
    dx, dy, dz = pixel_ray(x, y, R, K)
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    w0, w1, w2, s, ra, rb, rc = pixel_weights(vertices, i, j, k, center, dx, dy, dz)
    nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
    ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
    nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
    scatter(gradient, normals, i, j, k, w0, w1, w2, s, ra, rb, rc, nx, ny, nz, gx, gy, gz)
