"""The whole of a texture: UVs if there are none, albedo, detail maps, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import head_frame, rig_up
from ..capture.record import View
from ..errors import Check, unchecked
from ..files import claim_folder
from . import files
from .bake import bake
from .detail import DenseHead, bake_detail
from .settings import TextureSettings
from .unwrap import unwrap
from .uv_mesh import UvMesh, check_uvs

OVER = {False: "the mesh as it is (Simple subdivision)", True: "Catmull-Clark subdivision (UV Smooth: None)"}
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


@dataclass(frozen=True, eq=False)
class Target:
    """The mesh that is textured, its name for sentences, and where up and front of its head are."""

    name: str
    mesh: UvMesh
    up: np.ndarray  # [3] unit
    front: np.ndarray  # [3] unit

    @classmethod
    def before(cls, name: str, mesh: UvMesh, cameras: Sequence[Camera]) -> Target:
        """A head that cameras look at says by them where its front is."""
        return cls(name, mesh, *head_directions(cameras, mesh.vertices))


def texture(
    target: Target,
    views: Sequence[View],
    masks: Sequence[np.ndarray | None],
    settings: TextureSettings,
    folder: Path,
    *,
    detail_from: DenseHead | None = None,
    share: Callable[[float], None] = lambda done: None,
    check: Check = unchecked,
) -> dict[str, object]:
    """Textures a mesh and writes everything into the folder; returns what the report says.

    masks: of each view's field of view, any size, or None. detail_from: a dense head for normals, displacement and, as
    settings say, occlusion and curvature. share: told how much is done, 0 to 1.
    Raises BridgeError: uv-*, unwrap, texture-*, image-*, detail-apart, output.
    """
    claim_folder(folder)
    mesh, up, front = target.mesh, target.up, target.front
    made = not len(mesh.uv)
    if made:
        mesh = unwrap(mesh.mesh, up, front, check)
    check_uvs(mesh, target.name)
    share(UNWRAP_SHARE)

    def step(done: int, total: int) -> None:
        check()
        share(UNWRAP_SHARE + ALBEDO_SHARE * done / max(total, 1))

    albedo = bake(mesh, views, masks, np.cross(up, front), settings, step=step)
    maps = {"albedo": files.write_albedo(folder, albedo)}
    albedo = replace(albedo, maps={})  # written: memory for what follows
    check()
    extra: dict[str, object] = {}
    if detail_from is not None:
        detail = bake_detail(mesh, detail_from, settings.size, settings.extras, settings.subdivided, check=check)
        maps |= files.write_detail(folder, detail)
        heights = np.concatenate([plane.ravel() for plane in detail.displacement.values()])
        extra = {
            "displacement": {
                "mid_level": 0.0,
                "unit": "world",
                "least": float(heights.min()),
                "most": float(heights.max()),
                "over": OVER[settings.subdivided],
            },
            "detail_missed_pct": round(detail.missed_pct, 2),
        }
    if made:
        files.write_mesh(folder, mesh, maps["albedo"][0])
    files.write_report(folder, mesh, albedo, settings, {"uvs": "made" if made else "given", "maps": maps, **extra})
    share(1.0)
    return {"seen_pct": albedo.seen_pct, "maps": maps}
