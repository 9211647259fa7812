"""Objects that stand in front of a head or around it: hidden while it is looked at, shown again when asked for."""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np

from .result import is_result

KEY = "skullptor_covered"  # custom property of an object that we have hidden
_SOLID = {"MESH", "CURVE", "SURFACE", "META", "FONT", "VOLUME", "POINTCLOUD", "CURVES", "GPENCIL", "GREASEPENCIL"}
_SEEN_THROUGH = {"WIRE", "BOUNDS"}


def covering(view_layer: bpy.types.ViewLayer, center: np.ndarray, radius: float) -> list[bpy.types.Object]:
    """The visible objects that reach into a sphere [3] of the world, heads excepted."""
    found = []
    for ob in view_layer.objects:
        if ob.type not in _SOLID or is_result(ob) or ob.display_type in _SEEN_THROUGH:
            continue
        if ob.hide_get(view_layer=view_layer) or not ob.visible_get(view_layer=view_layer):
            continue
        corners = np.array(ob.bound_box) @ np.array(ob.matrix_world)[:3, :3].T + np.array(ob.matrix_world)[:3, 3]
        nearest = np.clip(center, corners.min(0), corners.max(0))
        if np.linalg.norm(nearest - center) <= radius:
            found.append(ob)
    return found


def hide(view_layer: bpy.types.ViewLayer, objects: Iterable[bpy.types.Object]) -> tuple[str, ...]:
    """Hide them in the viewport; their names, because an undo makes objects anew."""
    names = []
    for ob in objects:
        ob[KEY] = True
        ob.hide_set(True, view_layer=view_layer)
        names.append(ob.name)
    return tuple(names)


def hidden(view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """What we have hidden and nobody has shown again."""
    return [ob for ob in view_layer.objects if KEY in ob and ob.hide_get(view_layer=view_layer)]


def show_again(view_layer: bpy.types.ViewLayer, names: Iterable[str] | None = None) -> int:
    """Show what was hidden; names: only these. How many there were."""
    wanted = None if names is None else set(names)
    count = 0
    for ob in hidden(view_layer):
        if wanted is None or ob.name in wanted:
            ob.hide_set(False, view_layer=view_layer)
            del ob[KEY]
            count += 1
    return count
