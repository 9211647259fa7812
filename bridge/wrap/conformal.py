"""Triangles keep their angles: those that are stretched too much one way are asked back to a bound.

The single-image topology paper's angle term, which keeps the largest differences only, as a quadratic one: each
triangle whose larger stretch is more than a bound times its smaller one is asked for the nearest shape within the
bound, as in as-rigid-as-possible deformation (Sorkine and Alexa, 2007). Where shapes are fine it costs nothing.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

LEAST_COT, MOST_COT = 0.05, 5.0  # as in mesh/cotangents.py


class Angles:
    """The triangles of a reference shape, whose angles others are held to."""

    def __init__(self, reference: np.ndarray, triangles: np.ndarray) -> None:  # [n, 3], [t, 3]
        flat, _ = in_plane(reference, triangles)
        sound = flat[:, 0, 0] * flat[:, 1, 1] > 1e-9  # triangles without area have no angles
        self.triangles, self._flat = triangles[sound], flat[sound]
        self._inverse = np.linalg.inv(self._flat)

    def of(self, shape: np.ndarray) -> np.ndarray:  # [t]
        """Each triangle's larger stretch over its smaller one in a shape [n, 3]."""
        return stretches(in_plane(shape, self.triangles)[0] @ self._inverse)

    def rows(self, shape: np.ndarray, most: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
        """What asks the triangles of a shape [n, 3] that are beyond their bounds, most [t], for the nearest shape
        within it: a system [n, n] of the vertices and its right sides [n, 3], both 0 where no triangle is beyond."""
        flat, axes = in_plane(shape, self.triangles)
        change = flat @ self._inverse
        bad = np.flatnonzero(stretches(change) > most)
        U, size, V = np.linalg.svd(change[bad])
        middle, root = np.sqrt(size.prod(1)), np.sqrt(most[bad])
        size = np.stack([middle * root, middle / root], 1)
        asked = axes[bad] @ (U * size[:, None, :]) @ V  # [b, 3, 2]: of the reference's plane
        corners, edges = self.triangles[bad], _edges(self._flat[bad])  # [b, 3 sides, 2]
        cot = _cotangents(edges)
        rows, columns, values = [], [], []
        right = np.zeros_like(shape)
        for side in range(3):
            a, b = corners[:, side], corners[:, (side + 1) % 3]
            w = cot[:, side]
            rows += [a, b, a, b]
            columns += [a, b, b, a]
            values += [w, w, -w, -w]
            pull = w[:, None] * (asked @ edges[:, side, :, None])[..., 0]
            np.add.at(right, b, pull)
            np.add.at(right, a, -pull)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(entries, (len(shape), len(shape))), right


def stretches(change: np.ndarray) -> np.ndarray:  # [t, 2, 2] -> [t]
    """Larger over smaller singular value."""
    square, area = (change**2).sum((1, 2)), np.abs(np.linalg.det(change))
    half = square / np.maximum(2 * area, 1e-12)
    return half + np.sqrt(np.maximum(half**2 - 1, 0))


def in_plane(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two edges of each triangle as columns [t, 2, 2] in its own plane, and that plane's axes as columns [t, 3, 2]."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    length = np.maximum(np.linalg.norm(u, axis=1), 1e-12)
    first = u / length[:, None]
    along = (v * first).sum(1)
    second = v - along[:, None] * first
    across = np.linalg.norm(second, axis=1)
    second = second / np.maximum(across, 1e-12)[:, None]
    flat = np.stack([np.stack([length, along], 1), np.stack([np.zeros_like(length), across], 1)], 1)
    return flat, np.stack([first, second], 2)


def _edges(flat: np.ndarray) -> np.ndarray:  # [t, 2, 2] -> [t, 3, 2]: from corner k to the next one
    u, v = flat[:, :, 0], flat[:, :, 1]
    return np.stack([u, v - u, -v], 1)


def _cotangents(edges: np.ndarray) -> np.ndarray:  # [t, 3, 2] -> [t, 3]: half, of the corner opposite each side
    u, v = -np.roll(edges, -1, 1), np.roll(edges, 1, 1)
    # opposite side k (from corner k to k + 1) lies corner k + 2, between sides k + 1 and k + 2
    cross = np.abs(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])
    return np.clip((u * v).sum(2) / np.maximum(cross, 1e-12), LEAST_COT, MOST_COT) / 2
