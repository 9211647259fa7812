"""A disc laid flat: first without any flip (Tutte 1963, Floater 2003), then with as little stretch as it takes.

The stretch is the symmetric Dirichlet energy, which weighs a triangle blown up and one shrunk alike, and lowered as in
Scalable Locally Injective Mappings (Rabinovich, Poranne, Panozzo, Sorkine-Hornung 2017): weighted least squares to the
nearest rotations, and a step that ends before the first triangle flips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.sparse import coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import splu

from ...errors import unchecked
from ...mesh.factor import factor
from ...mesh.topology import build_twins

STEPS = 25
ENOUGH = 2e-4  # of the energy: a step that gains less is the last
HOLD = 1e-5  # keeps the system definite, in shares of its mean diagonal


@dataclass(frozen=True, eq=False)
class Rest:
    """Triangles as they lie on the surface, each in its own plane."""

    faces: np.ndarray  # [F, 3]
    inverse: np.ndarray  # [F, 2, 2] of the two edges from the first corner
    areas: np.ndarray  # [F]

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray) -> Rest:
        """Measured on the surface [V, 3], [F, 3]."""
        return cls(faces, *_rest_frames(vertices, faces))


def flatten(
    vertices: np.ndarray, faces: np.ndarray, steps: int = STEPS, check: Callable[[], None] = unchecked
) -> np.ndarray:  # [V, 2]
    """Flat coordinates of a disc [V, 3], [F, 3] whose triangles all keep their sense; unused vertices stay at 0.

    The area is about that of the surface. Raises ValueError where the mesh is no disc.
    """
    used, small = np.unique(faces, return_inverse=True)
    small = small.reshape(-1, 3).astype(np.int32)
    points = vertices[used]
    rest = Rest.of(points, small)
    uv = _tutte(points, small)
    uv *= np.sqrt(rest.areas.sum() / max(_signed_areas(uv, small).sum(), 1e-300))
    uv = _slim(uv, rest, steps, check)
    result = np.zeros((len(vertices), 2))
    result[used] = uv
    return result


def border_loop(faces: np.ndarray, count: int) -> np.ndarray:
    """The vertices of a disc's border in their order. Raises ValueError where there is not exactly one loop."""
    twin = build_twins(np.ascontiguousarray(faces, np.int32), count)
    edges = np.flatnonzero(twin < 0)
    start, end = faces.reshape(-1)[edges], np.roll(faces, -1, 1).reshape(-1)[edges]
    if len(np.unique(start)) != len(start) or not len(start):
        raise ValueError("the piece is no disc")
    follow = dict(zip(start.tolist(), end.tolist()))
    loop = [int(start[0])]
    while (after := follow[loop[-1]]) != loop[0]:
        loop.append(after)
    if len(loop) != len(start):
        raise ValueError("the piece has more than one border")
    return np.array(loop)


def stretch(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest and smallest growth of lengths from the surface to uv, per face [F], [F]; uv [F, 3, 2]."""
    inverse, _ = _rest_frames(vertices, faces)
    edges = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], -1)  # [F, 2, 2] columns
    values = np.linalg.svd(edges @ inverse, compute_uv=False)
    return values[:, 0], values[:, 1]


def _rest_frames(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of each triangle's two edges in its own plane [F, 2, 2], and its area [F]."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    e, f = b - a, c - a
    length = np.maximum(np.linalg.norm(e, axis=1), 1e-30)
    x = e / length[:, None]
    fx = (f * x).sum(1)
    fy = np.linalg.norm(f - fx[:, None] * x, axis=1)
    # a sliver has no shape to keep: it counts as if it were a hundredth as high as it is long
    fy = np.maximum(fy, 0.01 * np.maximum(length, np.abs(fx)))
    inverse = np.zeros((len(faces), 2, 2))
    inverse[:, 0, 0] = 1 / length
    inverse[:, 0, 1] = -fx / (length * fy)
    inverse[:, 1, 1] = 1 / fy
    return inverse, length * fy / 2


def _signed_areas(uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (uv[faces[:, k]] for k in range(3))
    e, f = b - a, c - a
    return (e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]) / 2


def _tutte(points: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 2]
    """The border on a circle by its lengths, every inner vertex at the mean of its neighbours: no triangle flips."""
    loop = border_loop(faces, len(points))
    lengths = np.linalg.norm(points[np.roll(loop, -1)] - points[loop], axis=1)
    lengths = np.maximum(lengths, 1e-3 * lengths.mean())
    turn = 2 * np.pi * np.concatenate([[0], np.cumsum(lengths)[:-1]]) / lengths.sum()
    uv = np.zeros((len(points), 2))
    uv[loop] = np.stack([np.cos(turn), np.sin(turn)], 1)
    rows, columns, weights = _mean_value_weights(points, faces)
    matrix = coo_matrix((weights, (rows, columns)), (len(points), len(points))).tocsr()
    inner = np.setdiff1d(np.arange(len(points)), loop)
    if len(inner):
        whole = np.asarray(matrix.sum(1)).ravel()
        system = (diags(whole) - matrix)[inner]
        uv[inner] = splu(csc_matrix(system[:, inner])).solve(-(system[:, loop] @ uv[loop]))
    if (_signed_areas(uv, faces) <= 0).any():
        raise ValueError("the piece cannot be laid flat")
    return uv


def _mean_value_weights(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns, weights = [], [], []
    for k in range(3):
        i, j, m = (points[faces[:, (k + n) % 3]] for n in range(3))
        e, f = j - i, m - i
        le, lf = np.linalg.norm(e, axis=1), np.linalg.norm(f, axis=1)
        cosine = np.clip((e * f).sum(1) / np.maximum(le * lf, 1e-300), -1 + 1e-9, 1 - 1e-9)
        half = np.clip(np.sqrt((1 - cosine) / (1 + cosine)), 1e-3, 1e3)
        for other, length in ((1, le), (2, lf)):
            rows.append(faces[:, k])
            columns.append(faces[:, (k + other) % 3])
            weights.append(half / np.maximum(length, 1e-12 * le.mean()))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def _jacobians(uv: np.ndarray, faces: np.ndarray, inverse: np.ndarray) -> np.ndarray:  # [F, 2, 2]
    a, b, c = (uv[faces[:, k]] for k in range(3))
    return np.stack([b - a, c - a], -1) @ inverse


def _energy(uv: np.ndarray, rest: Rest) -> float:
    J = _jacobians(uv, rest.faces, rest.inverse)
    det = J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]
    if (det <= 0).any():
        return np.inf
    square = (J**2).sum((1, 2))
    return float((rest.areas * square * (1 + 1 / det**2)).sum() / rest.areas.sum())


def _slim(uv: np.ndarray, rest: Rest, steps: int, check: Callable[[], None]) -> np.ndarray:  # [V, 2]
    faces, inverse, areas = rest.faces, rest.inverse, rest.areas
    count, n = len(faces), len(uv)
    # J = [b - a, c - a] inverse: weight of each corner in the two columns of J
    grads = np.concatenate([-inverse.sum(1, keepdims=True), inverse], 1)  # [F, 3, 2]
    share = np.sqrt(areas / areas.sum())
    rows = np.repeat(np.arange(4 * count).reshape(count, 4), 6, 1).ravel()
    columns = np.repeat(np.concatenate([faces, faces + n], 1)[:, None, :], 4, 1).ravel()
    energy = _energy(uv, rest)
    for _ in range(steps):
        check()
        J = _jacobians(uv, faces, inverse)
        U, sigma, Vt = np.linalg.svd(J)
        flip = np.sign(np.linalg.det(U @ Vt))
        U[:, :, 1] *= flip[:, None]
        R = U @ Vt
        near = np.abs(sigma - 1) < 1e-6
        sigma = np.maximum(sigma, 1e-6)
        root = np.sqrt(np.where(near, 4.0, (sigma - sigma**-3) / np.where(near, 1.0, sigma - 1)))
        W = (U * root[:, None, :]) @ U.transpose(0, 2, 1) * share[:, None, None]
        # rows of one face: W (J - R), entries 00 01 10 11; unknowns u of its corners, then v
        block = np.empty((count, 2, 2, 2, 3))
        for row in range(2):
            for part in range(2):
                block[:, row, :, part] = W[:, row, part, None, None] * grads.transpose(0, 2, 1)
        A = coo_matrix((block.reshape(-1), (rows, columns)), (4 * count, 2 * n)).tocsc()
        b = (W @ R).reshape(-1)
        M = (A.T @ A).tocsc()
        hold = HOLD * M.diagonal().mean()
        flat = uv.T.reshape(-1)
        M = M + hold * diags(np.ones(2 * n), format="csc")
        aim = factor(M).solve(A.T @ b + hold * flat)
        step = aim.reshape(2, n).T - uv
        length = min(1.0, 0.8 * _first_flip(uv, step, faces))
        while length > 1e-8:
            trial = uv + length * step
            found = _energy(trial, rest)
            if found < energy:
                break
            length *= 0.5
        else:
            break
        gain, energy, uv = energy - found, found, trial
        if gain < ENOUGH * energy:
            break
    return uv


@njit(cache=True)
def _first_flip(uv, step, faces):
    """The least share of the step at which a triangle loses its area."""
    least = np.inf
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ex, ey = uv[j, 0] - uv[i, 0], uv[j, 1] - uv[i, 1]
        fx, fy = uv[k, 0] - uv[i, 0], uv[k, 1] - uv[i, 1]
        gx, gy = step[j, 0] - step[i, 0], step[j, 1] - step[i, 1]
        hx, hy = step[k, 0] - step[i, 0], step[k, 1] - step[i, 1]
        c = ex * fy - ey * fx
        b = ex * hy + gx * fy - ey * hx - gy * fx
        a = gx * hy - gy * hx
        if abs(a) < 1e-30:
            if b < 0:
                least = min(least, -c / b)
            continue
        inside = b * b - 4 * a * c
        if inside < 0:
            continue
        root = np.sqrt(inside)
        for t in ((-b - root) / (2 * a), (-b + root) / (2 * a)):
            if t > 0:
                least = min(least, t)
    return least
