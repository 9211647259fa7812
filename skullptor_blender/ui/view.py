"""The 3D view that the artist looks at: stood in front of a rig or a head, and known when it was turned since.

Nothing of the scene is changed, and where there is no window nothing happens.
"""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..scene.subject import Subject

SENSOR = 0.72  # half of what a view shows along its longer side, at a distance of 1 and a lens of 50 mm
ASIDE = np.radians(20.0)  # a head is shown a little from its side
ABOVE = np.radians(6.0)
FILL = 0.62  # of the view's smaller side
_MOVED = 1e-3
_placed: tuple | None = None  # where we have put the view last


def space(context: bpy.types.Context) -> tuple[bpy.types.Area, bpy.types.SpaceView3D] | None:
    """The 3D view that counts: the one that was clicked in, else the largest of the window."""
    if bpy.app.background or context.window is None:
        return None
    area = context.area
    if area is None or area.type != "VIEW_3D":
        areas = [area for area in context.window.screen.areas if area.type == "VIEW_3D"]
        area = max(areas, key=lambda area: area.width * area.height, default=None)
    return (area, area.spaces.active) if area is not None else None


def look_at(context: bpy.types.Context, subject: Subject, fill: float = FILL) -> None:
    """Stand in front of the subject, a little to its side, so near that it fills the view."""
    global _placed
    found = space(context)
    if found is None:
        return
    area, view = found
    region = next(region for region in area.regions if region.type == "WINDOW")
    sidebar = next((r.width for r in area.regions if r.type == "UI" and r.alignment == "RIGHT" and r.width > 1), 0)
    width, height = max(region.width - sidebar, 50), max(region.height, 50)
    reach = SENSOR * 50.0 / view.lens / max(region.width, region.height)  # half a pixel at a distance of 1
    distance = max(subject.half_height / height, subject.half_width / width) / (reach * fill)
    view_3d = view.region_3d
    view_3d.view_perspective = "PERSP"
    view_3d.view_rotation = Matrix(facing(subject).tolist()).to_quaternion()
    right = view_3d.view_rotation @ Vector((1.0, 0.0, 0.0))
    # the sidebar lies over the view: the middle of what is free lies beside the view's
    view_3d.view_location = Vector(subject.center) + right * (sidebar * reach * distance)
    view_3d.view_distance = distance
    view.clip_end = max(view.clip_end, 20 * distance)
    view.clip_start = min(view.clip_start, 0.02 * distance)
    _placed = _pose(view_3d)


def facing(subject: Subject) -> np.ndarray:  # [3, 3]
    """The view's axes as columns: right, up, towards the viewer."""
    up = subject.up / np.linalg.norm(subject.up)
    front = subject.front - up * (subject.front @ up)
    if np.linalg.norm(front) < 1e-6:
        front = np.cross(up, [1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.cross(up, [0.0, 1.0, 0.0])
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    front = np.cos(ASIDE) * front + np.sin(ASIDE) * side
    towards = np.cos(ABOVE) * front + np.sin(ABOVE) * up
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards], axis=1)


def untouched(context: bpy.types.Context) -> bool:
    """Does the view still stand where look_at has put it?"""
    found = space(context)
    return found is not None and _placed is not None and _same(_pose(found[1].region_3d), _placed)


def through_camera(context: bpy.types.Context) -> bpy.types.Object | None:
    """The camera that the artist looks through."""
    found = space(context)
    if found is None or found[1].region_3d.view_perspective != "CAMERA":
        return None
    return found[1].camera


def hide_relationship_lines(context: bpy.types.Context) -> None:
    """The dashed lines from the cameras to their rig's empty: they all cross in the head."""
    if found := space(context):
        found[1].overlay.show_relationship_lines = False


def show_colors(context: bpy.types.Context, kind: str = "VERTEX") -> None:
    """Solid views show materials' own colours, unless they are told to show those of the vertices."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                shading = area.spaces.active.shading
                if shading.type in {"SOLID", "WIREFRAME"}:
                    shading.color_type = kind


def _pose(view_3d: bpy.types.RegionView3D) -> tuple:
    return (view_3d.view_perspective, *view_3d.view_location, *view_3d.view_rotation, view_3d.view_distance)


def _same(a: tuple, b: tuple) -> bool:
    scale = max(abs(b[-1]), 1e-9)
    return a[0] == b[0] and all(abs(x - y) <= _MOVED * max(scale, 1.0) for x, y in zip(a[1:], b[1:]))
