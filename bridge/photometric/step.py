"""One step of all vertices along their normals: the photographs' evidence against the bending of the surface.

    sum_v (information d^2 / 2 - force d) + BENDING / 2 * integral (mean curvature after the step - its local mean)^2 dA

The second term is what is known of a surface without photographs: it does not change its curvature from place to place
without a reason. Both terms are per area and in lengths, so where the information of the pixels is the stronger the
surface follows them down to few pixels, and where they are silent down to REACH only; the number of vertices does not
matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from ..mesh import Surface
from ..mesh.normals import vertex_normals

SPREAD = 8  # rounds of averaging of what is sharp: a lip goes on for some vertices, a spike does not
ROUNDS = 2  # of averaging of the normals along which vertices move
HEXAGON = 3**0.5 / 2  # area of a vertex of a regular triangle mesh with edges of 1
MOST_ROUNDS = 400
ACCURATE, MOST_TURNS = 1e-2, 400  # of conjugate gradients: 1e-3 takes twice the turns to the same errors
BLOCK = 2048  # vertices whose products are added up together


@dataclass(frozen=True, eq=False)
class Bending:
    """The bending energy of one connectivity, and where its vertices move."""

    surface: Surface
    normals: np.ndarray  # [V, 3] unit
    to_curvature: np.ndarray  # [V]: times the way of a vertex beside its neighbours' mean
    weight: np.ndarray  # [V] of the square of each vertex's curvature
    pull: np.ndarray  # [V]: minus the gradient at rest
    areas: np.ndarray  # [V] of each vertex's share of the surface

    @classmethod
    def of(cls, surface: Surface, strength: float, reach: float, sharp: float) -> Bending:
        """The energy about the surface as it is, its vertices [V, 3] in float64.

        strength: dimensionless; reach: length over which the local mean of the curvature is taken; sharp: curvature
        beside its local mean from which the energy gives way (Geman and McClure): a lip is no noise.
        """
        vertices, rings, count = surface.vertices, surface.rings, len(surface.vertices)
        normals = vertex_normals(vertices, surface.faces).astype(np.float64)
        for _ in range(ROUNDS):
            normals = np.stack([half_way(np.ascontiguousarray(normals[:, d]), *rings) for d in range(3)], 1)
        normals /= np.maximum(np.sqrt((normals**2).sum(1, keepdims=True)), 1e-12)
        edge, height = np.empty(count), np.empty(count)
        _measure(np.ascontiguousarray(vertices, np.float64), normals, *rings, edge, height)
        edge = neighbours_mean(edge, *rings)
        to_curvature = 4 / edge**2
        curvature = to_curvature * height
        local = curvature
        for _ in range(int(min(MOST_ROUNDS, np.ceil(2 * (reach / np.median(edge)) ** 2)))):
            local = half_way(local, *rings)
        off = (curvature - local) ** 2
        for _ in range(SPREAD):
            off = half_way(off, *rings)
        areas = HEXAGON * edge**2
        weight = strength * areas / (1 + off / sharp**2)
        pull = np.empty(count)
        _transposed(-to_curvature * weight * (curvature - local), *rings, pull)
        return cls(surface, normals, to_curvature, weight, pull, areas)


def solve(
    information: np.ndarray,
    force: np.ndarray,
    bending: Bending,
    farthest: float,
    anchor: float,
    *,
    apart: np.ndarray | None = None,
) -> np.ndarray:  # [V]
    """Motions along the normals, at most farthest.

    information, apart, force [V]: of the photographs (evidence.py); with apart neighbours that disagree go a part of
    their way only, so that noise, which is another at every step, averages out. anchor: information per area that every
    place has about staying, so that broad shapes hold where photographs are silent.
    """
    weight = bending.weight if apart is None else bending.weight + apart / bending.to_curvature**2
    found = conjugate_gradients(
        information + anchor * bending.areas, force + bending.pull, bending.to_curvature, weight,
        *bending.surface.rings, ACCURATE, MOST_TURNS,
    )  # fmt: skip
    return np.clip(found, -farthest, farthest)


@njit(cache=True, parallel=True)
def half_way(values, first, neighbours):
    """Values [V] half way to their neighbours' mean."""
    result = np.empty_like(values)
    for i in prange(len(values)):
        total = 0.0
        for q in range(first[i], first[i + 1]):
            total += values[neighbours[q]]
        result[i] = 0.5 * (values[i] + total / max(first[i + 1] - first[i], 1))
    return result


@njit(cache=True, parallel=True)
def neighbours_mean(values, first, neighbours):
    """The mean [V] of the values [V] around every vertex."""
    result = np.empty_like(values)
    for i in prange(len(values)):
        total = 0.0
        for q in range(first[i], first[i + 1]):
            total += values[neighbours[q]]
        result[i] = total / max(first[i + 1] - first[i], 1)
    return result


@njit(cache=True, parallel=True)
def _measure(vertices, normals, first, neighbours, edge, height):
    """edge [V] = mean edge length, height [V] = way of a vertex beside its neighbours' mean along its normal."""
    for i in prange(len(vertices)):
        count = max(first[i + 1] - first[i], 1)
        length = 0.0
        above = 0.0
        for q in range(first[i], first[i + 1]):
            square = 0.0
            for d in range(3):
                way = vertices[i, d] - vertices[neighbours[q], d]
                square += way * way
                above += way * normals[i, d]
            length += np.sqrt(square)
        edge[i] = length / count
        height[i] = above / count


@njit(cache=True, parallel=True)
def _transposed(values, first, neighbours, result):
    """result [V] = the transpose of "beside the neighbours' mean" on values [V]."""
    for i in prange(len(values)):
        total = values[i]
        for q in range(first[i], first[i + 1]):
            j = neighbours[q]
            total -= values[j] / max(first[j + 1] - first[j], 1)
        result[i] = total


@njit(cache=True, parallel=True)
def conjugate_gradients(diagonal, right, to_curvature, weight, first, neighbours, accurate, turns):
    """x [V] with (diag(diagonal) + C^T diag(weight) C) x = right, where C = to_curvature * (1 - neighbours' mean).

    Sums are added up block by block, so that they have the same digits whatever the number of threads.
    """
    count = len(right)
    blocks = (count + BLOCK - 1) // BLOCK
    sums = np.zeros((blocks, 2))
    inverse, x = np.empty_like(right), np.zeros_like(right)
    residual, z, direction = right.copy(), np.empty_like(right), np.empty_like(right)
    once, shared, product = np.empty_like(right), np.empty_like(right), np.empty_like(right)
    for block in prange(blocks):
        square, along = 0.0, 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            total = diagonal[i] + weight[i] * to_curvature[i] ** 2
            for q in range(first[i], first[i + 1]):
                j = neighbours[q]
                total += weight[j] * (to_curvature[j] / max(first[j + 1] - first[j], 1)) ** 2
            inverse[i] = 1 / max(total, 1e-30)
            z[i] = inverse[i] * right[i]
            direction[i] = z[i]
            square += right[i] * right[i]
            along += right[i] * z[i]
        sums[block, 0], sums[block, 1] = square, along
    left, energy = sums[:, 0].sum(), sums[:, 1].sum()
    goal = accurate**2 * left
    for _ in range(turns):
        if left <= goal:
            break
        for i in prange(count):  # what the direction adds to the curvature, weighed
            total = 0.0
            for q in range(first[i], first[i + 1]):
                total += direction[neighbours[q]]
            degree = max(first[i + 1] - first[i], 1)
            once[i] = to_curvature[i] ** 2 * weight[i] * (direction[i] - total / degree)
            shared[i] = once[i] / degree
        for block in prange(blocks):
            along = 0.0
            for i in range(block * BLOCK, min((block + 1) * BLOCK, count)):
                total = once[i]
                for q in range(first[i], first[i + 1]):
                    total -= shared[neighbours[q]]
                product[i] = total + diagonal[i] * direction[i]
                along += direction[i] * product[i]
            sums[block, 0] = along
        step = energy / max(sums[:, 0].sum(), 1e-300)
        for block in prange(blocks):
            square, along = 0.0, 0.0
            for i in range(block * BLOCK, min((block + 1) * BLOCK, count)):
                x[i] += step * direction[i]
                residual[i] -= step * product[i]
                z[i] = inverse[i] * residual[i]
                square += residual[i] * residual[i]
                along += residual[i] * z[i]
            sums[block, 0], sums[block, 1] = square, along
        left, before, energy = sums[:, 0].sum(), energy, sums[:, 1].sum()
        share = energy / max(before, 1e-300)
        for i in prange(count):
            direction[i] = z[i] + share * direction[i]
    return x
