"""Triangle meshes as plain arrays: adjacency, normals, Laplacian, remeshing.

Knows no cameras, images, jobs or files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .environment import prepare

prepare()  # before anything imports numba

if TYPE_CHECKING:
    from .topology import Rings


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices and triangles. Faces wind counter-clockwise seen from outside."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int32

    def normals(self) -> np.ndarray:  # [V, 3] float32
        """Area-weighted unit normals of the vertices."""
        from .normals import vertex_normals

        return vertex_normals(self.vertices - self.vertices.mean(0), self.faces)


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed mesh with its connectivity (mesh/topology.py), as optimiser and rasterisers pass it around."""

    vertices: np.ndarray  # [V, 3] float32
    faces: np.ndarray  # [F, 3] int32
    twin: np.ndarray  # [3F] int32
    outgoing: np.ndarray  # [V] int32, one half-edge that leaves each vertex
    rings: Rings  # the neighbours of each vertex

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray) -> Surface:
        """Builds the connectivity of a triangle mesh."""
        from .topology import build_twins, find_rings

        faces = np.ascontiguousarray(faces, np.int32)
        twin = build_twins(faces, len(vertices))
        rings = find_rings(faces.reshape(-1), twin, len(vertices))
        return cls(np.ascontiguousarray(vertices, np.float32), faces, twin, *rings)

    def moved(self, vertices: np.ndarray) -> Surface:
        """The same faces with other vertices [V, 3], of any float type."""
        return replace(self, vertices=vertices)


@dataclass(frozen=True, eq=False)
class DeviceSurface:
    """Surface in a GPU's memory, flat. Arrays of a DeviceMesh change with its next surface() or remesh()."""

    vertices: Any  # [3V] float32
    faces: Any  # [3F] int32
    twin: Any  # [3F] int32
    outgoing: Any  # [V] int32
    vertex_count: int
    face_count: int
