"""What all photographs together say about the motion of every vertex along its normal."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from ..errors import Check, unchecked
from .correlation import gather
from .pictures import Pictures
from .sight import WORKERS, Sight, Sights
from .warp import warp

HALF = 2  # windows of 5 x 5 pixels
PARTNERS = 6  # views that a view is compared with: in a ring of ten all that are not too far
NEAR_DEG, FAR_DEG = 3.0, 80.0  # angle between two views at the head: closer tells no depth, farther looks too different
LEAST_COSINE = 0.2  # between normal and line of sight
BEHIND = 3.0  # pixels that a point may lie behind the surface that a partner sees


@dataclass(frozen=True, eq=False)
class Evidence:
    """Sums over all pixels of all pairs of views, in 1 / length^2 and 1 / length of the head's frame."""

    information: np.ndarray  # [V] float64: Gauss-Newton curvature
    apart: np.ndarray  # [V] float64: what the windows' normalisation took away of it; holds neighbours together
    force: np.ndarray  # [V] float64: minus the gradient; force / information is where a vertex alone would go
    mean_ncc: np.ndarray  # [views] mean correlation of each view with its partners, NaN where it was not compared


def partners_of(pictures: Pictures, trust: Sequence[float] | np.ndarray | None = None) -> list[list[int]]:
    """For each view the others that it is compared with: near in angle, but not too near.

    trust [views]: views of 0 are nobody's partners and have none.
    """
    asked = np.ones(len(pictures.cameras), bool) if trust is None else np.asarray(trust) > 0
    towards = np.stack([camera.center / np.linalg.norm(camera.center) for camera in pictures.cameras])
    angles = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)))
    found = []
    for row, asks in zip(angles, asked, strict=True):
        near = [int(j) for j in np.argsort(row, kind="stable") if NEAR_DEG < row[j] < FAR_DEG]
        found.append([j for j in near[:PARTNERS] if asks and asked[j]])
    return found


def collect(
    vertices: np.ndarray,
    faces: np.ndarray,
    pictures: Pictures,
    trust: Sequence[float] | np.ndarray | None = None,
    check: Check = unchecked,
    *,
    turn: int | None = None,
) -> Evidence:
    """Compare every view with its partners through the mesh: vertices [V, 3] in the head's frame, faces [F, 3].

    trust [views]: factors, 0 where a view is not asked. turn: two views that are partners of each other are compared
    one way, which counts twice, and the other way at the next turn: half the work for nearly the same evidence.
    """
    sights = Sights.of(vertices, faces, pictures)
    factors = np.ones(len(pictures.cameras)) if trust is None else np.asarray(trust)
    partners = partners_of(pictures, trust)
    pairs: list[list[tuple[int, float]]] = [[] for _ in partners]
    for i, near in enumerate(partners):
        for j in near:
            counts = min(factors[i], factors[j])
            if turn is not None and i in partners[j]:
                counts *= 2.0 if (i < j) == ((i + j + turn) % 2 == 1) else 0.0
            if counts > 0:
                pairs[i].append((j, counts))
    information, apart, force = np.zeros((3, len(vertices)))
    likeness, pixels = np.zeros(len(pairs)), np.zeros(len(pairs))

    def one(i: int) -> tuple[np.ndarray, list[tuple[float, int]]]:
        check()
        return _view(i, vertices, sights, pairs[i])

    with ThreadPoolExecutor(WORKERS) as pool:
        for i, part in enumerate(pool.map(one, range(len(pairs)))):  # in the views' order: the same digits every time
            information += part[0][0]
            apart += part[0][1]
            force += part[0][2]
            for (j, _), (ncc, count) in zip(pairs[i], part[1], strict=True):
                for view in (i, j) if turn is not None and i in partners[j] else (i,):  # one way stands for both
                    likeness[view] += ncc
                    pixels[view] += count
    mean_ncc = np.where(pixels > 0, likeness / np.maximum(pixels, 1), np.nan)
    return Evidence(information, apart, force, mean_ncc)


def lay_over(mine: Sight, sights: Sights, j: int, into: Sequence[np.ndarray]) -> int:
    """The picture of view j through the mesh in the pixels [h, w] of a view's part; how many pixels both views see.

    into: values, change and cosine [h, w] float32, which warp() fills.
    """
    other, pictures = sights.views[j], sights.pictures
    return warp(
        mine.first, mine.depth, mine.normals, mine.use, mine.back, mine.camera.center, pictures.grey[j],
        other.first, other.depth, other.use, other.P, other.camera.center, BEHIND * pictures.pixel, LEAST_COSINE, *into,
    )  # fmt: skip


def _view(
    i: int, vertices: np.ndarray, sights: Sights, partners: Sequence[tuple[int, float]]
) -> tuple[np.ndarray, list[tuple[float, int]]]:
    """The sums [3, V] of one view with its partners (their numbers and trust), and with each the sum of its pixels'
    correlations and their number."""
    total = np.zeros((3, len(vertices)))
    alike = [(0.0, 0)] * len(partners)
    if not partners or not sights.views[i].use.any():
        return total, alike
    mine, pictures = sights.whole(i), sights.pictures
    reference = mine.cut(pictures.grey[i])
    shape = reference.shape
    values, change, cosine = (np.empty(shape, np.float32) for _ in range(3))
    information, apart, force = np.zeros((3, *shape), np.float32)
    terms = np.empty((3, *shape), np.float32)
    for number, (j, trust) in enumerate(partners):
        seen = lay_over(mine, sights, j, (values, change, cosine))
        if not seen:
            continue
        noise = pictures.noise[i], pictures.noise[j]
        alike[number] = gather(reference, values, change, cosine, HALF, *noise, trust, terms, information, apart, force)
    scatter(mine.triangle, mine.depth, mine.first, mine.back, mine.camera.center, vertices, sights.faces, information,
            apart, force, *total)  # fmt: skip
    return total, alike


@njit(cache=True, nogil=True)
def scatter(triangle, depth, first, back, center, vertices, faces, information, apart, force, total_information,
            total_apart, total_force):  # fmt: skip
    """Adds the pixels' sums [h, w] to those of the vertices [V], by the barycentric weights of the surface point."""
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            if information[y, x] <= 0 and force[y, x] == 0:
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
            for vertex, share in ((a, wa), (b, wb), (c, wc)):
                total_information[vertex] += share * information[y, x]
                total_apart[vertex] += share * apart[y, x]
                total_force[vertex] += share * force[y, x]
