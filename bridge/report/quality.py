"""How well the finished mesh explains the photographs: error maps, per-view figures, per-vertex attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from ..mesh import Mesh
from ..mesh.normals import vertex_normals
from ..raster import make_rasteriser
from ..solve import Target

MASK_LEVEL = 0.5


@dataclass(frozen=True, eq=False)
class ViewQuality:
    """One view: the mesh rendered through its camera beside the target. Maps are on the target's pixel grid."""

    name: str
    rendered: np.ndarray  # [H, W, 3] float32 world normals, zero where the mesh is not
    error_deg: np.ndarray  # [H, W] float32 angle to the target's normals, NaN outside either
    normal_error_deg: float  # mean of it
    mask_iou: float  # intersection over union of the mesh's silhouette and the mask
    coverage: float  # share of the mask that the mesh covers


def measure(mesh: Mesh, targets: Sequence[Target], frame: HeadFrame, check: Check = unchecked) -> list[ViewQuality]:
    """Render the mesh into every view and compare. frame: any sphere about the head (numbers stay small in it)."""
    cameras = [frame.normalise(target.camera) for target in targets]
    vertices = ((mesh.vertices - frame.center) / frame.radius).astype(np.float32)
    renders = make_rasteriser("cpu", cameras).render(vertices, mesh.faces)
    found = []
    for i, target in enumerate(targets):
        check()
        normals = renders.normals[i]
        hit = renders.triangle[i] >= 0
        head = target.mask > MASK_LEVEL
        both = hit & head & (np.abs(target.normals).sum(-1) > 0)
        cosine = np.clip((normals * target.normals).sum(-1), -1, 1)
        error = np.where(both, np.degrees(np.arccos(cosine)), np.nan).astype(np.float32)
        union = (hit | head).sum()
        found.append(
            ViewQuality(
                target.camera.name,
                np.where(hit[..., None], normals, 0),
                error,
                float(error[both].mean()) if both.any() else 180.0,
                float((hit & head).sum() / union) if union else 0.0,
                float((hit & head).sum() / max(head.sum(), 1)),
            )
        )
    return found


def _seen(
    mesh: Mesh, targets: Sequence[Target], views: Sequence[ViewQuality], check: Check = unchecked
) -> Iterator[tuple[np.ndarray, ...]]:
    """For each view the vertices [n] that it sees, and its error in degrees at them [n]: a view counts where the vertex
    faces it and its pixel shows an error.
    """
    normals = vertex_normals(mesh.vertices - mesh.vertices.mean(0), mesh.faces)
    for target, view in zip(targets, views):
        check()
        camera = target.camera
        pixels, depth = camera.project(mesh.vertices)
        facing = ((camera.center - mesh.vertices) * normals).sum(1) > 0
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)
        use = np.flatnonzero(facing & inside)
        x, y = pixels[use].astype(np.int64).T
        error = view.error_deg[y, x]
        known = np.isfinite(error)
        yield use[known], error[known]


def vertex_errors(
    mesh: Mesh, targets: Sequence[Target], views: Sequence[ViewQuality], check: Check = unchecked
) -> np.ndarray:  # [V] float32
    """Mean angle in degrees between target and rendered normals at each vertex, NaN where unseen."""
    total = np.zeros(len(mesh.vertices), np.float64)
    count = np.zeros(len(mesh.vertices), np.int32)
    for vertices, error in _seen(mesh, targets, views, check):
        total[vertices] += error
        count[vertices] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def view_confidence(
    mesh: Mesh, targets: Sequence[Target], views: Sequence[ViewQuality], confidence: np.ndarray
) -> list[float]:
    """Mean of the per-vertex confidence [V] over what each view sees; 0 where it sees nothing."""
    return [float(confidence[vertices].mean()) if len(vertices) else 0.0 for vertices, _ in _seen(mesh, targets, views)]
