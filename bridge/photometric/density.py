"""Remeshing between two resolutions: vertices where the surface bends and photographs look."""

from __future__ import annotations

import numpy as np

from ..errors import Check, unchecked
from ..mesh.candidates import LENGTH
from ..mesh.remesh import HalfEdgeMesh
from ..solve.density import shortest_edges

PASSES = 6  # edges are halved or merged once a pass; from 25,000 to 100,000 vertices takes four
FILLED = 0.9  # of the vertices allowed that edge lengths aim at


def remeshed(
    vertices: np.ndarray, faces: np.ndarray, seen: np.ndarray, most: int, check: Check = unchecked
) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with about `most` vertices, more where it bends, few where seen [V] bool is False. Closed."""
    mesh = HalfEdgeMesh(vertices.astype(np.float32), faces, 1.0, extra_columns=1)
    mesh.data[:, LENGTH + 1] = seen
    for _ in range(PASSES):
        check()
        sight = np.ascontiguousarray(mesh.data[:, LENGTH + 1])
        mesh.data[:, LENGTH] = shortest_edges(mesh.surface(), sight, FILLED * most)
        mesh.remesh(most)
    mesh.sort_memory()
    return mesh.data[:, :3].astype(np.float64), mesh.faces.copy()
