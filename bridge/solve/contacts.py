"""Self-contacts: places where the growing surface has run into itself, separated while the solve still runs.

Where two sides of a slit meet (lips, lids), each hides the other's hidden part: no image holds them back from passing
through each other, and what has passed pulls the visible rim along. A few rounds of smoothing while the overlap is one
or two faces deep open it again; the clean-up at the end (cleanup.py) could only guess what the rim was like.
"""

from __future__ import annotations

import numpy as np

from ..mesh import Surface
from ..mesh.intersections import intersecting_faces
from ..mesh.remesh import HalfEdgeMesh
from .smoothing import around, smooth

RINGS = 1  # around the faces that cross
ROUNDS = 4  # of smoothing


def separate_self_contacts(mesh: HalfEdgeMesh) -> None:
    """Move faces of a mesh that pass through each other apart, in place."""
    if separated := separated_positions(mesh.surface()):
        mesh.place(*separated)


def separated_positions(surface: Surface) -> tuple[np.ndarray, np.ndarray] | None:
    """The vertices [n] to be moved and their new places [n, 3]; None if no face crosses another."""
    crossing = intersecting_faces(surface.vertices, surface.faces)
    if not crossing.any():
        return None
    reach = np.full(len(surface.vertices), -1, np.int32)
    reach[surface.faces[crossing].reshape(-1)] = RINGS
    chosen = around(reach, surface)
    separated = surface.moved(surface.vertices.astype(np.float64))
    smooth(separated, chosen, ROUNDS)
    return chosen, separated.vertices[chosen]
