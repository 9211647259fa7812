"""A mesh that was moved after it was solved, without crossing faces."""

from __future__ import annotations

import numpy as np

from ..errors import Check, unchecked
from ..framing import HeadFrame
from ..mesh import Mesh, Surface
from .cleanup import clean_up


def untangled(mesh: Mesh, frame: HeadFrame, check: Check = unchecked) -> Mesh:
    """The same closed mesh with faces that cross pulled apart; all else stays where it is."""
    surface = Surface.of((mesh.vertices - frame.center) / frame.radius, mesh.faces)
    vertices = clean_up(surface, np.ones(len(surface.vertices), np.float32), check)
    return Mesh(vertices.astype(np.float64) * frame.radius + frame.center, surface.faces)
