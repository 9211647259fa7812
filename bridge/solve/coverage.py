"""How well the photographs saw each vertex of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bridge.mesh import Mesh

from .targets import Target


@dataclass(frozen=True, eq=False)
class Coverage:
    view_count: np.ndarray  # [V] int32: views in which the vertex is visible and faces the camera
    confidence: np.ndarray  # [V] float32 0..1: 0 = seen by no view, near 1 = seen head-on by several


def coverage(mesh: Mesh, targets: Sequence[Target]) -> Coverage:
    """Visibility (rendered depth) and facing angle of every vertex in every view."""
    raise NotImplementedError
