"""The generator's own rasteriser: z-buffer, then one shading pass per pixel. Numba kernels, one thread.

The bridge's solver has its own rasterisers; this one exists because training wants shading, relief and textures at a
few milliseconds a view on one core.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .noise import noise3

STRANDS, FOLDS, LUMPS = 1, 2, 3  # relief kinds beside plain skin (0)


@njit(cache=True, fastmath=True)
def rasterise(projected, faces, height, width, depth, triangle):
    """projected [V, 3] = pixel x, pixel y, 1/z (z <= 0: 1/z <= 0, dropped); fills depth with 1/z and triangle ids."""
    for f in range(faces.shape[0]):
        a = faces[f, 0]
        b = faces[f, 1]
        c = faces[f, 2]
        za = projected[a, 2]
        zb = projected[b, 2]
        zc = projected[c, 2]
        if za <= 0 or zb <= 0 or zc <= 0:
            continue
        x0 = projected[a, 0]
        y0 = projected[a, 1]
        x1 = projected[b, 0]
        y1 = projected[b, 1]
        x2 = projected[c, 0]
        y2 = projected[c, 1]
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        if left > right:
            continue
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if top > bottom:
            continue
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                w0 = 1.0 - w1 - w2
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    iz = w0 * za + w1 * zb + w2 * zc
                    if iz > depth[y, x]:
                        depth[y, x] = iz
                        triangle[y, x] = f


@njit(cache=True, fastmath=True)
def visibility(projected, depth, bias, out):
    """Share of a 3x3 neighbourhood of an orthographic depth map that does not hide each point; added to out [V].

    projected [V, 3]: map x, map y, nearness (larger is nearer to the light).
    """
    size = depth.shape[0]
    for i in range(projected.shape[0]):
        x = int(projected[i, 0])
        y = int(projected[i, 1])
        total = 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                u = min(max(x + dx, 0), size - 1)
                v = min(max(y + dy, 0), size - 1)
                if depth[v, u] <= projected[i, 2] + bias:
                    total += 1.0
        out[i] += total / 9.0


@njit(cache=True, fastmath=True)
def relief_gradient(x, y, z, kind, seed, frequency):
    """Gradient of the relief's height field at a template point, for one kind of surface."""
    gx = 0.0
    gy = 0.0
    gz = 0.0
    if kind == 1:  # strands: fine around the head's vertical axis, long along the meridian
        r2 = x * x + z * z + 1e-3
        r = np.sqrt(r2)
        azimuth = np.arctan2(x, z)
        wave, wx, wy, wz = noise3(x * 3.1, y * 3.1, z * 3.1, seed + 7)
        amplitude = 1.0
        f = frequency
        for k in range(3):
            _, ga, gb, gc = noise3(azimuth * f + wave * 2.0, y * f * 0.12, r * f * 0.35, seed + k)
            ga *= amplitude
            gb *= amplitude
            gc *= amplitude
            gx += ga * (f * z / r2 + 6.2 * wx) + gc * f * 0.35 * x / r
            gy += ga * 6.2 * wy + gb * f * 0.12
            gz += ga * (-f * x / r2 + 6.2 * wz) + gc * f * 0.35 * z / r
            f *= 2.1
            amplitude *= 0.45
    else:
        f = frequency
        amplitude = 1.0
        sy = 0.35 if kind == 2 else 1.0  # cloth folds hang: long in y
        for k in range(3):
            _, ga, gb, gc = noise3(x * f, y * f * sy, z * f, seed + k)
            gx += amplitude * ga * f
            gy += amplitude * gb * f * sy
            gz += amplitude * gc * f
            f *= 2.3
            amplitude *= 0.42
    return gx, gy, gz


@njit(cache=True, fastmath=True)
def shade(
    triangle,
    depth,
    projected,
    faces,
    vertices,
    normals,
    template,
    albedo,
    light_on,
    ambient_on,
    gloss,
    bump,
    kind,
    uv,
    texture_id,
    textures,
    R,
    centre,
    light_dirs,
    light_rgb,
    sky,
    ground,
    up_fill,
    lit,
    spec_power,
    grain,
    seed,
    frequency,
    rgb,
    normal_out,
    canonical_out,
    matte,
):
    """Colour (linear), camera-space normal (OpenGL axes), canonical point and matte of every covered pixel."""
    H, W = triangle.shape
    nl = light_dirs.shape[0]
    for y in range(H):
        for x in range(W):
            f = triangle[y, x]
            if f < 0:
                continue
            a = faces[f, 0]
            b = faces[f, 1]
            c = faces[f, 2]
            x0 = projected[a, 0]
            y0 = projected[a, 1]
            x1 = projected[b, 0]
            y1 = projected[b, 1]
            x2 = projected[c, 0]
            y2 = projected[c, 1]
            inverse = 1.0 / ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))
            px = x + 0.5
            py = y + 0.5
            w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
            w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
            w0 = 1.0 - w1 - w2
            iz = depth[y, x]
            w0 *= projected[a, 2] / iz
            w1 *= projected[b, 2] / iz
            w2 *= projected[c, 2] / iz
            p0 = w0 * vertices[a, 0] + w1 * vertices[b, 0] + w2 * vertices[c, 0]
            p1 = w0 * vertices[a, 1] + w1 * vertices[b, 1] + w2 * vertices[c, 1]
            p2 = w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]
            t0 = w0 * template[a, 0] + w1 * template[b, 0] + w2 * template[c, 0]
            t1 = w0 * template[a, 1] + w1 * template[b, 1] + w2 * template[c, 1]
            t2 = w0 * template[a, 2] + w1 * template[b, 2] + w2 * template[c, 2]
            n0 = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            n1 = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            n2 = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            # unit direction to the camera
            v0 = centre[0] - p0
            v1 = centre[1] - p1
            v2 = centre[2] - p2
            s = 1.0 / np.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
            v0 *= s
            v1 *= s
            v2 *= s
            # a surface seen from behind shows its other side
            e10 = vertices[b, 0] - vertices[a, 0]
            e11 = vertices[b, 1] - vertices[a, 1]
            e12 = vertices[b, 2] - vertices[a, 2]
            e20 = vertices[c, 0] - vertices[a, 0]
            e21 = vertices[c, 1] - vertices[a, 1]
            e22 = vertices[c, 2] - vertices[a, 2]
            g = (e11 * e22 - e12 * e21) * v0 + (e12 * e20 - e10 * e22) * v1 + (e10 * e21 - e11 * e20) * v2
            if g < 0:
                n0 = -n0
                n1 = -n1
                n2 = -n2
            s = 1.0 / np.sqrt(n0 * n0 + n1 * n1 + n2 * n2 + 1e-12)
            n0 *= s
            n1 *= s
            n2 *= s
            amount = w0 * bump[a] + w1 * bump[b] + w2 * bump[c]
            if amount > 1e-3:
                k = kind[a]
                g0, g1, g2 = relief_gradient(t0, t1, t2, k, seed, frequency[k])
                along = g0 * n0 + g1 * n1 + g2 * n2
                g0 -= along * n0
                g1 -= along * n1
                g2 -= along * n2
                slope = np.sqrt(g0 * g0 + g1 * g1 + g2 * g2) * amount
                damp = amount / (1.0 + 0.5 * slope)  # no relief steeper than about 60 degrees
                n0 -= damp * g0
                n1 -= damp * g1
                n2 -= damp * g2
                s = 1.0 / np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
                n0 *= s
                n1 *= s
                n2 *= s
            facing = n0 * v0 + n1 * v1 + n2 * v2
            if facing < 0.01:  # a visible point faces the camera, whatever interpolation says
                n0 += (0.01 - facing) * v0
                n1 += (0.01 - facing) * v1
                n2 += (0.01 - facing) * v2
                s = 1.0 / np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
                n0 *= s
                n1 *= s
                n2 *= s
                facing = 0.01
            r = w0 * albedo[a, 0] + w1 * albedo[b, 0] + w2 * albedo[c, 0]
            gg = w0 * albedo[a, 1] + w1 * albedo[b, 1] + w2 * albedo[c, 1]
            bb = w0 * albedo[a, 2] + w1 * albedo[b, 2] + w2 * albedo[c, 2]
            tid = texture_id[f]
            if tid >= 0:
                size = textures.shape[1]
                tu = (w0 * uv[f, 0, 0] + w1 * uv[f, 1, 0] + w2 * uv[f, 2, 0]) * size - 0.5
                tv = (1.0 - (w0 * uv[f, 0, 1] + w1 * uv[f, 1, 1] + w2 * uv[f, 2, 1])) * size - 0.5
                iu = int(np.floor(tu))
                iv = int(np.floor(tv))
                fu = tu - iu
                fv = tv - iv
                u0 = iu % size
                u1 = (iu + 1) % size
                q0 = iv % size
                q1 = (iv + 1) % size
                m00 = (1 - fu) * (1 - fv)
                m01 = fu * (1 - fv)
                m10 = (1 - fu) * fv
                m11 = fu * fv
                t00 = textures[tid, q0, u0]
                t01 = textures[tid, q0, u1]
                t10 = textures[tid, q1, u0]
                t11 = textures[tid, q1, u1]
                r *= m00 * t00[0] + m01 * t01[0] + m10 * t10[0] + m11 * t11[0]
                gg *= m00 * t00[1] + m01 * t01[1] + m10 * t10[1] + m11 * t11[1]
                bb *= m00 * t00[2] + m01 * t01[2] + m10 * t10[2] + m11 * t11[2]
            if grain > 0:
                h1 = noise3(t0 * 14, t1 * 14, t2 * 14, seed + 31)[0]
                h2 = noise3(t0 * 47, t1 * 47, t2 * 47, seed + 32)[0]
                gain = 1.0 + grain * (0.8 * h1 + 0.6 * h2)
                r *= gain
                gg *= gain
                bb *= gain
            if lit:
                open_sky = w0 * ambient_on[a] + w1 * ambient_on[b] + w2 * ambient_on[c]
                h = 0.5 + 0.5 * n1
                er = open_sky * (sky[0] * h + ground[0] * (1 - h)) + up_fill * facing
                eg = open_sky * (sky[1] * h + ground[1] * (1 - h)) + up_fill * facing
                eb = open_sky * (sky[2] * h + ground[2] * (1 - h)) + up_fill * facing
                shine = w0 * gloss[a] + w1 * gloss[b] + w2 * gloss[c]
                sr = 0.0
                sg = 0.0
                sb = 0.0
                for i in range(nl):
                    d = n0 * light_dirs[i, 0] + n1 * light_dirs[i, 1] + n2 * light_dirs[i, 2]
                    if d <= 0:
                        continue
                    on = w0 * light_on[i, a] + w1 * light_on[i, b] + w2 * light_on[i, c]
                    er += d * on * light_rgb[i, 0]
                    eg += d * on * light_rgb[i, 1]
                    eb += d * on * light_rgb[i, 2]
                    h0 = light_dirs[i, 0] + v0
                    h1 = light_dirs[i, 1] + v1
                    h2 = light_dirs[i, 2] + v2
                    cosine = (n0 * h0 + n1 * h1 + n2 * h2) / np.sqrt(h0 * h0 + h1 * h1 + h2 * h2)
                    s = shine * on * max(cosine, 0.0) ** spec_power * d
                    sr += s * light_rgb[i, 0]
                    sg += s * light_rgb[i, 1]
                    sb += s * light_rgb[i, 2]
                r = r * er + sr
                gg = gg * eg + sg
                bb = bb * eb + sb
            rgb[y, x, 0] = r
            rgb[y, x, 1] = gg
            rgb[y, x, 2] = bb
            normal_out[y, x, 0] = R[0, 0] * n0 + R[0, 1] * n1 + R[0, 2] * n2
            normal_out[y, x, 1] = -(R[1, 0] * n0 + R[1, 1] * n1 + R[1, 2] * n2)
            normal_out[y, x, 2] = -(R[2, 0] * n0 + R[2, 1] * n1 + R[2, 2] * n2)
            canonical_out[y, x, 0] = t0
            canonical_out[y, x, 1] = t1
            canonical_out[y, x, 2] = t2
            matte[y, x] = 1.0
