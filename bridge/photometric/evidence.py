"""What all photographs together say about the motion of every vertex along its normal."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from ..errors import Check, unchecked
from ..raster import Render, make_rasteriser
from .correlation import gather
from .pictures import Pictures
from .warp import warp

PARTNERS = 4  # views that a view is compared with
NEAR_DEG, FAR_DEG = 3.0, 65.0  # angle between two views at the head: closer tells no depth, farther looks too different
LEAST_COSINE = 0.2  # between normal and line of sight
BEHIND = 3.0  # pixels that a point may lie behind the surface that a partner sees
EDGE = 3.0  # pixels of depth between neighbouring pixels that make an edge where one part hides another
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Evidence:
    """Sums over all pixels of all pairs of views, in 1 / length^2 and 1 / length of the head's frame."""

    information: np.ndarray  # [V] float64: Gauss-Newton curvature
    force: np.ndarray  # [V] float64: minus the gradient; force / information is where a vertex alone would go
    mean_ncc: np.ndarray  # [views] mean correlation of each view with its partners, NaN where it was not compared


def partners_of(pictures: Pictures) -> list[list[int]]:
    """For each view the others that it is compared with: near in angle, but not too near."""
    towards = np.stack([camera.center / np.linalg.norm(camera.center) for camera in pictures.cameras])
    angles = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)))
    found = []
    for row in angles:
        near = [int(j) for j in np.argsort(row, kind="stable") if NEAR_DEG < row[j] < FAR_DEG]
        found.append(near[:PARTNERS])
    return found


def collect(
    vertices: np.ndarray,
    faces: np.ndarray,
    pictures: Pictures,
    partners: Sequence[Sequence[int]],
    half: int,
    trust: Sequence[float] | np.ndarray | None = None,
    check: Check = unchecked,
) -> Evidence:
    """Compare every view with its partners through the mesh.

    vertices [V, 3] in the head's frame, faces [F, 3]; half: windows are (2 half + 1)^2 pixels; trust: of each view.
    """
    render = make_rasteriser("cpu", pictures.cameras).render(vertices.astype(np.float32), faces)
    use = [_usable(render, pictures, i) for i in range(len(pictures.cameras))]
    factors = [1.0] * len(pictures.cameras) if trust is None else list(trust)

    def one(i: int) -> tuple[np.ndarray, np.ndarray, float]:
        check()
        return _view(i, vertices, faces, pictures, partners[i], half, factors, render, use)

    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(one, range(len(pictures.cameras))))
    # in the order of the views: the same digits every time
    information = np.sum([part[0] for part in parts], axis=0)
    force = np.sum([part[1] for part in parts], axis=0)
    return Evidence(information, force, np.array([part[2] for part in parts]))


def _usable(render: Render, pictures: Pictures, i: int) -> np.ndarray:  # [H, W] uint8
    """Pixels well inside the head, and not at edges where one part of it hides another."""
    depth = render.depth[i]
    hit = (render.triangle[i] >= 0).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
    # a surface seen at a grazing angle has steep depth without an edge
    cosine = _cosine(render, pictures, i)
    steep = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 0.1)
    edge = jump > (EDGE + 3 * steep) * pictures.pixel
    inside = cv2.erode(hit, kernel) & ~cv2.dilate(edge.astype(np.uint8), kernel).astype(bool)
    mask = pictures.masks[i]
    if mask is not None:
        inside &= mask > 0.5
    return inside.astype(np.uint8)


def _cosine(render: Render, pictures: Pictures, i: int) -> np.ndarray:  # [H, W]
    """Between the surface's normal and the line of sight, roughly (the optical axis)."""
    return np.clip(-(render.normals[i] @ pictures.cameras[i].forward.astype(np.float32)), 0, 1)


def _view(i, vertices, faces, pictures, partners, half, factors, render, use) -> tuple[np.ndarray, np.ndarray, float]:
    total = np.zeros(len(vertices)), np.zeros(len(vertices))
    rows, columns = np.flatnonzero(use[i].any(1)), np.flatnonzero(use[i].any(0))
    if not len(rows) or not len(partners):
        return total[0], total[1], float("nan")
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    first = np.array([rows[0], columns[0]])
    camera = pictures.cameras[i]
    back = camera.R.T @ np.linalg.inv(camera.K)
    depth, normals, mine = (np.ascontiguousarray(a[part]) for a in (render.depth[i], render.normals[i], use[i]))
    reference = np.ascontiguousarray(pictures.grey[i][part])
    shape = reference.shape
    values, change, cosine = (np.empty(shape, np.float32) for _ in range(3))
    information, force = np.zeros(shape), np.zeros(shape)
    terms = np.empty((4, *shape))
    mean_ncc, count = 0.0, 0
    for j in partners:
        other = pictures.cameras[j]
        P = other.K @ np.concatenate([other.R, other.t[:, None]], 1)
        theirs = pictures.grey[j], render.depth[j], use[j], P, other.center
        seen = warp(
            first, depth, normals, mine, back, camera.center, *theirs, BEHIND * pictures.pixel, LEAST_COSINE,
            values, change, cosine,
        )  # fmt: skip
        if not seen:
            continue
        trust = min(factors[i], factors[j])
        total_ncc, pixels = gather(
            reference,
            values,
            change,
            cosine,
            half,
            pictures.noise[i],
            pictures.noise[j],
            trust,
            terms,
            information,
            force,
        )
        mean_ncc += total_ncc
        count += pixels
    scatter(
        np.ascontiguousarray(render.triangle[i][part]), depth, first, back, camera.center, vertices, faces, information,
        force, *total,
    )  # fmt: skip
    return total[0], total[1], mean_ncc / count if count else float("nan")


@njit(cache=True, nogil=True)
def scatter(triangle, depth, first, back, center, vertices, faces, information, force, total_information, total_force):
    """Adds the pixels' sums [h, w] to those of the vertices [V], by the barycentric weights of the surface point."""
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            if information[y, x] <= 0:
                continue
            px, py, z = first[1] + x + 0.5, first[0] + y + 0.5, np.float64(depth[y, x])
            f = triangle[y, x]
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            d00 = d01 = d11 = d20 = d21 = 0.0
            for k in range(3):
                X = center[k] + z * (back[k, 0] * px + back[k, 1] * py + back[k, 2])
                e0 = vertices[b, k] - vertices[a, k]
                e1 = vertices[c, k] - vertices[a, k]
                e2 = X - vertices[a, k]
                d00 += e0 * e0
                d01 += e0 * e1
                d11 += e1 * e1
                d20 += e2 * e0
                d21 += e2 * e1
            den = d00 * d11 - d01 * d01
            if den < 1e-30:
                continue
            wb = min(max((d11 * d20 - d01 * d21) / den, 0.0), 1.0)
            wc = min(max((d00 * d21 - d01 * d20) / den, 0.0), 1.0 - wb)
            wa = 1.0 - wb - wc
            total_information[a] += wa * information[y, x]
            total_information[b] += wb * information[y, x]
            total_information[c] += wc * information[y, x]
            total_force[a] += wa * force[y, x]
            total_force[b] += wb * force[y, x]
            total_force[c] += wc * force[y, x]
