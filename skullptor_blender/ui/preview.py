"""The growing mesh in the viewport: drawn from arrays, nothing in bpy.data, nothing to undo. Absent in background."""

from __future__ import annotations

import bpy

from ..link.preview_reader import Shaded

_handle = None
_batch = None


def show(mesh: Shaded) -> None:
    """Draw this mesh from now on. The arrays go to the graphics card as they are: a few milliseconds."""
    global _handle, _batch
    if bpy.app.background:
        return
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    _batch = batch_for_shader(shader, "TRIS", {"pos": mesh.vertices, "color": mesh.colours}, indices=mesh.faces)
    if _handle is None:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


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
    global _handle, _batch
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = _batch = None
