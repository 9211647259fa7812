"""The whole of a texture: UVs if there are none, albedo, detail maps, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import head_frame, rig_up
from ..capture.record import View
from ..errors import Check, unchecked
from ..files import claim_folder
from ..mesh import Mesh
from . import files
from .bake import bake
from .detail import bake_detail
from .settings import TextureSettings
from .unwrap import unwrap
from .uv_mesh import UvMesh, check_uvs

UNWRAP_SHARE, ALBEDO_SHARE = 0.15, 0.7  # of the time


def head_directions(cameras: Sequence[Camera], vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit up and front [3], [3] of a head in front of a rig: the horizons' up, and where most cameras stand."""
    up = rig_up(cameras)
    center = (vertices.min(0) + vertices.max(0)) / 2
    offsets = np.stack([camera.center for camera in cameras]) - center
    flat = offsets - np.outer(offsets @ up, up)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    front = flat.mean(0)
    if np.linalg.norm(front) < 0.15:  # all around: the first camera is as good as any
        front = flat[0] if np.linalg.norm(flat[0]) > 0.5 else head_frame(cameras).up
    front = front - (front @ up) * up
    return up, front / np.linalg.norm(front)


def texture(
    mesh: UvMesh,
    name: str,
    views: Sequence[View],
    masks: Sequence[np.ndarray | None],
    directions: tuple[np.ndarray, np.ndarray],
    settings: TextureSettings,
    folder: Path,
    share: Callable[[float], None] = lambda done: None,
    check: Check = unchecked,
    detail_from: tuple[str, Mesh] | None = None,
) -> dict[str, object]:
    """Textures a mesh and writes everything into the folder; returns what the report says.

    name: the mesh's, for sentences. masks: of each view's field of view, any size, or None. directions: up and front.
    share: told how much is done, 0 to 1. Raises BridgeError: uv-*, unwrap, texture-*, image-*, detail-apart,
    output. detail_from: a dense head and its name, for normals, displacement and, as settings say, occlusion and
    curvature.
    """
    claim_folder(folder)
    up, front = directions
    made = not len(mesh.uv)
    if made:
        mesh = unwrap(mesh.mesh, up, front, check)
    check_uvs(mesh, name)
    share(UNWRAP_SHARE)

    def step(done: int, total: int) -> None:
        check()
        share(UNWRAP_SHARE + ALBEDO_SHARE * done / max(total, 1))

    albedo = bake(mesh, views, masks, np.cross(up, front), settings, step)
    maps = {"albedo": files.write_albedo(folder, albedo)}
    albedo = replace(albedo, maps={})  # written: memory for what follows
    check()
    extra: dict[str, object] = {}
    if detail_from is not None:
        dense_name, dense = detail_from
        detail = bake_detail(mesh, dense, dense_name, settings.size, settings.extras, check)
        maps |= files.write_detail(folder, detail)
        heights = np.concatenate([plane.ravel() for plane in detail.displacement.values()])
        extra = {
            "displacement": {"mid_level": 0.0, "unit": "world", "least": float(heights.min()),
                             "most": float(heights.max()), "over": "the mesh as it is (Simple subdivision)"},
            "detail_missed_pct": round(detail.missed_pct, 2),
        }  # fmt: skip
    if made:
        files.write_mesh(folder, mesh, maps["albedo"][0])
    files.write_report(folder, mesh, albedo, settings, maps, made, extra)
    share(1.0)
    return {"seen_pct": albedo.seen_pct, "maps": maps}
