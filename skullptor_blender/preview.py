"""The growing mesh in the viewport: drawn from arrays, nothing in bpy.data, nothing to undo. Absent in background."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

BASE = np.array([0.62, 0.56, 0.52])
LIGHT = np.array([0.35, -0.5, 0.79])
_handle = None
_batch = None
_shown = ""


def shade(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Clay colours [V, 4] from vertex normals and a soft light from above."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces.ravel()
    normals = np.stack(
        [np.bincount(index, np.repeat(face_normals[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    light = 0.55 + 0.45 * (normals @ (LIGHT / np.linalg.norm(LIGHT)))
    colours = np.ones((len(vertices), 4), np.float32)
    colours[:, :3] = BASE * light[:, None]
    return colours


def show(path: str) -> bool:
    """Draw the mesh of a preview file from now on; True when something new is to be drawn."""
    global _handle, _batch, _shown
    if bpy.app.background or not path:
        return False
    try:
        stamp = f"{path} {Path(path).stat().st_mtime_ns}"
        if stamp == _shown:
            return False
        with np.load(path, allow_pickle=False) as file:
            vertices, faces = file["vertices"].astype(np.float32), file["faces"].astype(np.int32)
    except (OSError, ValueError, KeyError):
        return False  # replaced while we read; the next one comes soon
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    _batch = batch_for_shader(shader, "TRIS", {"pos": vertices, "color": shade(vertices, faces)}, indices=faces)
    _shown = stamp
    if _handle is None:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")
    return True


def _draw() -> None:
    if _batch is None:
        return
    import gpu

    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    gpu.state.face_culling_set("BACK")
    shader.bind()
    _batch.draw(shader)
    gpu.state.face_culling_set("NONE")
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")


def hide() -> None:
    global _handle, _batch, _shown
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = _batch = None
    _shown = ""
