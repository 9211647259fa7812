"""One step of the optimiser: where the vertices go and which edge lengths the remesher is to reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mesh import Surface
from ..mesh.remesh import HalfEdgeMesh
from .density import shortest_edges
from .optimise import LEAST_WEIGHT, SEEN, optimise


@dataclass(frozen=True)
class Motion:
    """What a step is told, wherever its mesh lies."""

    step: int  # counted from 1
    rate: float  # step length as a share of the edge length
    laplacian: float  # weight
    order: int  # of the Laplacian
    diffusion: int  # rounds over which the gradient is spread; 0: it goes as it is
    relief: float  # its weight as it is beside that
    vertex_budget: float  # that the edge lengths aim at (density.py) ...
    shortest: float  # ... within these limits
    longest: float
    least: float = LEAST_WEIGHT  # share of the second-order Laplacian that a step takes away in any case (optimise.py)


def move(mesh: HalfEdgeMesh, surface: Surface, gradient: np.ndarray, motion: Motion) -> None:
    """Moves the mesh against the gradient [V, 3] by its surface and sets its target lengths."""
    shortest = shortest_edges(surface, mesh.data[:, SEEN], motion.vertex_budget)
    shortest = np.clip(shortest, np.float32(motion.shortest), np.float32(motion.longest))
    optimise(mesh, surface.rings, surface.vertices, gradient, motion.step, motion.rate, motion.laplacian,
             motion.order, motion.diffusion, motion.relief, shortest, motion.longest, motion.least)  # fmt: skip
