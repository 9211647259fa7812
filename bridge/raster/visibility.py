"""Which triangle each pixel centre sees: projection and a z-buffer over 1 / z (linear on the screen, larger nearer)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

f32 = np.float32
NEAR = 1e-6  # world units; a vertex nearer than this (or behind the camera) has no place in the image


@njit(cache=True, nogil=True)
def project(vertices, R, t, K, projected):
    """projected [V, 3] float32 = pixel x, pixel y, 1 / depth; 1 / depth = 0 marks a vertex that is not in front."""
    r00, r01, r02, t0 = f32(R[0, 0]), f32(R[0, 1]), f32(R[0, 2]), f32(t[0])
    r10, r11, r12, t1 = f32(R[1, 0]), f32(R[1, 1]), f32(R[1, 2]), f32(t[1])
    r20, r21, r22, t2 = f32(R[2, 0]), f32(R[2, 1]), f32(R[2, 2]), f32(t[2])
    fx, fy, cx, cy, skew = f32(K[0]), f32(K[1]), f32(K[2]), f32(K[3]), f32(K[4])
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        X = r00 * x + r01 * y + r02 * z + t0
        Y = r10 * x + r11 * y + r12 * z + t1
        Z = r20 * x + r21 * y + r22 * z + t2
        if f32(NEAR) < Z:
            inverse = f32(1.0) / Z
            projected[i, 0] = (fx * X + skew * Y) * inverse + cx
            projected[i, 1] = fy * Y * inverse + cy
            projected[i, 2] = inverse
        else:
            projected[i, 0] = f32(0)
            projected[i, 1] = f32(0)
            projected[i, 2] = f32(0)


@njit(cache=True, nogil=True)
def rasterise(P, faces, zbuffer, ids, facing):
    """Fills zbuffer [H, W] (1 / depth, 0 = background), ids [H, W] (-1 = background), facing [F] (1 = front).

    No culling: inverted faces must stay visible, or nothing repairs them. Watertight without fixed point: the edge
    functions are evaluated from vertices relative to the pixel centre, so the two sides of an edge get exactly opposite
    float32 values (this file must never be compiled with fastmath), and ties go by the top-left rule.
    """
    H, W = zbuffer.shape
    half = f32(0.5)
    zero = f32(0.0)
    zbuffer[:] = zero
    ids[:] = -1
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = P[a, 0], P[a, 1], P[b, 0], P[b, 1], P[c, 0], P[c, 1]
        # y points down in the image: a face that winds counter-clockwise from outside has a positive area here
        area = (cx - ax) * (by - ay) - (cy - ay) * (bx - ax)
        front = area > zero
        facing[f] = 1 if front else 0
        x0 = max(0, math.ceil(min(ax, min(bx, cx)) - half))
        x1 = min(W - 1, math.floor(max(ax, max(bx, cx)) - half))
        if x0 > x1:
            continue
        y0 = max(0, math.ceil(min(ay, min(by, cy)) - half))
        y1 = min(H - 1, math.floor(max(ay, max(by, cy)) - half))
        if y0 > y1 or area == zero:
            continue
        za, zb, zc = P[a, 2], P[b, 2], P[c, 2]
        if za == zero or zb == zero or zc == zero:
            continue
        if not front:
            bx, cx = cx, bx
            by, cy = cy, by
            zb, zc = zc, zb
        nearest = max(za, max(zb, zc))
        # a, c, b is positively oriented: edges a->c (weight of b), c->b (weight of a), b->a (weight of c)
        top_b = (cy < ay) or (cy == ay and cx > ax)
        top_a = (by < cy) or (by == cy and bx > cx)
        top_c = (ay < by) or (ay == by and ax > bx)
        for y in range(y0, y1 + 1):
            py = f32(y) + half
            day, dby, dcy = ay - py, by - py, cy - py
            entered = False
            for x in range(x0, x1 + 1):
                if nearest <= zbuffer[y, x]:
                    continue
                px = f32(x) + half
                dax, dbx, dcx = ax - px, bx - px, cx - px
                wb = dax * dcy - day * dcx
                wa = dcx * dby - dcy * dbx
                wc = dbx * day - dby * dax
                if wb < zero or wa < zero or wc < zero:
                    if entered:
                        break  # a triangle's row is one interval
                    continue
                entered = True
                if (wb == zero and not top_b) or (wa == zero and not top_a) or (wc == zero and not top_c):
                    continue
                total = wa + wb + wc
                if total <= zero:
                    continue
                z = (wa * za + wb * zb + wc * zc) / total
                if z > zbuffer[y, x]:
                    zbuffer[y, x] = z
                    ids[y, x] = f
