"""Silhouettes: where they cross between two pixels, the blend there, and its way back to the edge.

Searching only the three edges of the visible triangle finds almost nothing once triangles are smaller than pixels
(nvdiffrast's documented limit). Here the search walks from the nearer pixel's triangle through the face adjacency
towards the neighbouring pixel, for the farthest edge there whose other face turns away (or is missing).
"""

from __future__ import annotations

import numpy as np
from numba import njit

f32 = np.float32
STEEP = f32(6)  # depth steps of more pixel footprints than this are always searched
BEND = f32(0.5)  # share of a step that the slope before it must explain, or the step is searched
MAX_WALK = 64  # triangles: there and back again behind the surface; a pixel has fewer unless they are below 1/20 px
ITEM_FIELDS = 5  # pixel p (nearer side), pixel q, face, edge, direction (0 right, 1 down)


@njit(cache=True)
def walk(P, faces, twin, facing, f, x, y, horizontal, sign):
    """From the centre of pixel (x, y), inside face f, along sign * axis: the farthest silhouette edge within one pixel.

    Returns (t, face, edge), t = distance in pixels 0..1, or t < 0 if there is none. The walk goes on behind the surface
    where it turns away, for it may come out again: a ripple smaller than a pixel is not the outline. Stopping at the
    first turn loses area, and a solve makes up for that with a surface 0.1 pixels outside the true one.
    """
    px = x + 0.5
    py = y + 0.5
    along = px if horizontal else py
    across = py if horizontal else px
    ia = 0 if horizontal else 1
    ip = 1 - ia
    entered = -1
    side = facing[f]
    farthest, at_face, at_edge = -1.0, -1, -1
    for _ in range(MAX_WALK):
        best = -1
        best_t = -1e30
        for e in range(3):
            if e == entered:
                continue
            a = faces[f, e]
            b = faces[f, e + 1 if e < 2 else 0]
            pa = float(P[a, ip]) - across
            pb = float(P[b, ip]) - across
            if (pa < 0) == (pb < 0):
                continue
            xa = float(P[a, ia])
            xb = float(P[b, ia])
            t = (xa - pa * (xb - xa) / (pb - pa) - along) * sign
            if t > best_t:
                best_t = t
                best = e
        if best < 0 or best_t > 1.0 or best_t < farthest - 1.0:
            break
        g = twin[3 * f + best]
        if facing[f] == side and (g < 0 or facing[g // 3] != side) and best_t > farthest:
            farthest, at_face, at_edge = max(best_t, 0.0), f, best
        if g < 0:
            break
        f = g // 3
        entered = g - 3 * f
    return farthest, at_face, at_edge


@njit(cache=True)
def find_silhouettes(P, faces, twin, facing, zbuffer, ids, fx, fy, items, crossing):
    """Lists the pixel pairs a silhouette runs between: items [n, 5] int32, crossing [n] = t from p. Returns n.

    A pair whose depths differ by less than one pixel's footprint, or as the slope there explains, is the same surface
    and not searched. Each edge acts
    along one axis only, the one it is steeper against, or silhouettes would count double.
    """
    H, W = ids.shape
    count = 0
    for d in range(2):
        right, down = 1 - d, d
        focal = fx if d == 0 else fy
        for y in range(H - down):
            for x in range(W - right):
                x1, y1 = x + right, y + down
                z0 = zbuffer[y, x]
                z1 = zbuffer[y1, x1]
                # |1/z0 - 1/z1| * focal * max(z0, z1) < 1, without the divisions; a background z of 0 never passes
                step = z1 - z0
                gap = abs(step) * focal
                if (gap < z0 and gap < z1) or z0 == z1:
                    continue
                f0 = ids[y, x]
                f1 = ids[y1, x1]
                if f0 == f1:
                    continue
                if gap < STEEP * z0 and gap < STEEP * z1:
                    # steep, or a small step? On a slope the nearer side goes on as it came (1 / z is linear on a plane)
                    if step < 0 and x >= right and y >= down:
                        before = z0 - zbuffer[y - down, x - right]
                    elif step > 0 and x1 < W - right and y1 < H - down:
                        before = zbuffer[y1 + down, x1 + right] - z1
                    else:
                        before = f32(0)
                    if abs(step - before) < BEND * abs(step):
                        continue
                if z0 > z1:
                    f, px, py, sign = f0, x, y, 1.0
                    p, q = y * W + x, y1 * W + x1
                else:
                    f, px, py, sign = f1, x1, y1, -1.0
                    p, q = y1 * W + x1, y * W + x
                t, face, edge = walk(P, faces, twin, facing, f, px, py, d == 0, sign)
                if t < 0.0:
                    continue
                a = faces[face, edge]
                b = faces[face, edge + 1 if edge < 2 else 0]
                ex = abs(P[b, 0] - P[a, 0])
                ey = abs(P[b, 1] - P[a, 1])
                if (d == 0 and ex > ey) or (d == 1 and ey > ex):
                    continue
                if count < items.shape[0]:
                    items[count, 0] = p
                    items[count, 1] = q
                    items[count, 2] = face
                    items[count, 3] = edge
                    items[count, 4] = d
                    crossing[count] = t
                    count += 1
    return count


@njit(cache=True)
def blend(items, crossing, count, color, out):
    """The pixel on whose side the silhouette lies takes |0.5 - t| of the other. color, out [pixels, 4]."""
    for m in range(count):
        p, q = items[m, 0], items[m, 1]
        w = 0.5 - crossing[m]
        target = p if w > 0 else q
        for k in range(4):
            out[target, k] += w * (color[q, k] - color[p, k])


@njit(cache=True)
def blend_backward(items, crossing, count, P, faces, R, K, width, color, g_out, g_color, gradient):
    """dL/d(out) -> adds to dL/d(color) [pixels, 4] and, through t, to the edge's ends (gradient [V, 6])."""
    for m in range(count):
        p, q, f, e, d = items[m, 0], items[m, 1], items[m, 2], items[m, 3], items[m, 4]
        w = 0.5 - crossing[m]
        target = p if w > 0 else q
        g_t = 0.0
        for k in range(4):
            g = float(g_out[target, k])
            g_t += g * (color[p, k] - color[q, k])
            g_color[q, k] += w * g
            g_color[p, k] -= w * g
        if g_t == 0.0:
            continue
        a = faces[f, e]
        b = faces[f, e + 1 if e < 2 else 0]
        ia = 0 if d == 0 else 1
        ip = 1 - ia
        py = p // width
        px = p - py * width
        sign = 1.0 if q > p else -1.0
        across = py + 0.5 if d == 0 else px + 0.5
        span = float(P[b, ip]) - float(P[a, ip])
        if abs(span) < 1e-3:
            span = 1e-3 if span >= 0 else -1e-3
        u = min(max((across - P[a, ip]) / span, 0.0), 1.0)  # where the scan line crosses the edge
        slope = (float(P[b, ia]) - float(P[a, ia])) / span
        g_t *= sign
        for s in range(2):
            i = a if s == 0 else b
            share = (1.0 - u) if s == 0 else u
            g_along = g_t * share
            g_across = -g_t * share * slope
            g_x = g_along if d == 0 else g_across
            g_y = g_across if d == 0 else g_along
            inverse = float(P[i, 2])
            g_X = g_x * K[0] * inverse
            g_Y = (g_y * K[1] + g_x * K[4]) * inverse
            g_Z = -(g_x * (P[i, 0] - K[2]) + g_y * (P[i, 1] - K[3])) * inverse
            for k in range(3):
                gradient[i, k] += R[0, k] * g_X + R[1, k] * g_Y + R[2, k] * g_Z


def item_capacity(width: int, height: int) -> int:
    """Room for a silhouette through half of all pixels; more is not listed."""
    return int(np.ceil(width * height / 2)) + 64
