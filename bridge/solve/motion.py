"""One step of the optimiser: where the vertices go and which edge lengths the remesher is to reach."""

from __future__ import annotations

import numpy as np

from ..mesh import Surface
from ..mesh.remesh import HalfEdgeMesh
from .density import shortest_edges
from .optimise import SEEN, Motion, optimise


def move(mesh: HalfEdgeMesh, surface: Surface, gradient: np.ndarray, motion: Motion) -> None:
    """Moves the mesh against the gradient [V, 3] by its surface and sets its target lengths."""
    shortest = shortest_edges(surface, mesh.data[:, SEEN], motion.vertex_budget)
    shortest = np.clip(shortest, np.float32(motion.shortest), np.float32(motion.longest))
    optimise(mesh, surface, gradient, motion, shortest)
