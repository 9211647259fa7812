"""How well the photographs saw each vertex of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from ..mesh import Mesh
from ..mesh.normals import vertex_normals
from ..raster.look import look
from ..side_by_side import side_by_side
from .targets import Target

DEPTH_TOLERANCE = 0.01  # of the mesh's radius: how far behind the rendered surface a vertex still counts as seen
FACING_LIMIT = 0.15  # cosine between normal and ray below which a vertex does not count as seen
ENOUGH = 1.5  # sum of facing cosines over the views at which confidence reaches 1 - 1/e


@dataclass(frozen=True, eq=False)
class Coverage:
    """How well the views together saw each vertex."""

    view_count: np.ndarray  # [V] int32: views in which the vertex is visible and faces the camera
    confidence: np.ndarray  # [V] float32 0..1: 0 = seen by no view, near 1 = seen head-on by several


def coverage(mesh: Mesh, targets: Sequence[Target], check: Check = unchecked) -> Coverage:
    """Visibility (rendered depth), facing angle and the maps' own weight of every vertex in every view."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    frame = HeadFrame((low + high) / 2, float(np.linalg.norm(high - low) / 2), np.array([0.0, 0.0, 1.0]))
    cameras = [frame.normalise(target.camera) for target in targets]
    vertices = (mesh.vertices - frame.center) / frame.radius
    normals = vertex_normals(vertices, mesh.faces)
    count = np.zeros(len(vertices), np.int32)
    evidence = np.zeros(len(vertices))

    def seen_from(view: tuple[Target, Camera]) -> tuple[np.ndarray, np.ndarray]:  # [V] bool, [V]
        check()
        target, camera = view
        depth, _ = look(camera, vertices, mesh.faces)
        pixels, z = camera.project(vertices)
        ray = vertices - camera.center
        cosine = -(normals * ray).sum(1) / np.linalg.norm(ray, axis=1)
        column = np.floor(pixels[:, 0])
        row = np.floor(pixels[:, 1])
        inside = (z > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        column, row = np.where(inside, column, 0).astype(int), np.where(inside, row, 0).astype(int)
        # the pixel's depth is at its centre, half a pixel away: a slanted surface is deeper there by up to this much
        slant = z / camera.K[0, 0] / np.maximum(cosine, FACING_LIMIT)
        visible = inside & (z < depth[row, column] + DEPTH_TOLERANCE + slant) & (depth[row, column] > 0)
        seen = visible & (cosine > FACING_LIMIT) & (target.mask[row, column] > 0.5)
        weight = 1.0 if target.weight is None else target.weight[row, column]
        return seen, np.where(seen, cosine * weight, 0)

    for seen, told in side_by_side(seen_from, list(zip(targets, cameras, strict=True))):
        count += seen
        evidence += told
    return Coverage(count, (1 - np.exp(-evidence / ENOUGH)).astype(np.float32))
