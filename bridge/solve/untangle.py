"""A mesh that was moved after it was solved, without crossing faces."""

from __future__ import annotations

import numpy as np

from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from ..mesh import Mesh, Surface
from ..mesh.boxtree import BoxTree
from ..mesh.intersections import crossing_faces
from .cleanup import untangle

RETREATS = 12  # after that many halvings the surface is back where it was
RINGS = 3  # around crossing faces that retreat with them


def untangled(before: Mesh, after: Mesh, frame: HeadFrame, check: Check = unchecked) -> Mesh:
    """The moved mesh, drawn back towards the sound mesh it was moved from where its faces cross; same connectivity.

    Half the way back each time, together with a few rings that fade into what stays; the last rest is smoothed.
    """
    start, end = ((mesh.vertices - frame.center) / frame.radius for mesh in (before, after))
    faces = after.faces
    share = np.ones(len(start))
    vertices, tree = end.copy(), BoxTree.of(end, faces)
    for _ in range(RETREATS):
        check()
        crossing = crossing_faces(vertices, faces, tree)
        if not crossing.any():
            break
        wanted = np.ones(len(start))
        wanted[faces[crossing].reshape(-1)] = 0.5
        for ring in range(RINGS):
            near = faces[(wanted[faces] < 1).any(1)].reshape(-1)
            wanted[near] = np.minimum(wanted[near], 0.5 + 0.5 * (ring + 1) / (RINGS + 1))
        share *= wanted
        vertices = start + share[:, None] * (end - start)
        tree.refit(vertices, faces)
    surface = Surface.of(vertices, faces).moved(vertices)
    untangle(surface, check)
    return Mesh(surface.vertices * frame.radius + frame.center, surface.faces)
