"""A mesh as Catmull and Clark (1978) subdivide it: what Blender's Subdivision and Multires modifiers make of polygons.

Borders are smooth curves, as both modifiers have them at first; UVs stay linear inside each polygon (UV Smooth: None).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .uv_mesh import UvMesh


@dataclass(frozen=True, eq=False)
class Polygons:
    """Points and polygons of any size, corner after corner."""

    points: np.ndarray  # [V, 3]
    corners: np.ndarray  # [L] int64 rows of points
    sizes: np.ndarray  # [P] corners of each polygon
    uv: np.ndarray  # [L, 2] of each corner

    @classmethod
    def of(cls, mesh: UvMesh) -> Polygons:
        """The polygons that a mesh's triangles were made of, fan by fan; triangles where it does not know them."""
        count = len(mesh.faces)
        known = np.arange(count) if mesh.polygons is None else mesh.polygons
        first = np.r_[True, known[1:] != known[:-1]]
        keep = np.concatenate([np.repeat(first[:, None], 2, 1), np.ones((count, 1), bool)], 1)  # else the last corner
        sizes = np.bincount(np.cumsum(first) - 1) + 2
        return cls(mesh.vertices, mesh.faces[keep].astype(np.int64), sizes, mesh.uv[mesh.faces_uv[keep]])

    def edge(self) -> float:
        """The usual length of an edge, weighted by length."""
        after, _ = self._neighbours()
        lengths = np.linalg.norm(self.points[self.corners[after]] - self.points[self.corners], axis=1)
        return float((lengths**2).sum() / lengths.sum())

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """The faces [F, 3] int32 of a mesh of quads, and the UVs [F, 3, 2] of their corners."""
        quads = np.arange(len(self.corners)).reshape(-1, 4)
        rows = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        return self.corners[rows].astype(np.int32), self.uv[rows]

    def _neighbours(self) -> tuple[np.ndarray, np.ndarray]:  # [L], [L]
        """The corner after and before each corner in its polygon."""
        begin = np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        size = np.repeat(self.sizes, self.sizes)
        place = np.arange(len(self.corners)) - begin
        return begin + (place + 1) % size, begin + (place - 1) % size

    def refined(self) -> Polygons:
        """One level finer: every polygon of n corners becomes n quads."""
        points, corners = self.points, self.corners
        count, polygon = len(points), np.repeat(np.arange(len(self.sizes)), self.sizes)
        after, before = self._neighbours()
        middle = _mean(polygon, points[corners], len(self.sizes))
        ends = np.sort(np.stack([corners, corners[after]], 1), 1)
        keys, edge = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
        a, b = keys // count, keys % count
        sides = np.bincount(edge)
        halfway = (points[a] + points[b]) / 2
        border = (sides == 1)[:, None]
        edge_points = np.where(border, halfway, (halfway + _mean(edge, middle[polygon], len(keys))) / 2)
        faces = np.maximum(np.bincount(corners, minlength=count), 1)[:, None]
        around = _mean(np.r_[a, b], np.r_[halfway, halfway], count)
        inner = (_mean(corners, middle[polygon], count) + 2 * around + (faces - 3) * points) / faces
        rim = np.flatnonzero(border[:, 0])
        ends_of_rim, others = np.r_[a[rim], b[rim]], np.r_[b[rim], a[rim]]
        on_rim = np.bincount(ends_of_rim, minlength=count)
        curve = 0.75 * points + 0.25 * _mean(ends_of_rim, points[others], count)
        used = np.bincount(corners, minlength=count) > 0
        moved = np.where((on_rim == 2)[:, None], curve, np.where(((on_rim == 0) & used)[:, None], inner, points))
        uv, center = self.uv, _mean(polygon, self.uv, len(self.sizes))[polygon]
        quads = np.stack([corners, count + edge, count + len(keys) + polygon, (count + edge)[before]], 1)
        quad_uv = np.stack([uv, (uv + uv[after]) / 2, center, (uv + uv[before]) / 2], 1)
        return Polygons(
            np.concatenate([moved, edge_points, middle]),
            quads.ravel(),
            np.full(len(corners), 4),
            quad_uv.reshape(-1, 2),
        )


def _mean(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:  # [count, k]
    """The mean of the rows of values [n, k] that share an index [n]; 0 where none does."""
    number = np.maximum(np.bincount(index, minlength=count), 1)
    return np.stack([np.bincount(index, column, count) / number for column in values.T], 1)
