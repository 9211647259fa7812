"""UVs for a head that has none: few charts, a seam down the back, low stretch, no overlap, whatever its density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...errors import BridgeError, unchecked
from ...mesh import Mesh
from ...side_by_side import side_by_side
from ..uv_mesh import UvMesh
from .cut import open_charts, split_underside
from .flatten import flatten
from .hierarchy import coarsen, refine
from .pack import pack, smallest_box, upright

COARSE = 6000  # inner vertices that are laid flat together; all others follow
UNDERSIDE_SCALE = 0.5  # of the head's texel density: nobody looks there


def unwrap(mesh: Mesh, up: np.ndarray, front: np.ndarray, check: Callable[[], None] = unchecked) -> UvMesh:
    """Texture coordinates of a head. up, front [3]: unit directions of its world, front out of the face.

    Raises BridgeError "unwrap" where the mesh does not let itself be cut into discs.
    """
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    labels = split_underside(vertices, faces, up)
    check()
    faces_uv, origin = open_charts(vertices, faces, labels, up, front)
    check()
    points = vertices[origin]
    uv = np.zeros((len(points), 2))
    charts = UvMesh(vertices, faces, uv, faces_uv).charts()

    def laid_out(chart: int) -> tuple[np.ndarray, np.ndarray]:  # rows of points, and their [n, 2] coordinates
        inside = np.flatnonzero(charts == chart)
        rows, small = np.unique(faces_uv[inside], return_inverse=True)
        small = small.reshape(-1, 3).astype(np.int32)
        under = labels[inside[0]] == 1
        try:
            flat = lay_flat(points[rows], small, check)
        except ValueError as error:
            sentence = f"The mesh cannot be unwrapped: {error} ({len(inside)} triangles)."
            raise BridgeError("unwrap", sentence, "Clean the mesh (holes, doubled faces) or bring UVs.") from None
        area = np.bincount(small.ravel(), minlength=len(rows)).astype(float)
        return rows, smallest_box(flat) * UNDERSIDE_SCALE if under else upright(flat, area, points[rows] @ up)

    members = list(side_by_side(laid_out, range(charts.max() + 1)))
    for (rows, _), placed in zip(members, pack([flat for _, flat in members])):
        uv[rows] = placed
    return UvMesh(vertices, faces, uv, faces_uv)


def lay_flat(points: np.ndarray, faces: np.ndarray, check: Callable[[], None] = unchecked) -> np.ndarray:  # [V, 2]
    """A disc of any density laid flat through a coarse one. Raises ValueError where it is none."""
    coarse = coarsen(points, faces, COARSE)
    check()
    uv = flatten(points, coarse.faces, check=check)
    refine(points, coarse.removed, coarse.rings, coarse.target, uv)
    return uv
