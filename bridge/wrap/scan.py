"""What a template is wrapped onto: a dense mesh, how sure each of its vertices is, and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Similarity
from ..mesh.closest import Closest, Target, face_normals
from ..mesh.normals import vertex_normals

REACH = 4.0  # of the robust weights' widths: beyond it nothing pulls
LEAST_COSINE = 0.5  # of two normals that may belong together


@dataclass(frozen=True, eq=False)
class Scan:
    """A head in its own world."""

    vertices: np.ndarray  # [N, 3]
    faces: np.ndarray  # [M, 3]
    confidence: np.ndarray  # [N] 0..1: what nothing saw pulls little
    landmarks: np.ndarray  # [468, 3]
    sigma: np.ndarray  # [468] standard deviations in world units, inf: not known
    bare: np.ndarray | None = None  # [N] 0..1: how much it looks like the face's skin; hair and clothes do not

    def moved(self, similarity: Similarity) -> Scan:
        return Scan(
            similarity.points(self.vertices),
            self.faces,
            self.confidence,
            similarity.points(self.landmarks),
            self.sigma * similarity.scale,
            self.bare,
        )


class Surface:
    """A scan that is asked for closest points whose normals agree."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.bare = np.ones(len(scan.vertices)) if scan.bare is None else scan.bare
        self._target = Target(scan.vertices, scan.faces)
        self._face_normals = face_normals(self._target.vertices, self._target.faces)
        self.normals = vertex_normals(scan.vertices, self._target.faces).astype(np.float64)

    def nearest(
        self, points: np.ndarray, normals: np.ndarray, reach: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Closest points [n, 3], smooth unit normals there [n, 3], how sure the scan is of them [n] (0: none), and how
        much they look like skin [n]."""
        hit: Closest = self._target.closest(points, normals, self._face_normals, LEAST_COSINE, reach)
        there = hit.of(self._target.vertices, self._target.faces)
        smooth = hit.of(self.normals, self._target.faces)
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
        sure = hit.of(self.scan.confidence[:, None], self._target.faces)[:, 0]
        bare = hit.of(self.bare[:, None], self._target.faces)[:, 0]
        return there, smooth, np.where(np.isfinite(hit.distance), sure, 0.0), bare
