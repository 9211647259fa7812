"""How far a result's surface is from the true one, where the photographs look.

Points are spread over both surfaces by area. One counts if at least VIEWS input views see it on its own mesh: it faces
the camera, projects into the image and lies within DEPTH_PIXELS pixels' width of the depth that is rendered there. So
what no two cameras saw (under a bust, inside a mouth, the rim of a picture) costs nothing, and neither does it help.
The mean runs over both directions, result to truth and truth to result. Where the truth is an open shell, its rim and
inside are compared with a closed surface: trust it for closed subjects, and depth and normals of the novel views for
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..capture.cameras import Camera
from ..mesh.distance import distances, sample_surface
from ..raster import make_rasteriser

SAMPLES = 100_000  # on each surface
SIZE = 512  # pixels of the longer side of the views that judge visibility
DEPTH_PIXELS = 3.0
VIEWS = 2  # one view has nothing to agree with


@dataclass(frozen=True)
class SurfaceError:
    """Shares of the true mesh's bounding-box diagonal, in per cent."""

    mean_pct: float
    p95_pct: float
    to_truth_pct: float  # mean of the result's points
    from_truth_pct: float  # mean of the truth's points


def surface_error(
    cameras: Sequence[Camera],
    vertices: np.ndarray,
    faces: np.ndarray,
    true_vertices: np.ndarray,
    true_faces: np.ndarray,
) -> SurfaceError:
    """Compares a mesh (world, [V, 3], [F, 3]) with the truth in the same frame, as the input cameras see both."""
    center = true_vertices.mean(0)
    local = []
    for camera in cameras:
        scale = SIZE / max(camera.width, camera.height)
        camera = replace(camera, distortion=None).resize(round(camera.width * scale), round(camera.height * scale))
        local.append(camera.transformed(1.0, np.eye(3), -center))
    ours = vertices - center, np.ascontiguousarray(faces, np.int32)
    truth = true_vertices - center, np.ascontiguousarray(true_faces, np.int32)
    percent = 100 / np.linalg.norm(np.ptp(true_vertices, axis=0))
    forth = percent * distances(_seen_points(local, *ours), *truth)
    back = percent * distances(_seen_points(local, *truth), *ours)
    return SurfaceError(
        float((forth.mean() + back.mean()) / 2),
        float(np.percentile(np.concatenate([forth, back]), 95)),
        float(forth.mean()),
        float(back.mean()),
    )


def _seen_points(cameras: Sequence[Camera], vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [n, 3]
    points, face = sample_surface(vertices, faces, SAMPLES)
    a, b, c = (vertices[faces[face, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    seen = np.zeros(len(points), np.int32)
    for camera, depth in zip(cameras, make_rasteriser("cpu", cameras).render(vertices, faces).depth, strict=True):
        pixels, z = camera.project(points)
        x, y = np.floor(pixels).astype(int).T
        inside = (z > 0) & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        there = depth[np.where(inside, y, 0), np.where(inside, x, 0)]
        facing = ((camera.center - points) * normals).sum(1) > 0
        seen += inside & facing & (there > 0) & (np.abs(z - there) < DEPTH_PIXELS * z / camera.K[0, 0])
    return points[seen >= VIEWS]
