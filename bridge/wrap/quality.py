"""What a wrapped head is worth: distance to the dense head, flipped and crossing faces, distortion, lids and shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.closest import face_normals
from ..mesh.distance import distances
from ..mesh.intersections import intersecting_faces
from ..model import Template
from .conformal import in_plane
from .regions import Regions
from .scan import Scan

FLIPPED = -0.2  # cosine to where the template's face looks, both upright: as mesh/relax.py judges


@dataclass(frozen=True, eq=False)
class Quality:
    """Lengths in millimetres where the scale is known, else in template millimetres."""

    distance: np.ndarray  # [V] of skin vertices to the dense mesh, NaN for other parts
    distance_median: float  # over what two views see of the face
    distance_p95: float
    flipped: int  # faces
    crossing: int  # faces outside the mouth and sockets that do not cross in the template itself
    conformal_p99: float  # of the stretch ratio of exposed faces against the template's

    def scaled(self, factor: float) -> Quality:
        """Lengths in another unit."""
        return replace(
            self,
            distance=self.distance * factor,
            distance_median=self.distance_median * factor,
            distance_p95=self.distance_p95 * factor,
        )

    def as_json(self) -> dict:
        return {
            "distance_median_mm": round(self.distance_median, 4),
            "distance_p95_mm": round(self.distance_p95, 4),
            "flipped_faces": self.flipped,
            "crossing_faces": self.crossing,
            "conformal_p99": round(self.conformal_p99, 3),
        }


def measure(
    template: Template, regions: Regions, vertices: np.ndarray, scan: Scan
) -> Quality:  # vertices: [V, 3] in the template's frame, as the scan is
    """Quality of vertices on a scan; faces are flipped when they look away from where the template's look."""
    skin = np.flatnonzero(regions.skin)
    distance = np.full(len(vertices), np.nan)
    distance[skin] = distances(vertices[skin], scan.vertices, scan.faces)
    sure = scan.confidence[cKDTree(scan.vertices).query(vertices)[1]] > 0.9
    judged = distance[regions.face & sure]
    triangles = template.triangles_of("skin")
    normals, before = face_normals(vertices, triangles), face_normals(template.vertices, triangles)
    seen = regions.exposed[triangles].all(1)
    flipped = int(((normals * before).sum(1) < FLIPPED)[seen].sum())
    own = intersecting_faces(template.vertices, triangles)  # such as the thumbs of MakeHuman's body
    crossing = int((intersecting_faces(vertices, triangles) & ~own)[seen].sum())
    ratio = stretch_ratio(template.vertices, vertices, triangles)[seen]
    if not len(judged):  # nothing of the face is sure
        judged = distance[regions.face & regions.skin]
    return Quality(
        distance,
        float(np.median(judged)),
        float(np.quantile(judged, 0.95)),
        flipped,
        crossing,
        float(np.quantile(ratio, 0.99)),
    )


def stretch_ratio(source: np.ndarray, target: np.ndarray, triangles: np.ndarray) -> np.ndarray:  # [t]
    """Larger over smaller stretch of each triangle: 1 where angles are kept (the conformal ratio)."""
    flat = [in_plane(points, triangles)[0] for points in (source, target)]
    determinant = flat[0][:, 0, 0] * flat[0][:, 1, 1]
    flat[0][np.abs(determinant) < 1e-12] = np.eye(2)
    stretch = np.linalg.svd(flat[1] @ np.linalg.inv(flat[0]), compute_uv=False)
    return stretch[:, 0] / np.maximum(stretch[:, 1], 1e-9)
