"""Triangle meshes as plain arrays: adjacency, normals, Laplacian, remeshing. Knows no cameras, images, jobs or files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices and triangles. Faces wind counter-clockwise seen from outside."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int32
