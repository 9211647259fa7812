"""A closed half-edge mesh that remeshes itself towards a target edge length at every vertex (Palfinger 2022)."""

from __future__ import annotations

import numpy as np

from . import Surface
from .candidates import LENGTH, compact, list_collapses, list_splits, rate_edges, spread_keys
from .edits import collapse_edges, flip_edges, rate_flips, split_edges
from .normals import closed_vertex_normals
from .topology import Rings, build_twins, find_rings, morton_order

TOLERANCE = 0.5  # edges between (1 - t) and (1 + t) of the target length stay


class HalfEdgeMesh:
    """Vertex data [V, D] float32 (position, target edge length, then whatever the optimiser carries) and connectivity.

    Capacity is kept and doubled when full, so that a step allocates next to nothing.
    """

    _data: np.ndarray  # [capacity, D]
    _start: np.ndarray  # [3 F of capacity], as _twin
    _twin: np.ndarray
    _degree: np.ndarray  # [capacity]

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, length: float, extra_columns: int = 0) -> None:
        self.vertex_count, self.face_count = len(vertices), len(faces)
        self._columns = LENGTH + 1 + extra_columns
        self._allocate(int(self.vertex_count * 1.5) + 1000)
        V, F = self.vertex_count, self.face_count
        self._data[:V] = 0
        self._data[:V, :3] = vertices
        self._data[:V, LENGTH] = length
        self._start[: 3 * F] = np.ascontiguousarray(faces, np.int32).reshape(-1)
        twin = build_twins(self.faces, V)
        if (twin < 0).any():
            raise ValueError("the mesh is not closed and manifold")
        self._twin[: 3 * F] = twin
        self.degree[:] = np.bincount(self.start, minlength=V)
        self._rings: tuple[np.ndarray, Rings] | None = (
            None  # found when they are asked for, until the connectivity changes
        )

    # views of the live part of the arrays; all change with the next remesh()
    @property
    def data(self) -> np.ndarray:  # [V, D]
        return self._data[: self.vertex_count]

    @property
    def start(self) -> np.ndarray:  # [3F]
        return self._start[: 3 * self.face_count]

    @property
    def faces(self) -> np.ndarray:  # [F, 3]
        return self.start.reshape(-1, 3)

    @property
    def twin(self) -> np.ndarray:  # [3F]
        return self._twin[: 3 * self.face_count]

    @property
    def degree(self) -> np.ndarray:  # [V]
        return self._degree[: self.vertex_count]

    def surface(self) -> Surface:
        """Positions (a copy) with the live connectivity, for the rasteriser."""
        if self._rings is None:
            self._rings = find_rings(self.start, self.twin, self.vertex_count)
        return Surface(np.ascontiguousarray(self.data[:, :3]), self.faces, self.twin, *self._rings)

    def host_surface(self) -> Surface:
        """See surface(); a DeviceMesh copies it to the host."""
        return self.surface()

    def place(self, vertices: np.ndarray, positions: np.ndarray) -> None:
        """Puts the given vertices [n] at positions [n, 3]; all else that they carry stays."""
        self.data[vertices, :3] = positions

    def remesh(self, max_vertices: int) -> None:
        """One pass: collapse what is too short or degenerate, split what is too long, flip towards degree 6.

        Splits stop at max_vertices, longest edges first.
        """
        collapsed = self._collapse(self.surface())
        self._rings = None
        self._split(max_vertices, self.vertex_count - collapsed)
        if collapsed:
            self._compact()
        self._flip()

    def _collapse(self, surface: Surface) -> int:
        """Leaves gaps, for compact(); gives the number of vertices that are gone."""
        F, V = self.face_count, self.vertex_count
        normals, lengths = np.empty_like(surface.vertices), np.empty(V, np.float32)
        closed_vertex_normals(surface.vertices, *surface.rings, normals, lengths)
        rate_edges(self._data, self._start, F, normals, TOLERANCE, self._flagged, self._priority)
        best, ring = np.zeros(V, np.int64), np.empty(V, np.int64)
        n = list_collapses(
            self._start, self._twin, F, self._flagged, self._priority, self._candidates, self._keys, best
        )
        spread_keys(best, *surface.rings, ring)
        spread_keys(ring, *surface.rings, best)
        return collapse_edges(
            self._data, self._start, self._twin, self._degree, normals, self._candidates[:n], self._keys, best
        )

    def _compact(self) -> None:
        self.vertex_count, self.face_count = compact(
            self._data,
            self._start,
            self._twin,
            self._degree,
            self.vertex_count,
            self.face_count,
            self._vertex_map,
            self._face_map,
        )

    def _split(self, max_vertices: int, left: int) -> None:
        """left: vertices that the collapses have left."""
        F = self.face_count
        n = list_splits(self._data, self._start, F, TOLERANCE, self._candidates, self._ranks, self._moved)
        budget = max(0, max_vertices - left)
        candidates, moved = self._candidates[:n], self._moved
        order = np.argsort(-self._ranks[:n], kind="stable")[:budget]
        if self.vertex_count + len(order) > self._capacity:
            self._allocate(int((self.vertex_count + len(order)) * 1.5))
            self._moved[: len(moved)] = moved
        self.vertex_count, self.face_count = split_edges(
            self._data, self._start, self._twin, self._degree, order, candidates, self._moved, self.vertex_count, F
        )

    def _flip(self) -> None:
        gains = self._gains[: 3 * self.face_count]
        rate_flips(self._start, self._twin, self._degree, self.face_count, gains)
        flip_edges(self._data, self._start, self._twin, self._degree, gains, self._candidates)

    def sort_memory(self) -> None:
        """Puts neighbours in space next to each other in memory (remeshing appends, so order decays)."""
        self._rings = None
        F = self.face_count
        order = morton_order(self.data)
        new_index = np.empty(self.vertex_count, np.int32)
        new_index[order] = np.arange(self.vertex_count, dtype=np.int32)
        self.data[:] = self.data[order]
        self.degree[:] = self.degree[order]
        faces = new_index[self.faces]
        face_order = np.argsort(faces.min(1), kind="stable")
        new_face = np.empty(F, np.int32)
        new_face[face_order] = np.arange(F, dtype=np.int32)
        twin = self.twin.reshape(-1, 3)[face_order].reshape(-1)
        self.start[:] = faces[face_order].reshape(-1)
        self.twin[:] = 3 * new_face[twin // 3] + twin % 3

    def _allocate(self, vertices: int) -> None:
        faces = 2 * vertices + 16

        def grown(name: str, shape: tuple[int, ...], dtype: type) -> None:
            array: np.ndarray = np.empty(shape, dtype)
            old = getattr(self, name, None)
            if old is not None:
                array[: len(old)] = old
            setattr(self, name, array)

        grown("_data", (vertices, self._columns), np.float32)
        grown("_start", (3 * faces,), np.int32)
        grown("_twin", (3 * faces,), np.int32)
        grown("_degree", (vertices,), np.int32)
        self._capacity = vertices
        self._candidates = np.empty(3 * faces // 2 + 8, np.int32)
        self._ranks = np.empty(3 * faces // 2 + 8, np.float32)
        self._keys = np.empty(3 * faces // 2 + 8, np.int64)
        self._priority = np.empty(3 * faces, np.float32)
        self._moved = np.empty(3 * faces, np.int32)
        self._flagged = np.empty(faces, np.int8)
        self._gains = np.empty(3 * faces, np.int8)
        self._vertex_map = np.empty(vertices, np.int32)
        self._face_map = np.empty(faces, np.int32)
