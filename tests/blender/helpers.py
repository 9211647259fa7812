"""Small rigs and counts for the tests in Blender."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import capture_draft
from skullptor_extension.skullptor_blender.scene import capture as scene_capture


def photo(path: Path, width: int, height: int, value: int = 128) -> Path:
    """A picture with a bright first pixel, so that a flip shows."""
    rgba = np.full((height, width, 4), value, np.uint8)
    rgba[..., 3] = 255
    rgba[0, 0, :3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(capture_draft.png_of(rgba))
    return path


def look_at(eye, target=(0.0, 0.0, 0.0), roll: float = 0.0):
    """R, t of a camera at eye that looks at target, z up."""
    eye, target = np.array(eye, float), np.array(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    c, s = np.cos(roll), np.sin(roll)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ R
    return R, -R @ eye


def write_capture(folder: Path, views: int = 4, size=(64, 48), unit_mm: float = 1000.0, K=None) -> Path:
    """A capture of cameras around the origin, each a little different."""
    body = {"schema": 1, "name": "rig", "unit_mm": unit_mm, "views": []}
    for i in range(views):
        angle = 2 * np.pi * i / views + 0.1
        R, t = look_at((2 * np.cos(angle), 2 * np.sin(angle), 0.3 * (-1) ** i), roll=0.05 * i)
        f = 100.0 + i
        view_K = np.array([[f, 0, size[0] / 2 + i - 1.3], [0, f, size[1] / 2 - i + 0.7], [0, 0, 1]]) if K is None else K
        name = f"cam{i:02d}"
        photo(folder / "images" / f"{name}.png", *size, value=50 + i)
        body["views"].append(
            {
                "name": name,
                "image": f"images/{name}.png",
                "width": size[0],
                "height": size[1],
                "K": np.asarray(view_K).tolist(),
                "R": R.tolist(),
                "t": t.tolist(),
                "distortion": None,
            }
        )
    (folder / "capture.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def counts() -> dict[str, int]:
    """How many datablocks there are of each kind."""
    kinds = ("objects", "meshes", "cameras", "images", "collections", "materials", "scenes", "texts", "worlds")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def texts(log) -> list[str]:
    return [keywords["text"] for _, _, keywords in log if "text" in keywords]


BRIDGE = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
needs_bridge = pytest.mark.skipif(not BRIDGE.is_file(), reason="needs the bridge's own environment in .venv")


def read_cameras():
    """The cameras of the scene as a run would read them."""
    context = bpy.context
    settings, depsgraph = context.scene.skullptor, context.evaluated_depsgraph_get()
    folders = {name: getattr(settings, name) for name in ("image_folder", "mask_folder", "normals_folder")}
    return scene_capture.read_cameras(context.scene, context.view_layer, depsgraph, **folders)


def project(record, points: np.ndarray) -> np.ndarray:
    """World points [N, 3] to pixels [N, 2] of a ViewRecord."""
    seen = (points @ record.R.T + record.t) @ record.K.T
    return seen[:, :2] / seen[:, 2:]
