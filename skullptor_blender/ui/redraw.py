"""Asks Blender to draw what changed, and no more: a redraw of the viewport costs far more than one of the sidebar."""

from __future__ import annotations

from collections.abc import Hashable

import bpy

LATER = (0.2, 0.6, 1.5)  # seconds between the drawings after a change of height
_key: Hashable = None


def _regions(context: bpy.types.Context, kind: str) -> list[bpy.types.Region]:
    manager = context.window_manager
    areas = [area for window in manager.windows for area in window.screen.areas if area.type == "VIEW_3D"]
    return [region for area in areas for region in area.regions if region.type == kind]


def panels(context: bpy.types.Context) -> None:
    """The sidebars of the 3D views."""
    for region in _regions(context, "UI"):
        region.tag_redraw()


def settle(key: Hashable) -> None:
    """From within a panel's drawing: when the key, which tells what its height comes from, is another one than last
    time, the sidebars are drawn some times more in the next seconds. Blender pushes the panels below one that has grown
    only in its next drawing, and on a busy machine the first of them may still be that of the change.
    """
    global _key
    if bpy.app.background or key == _key:
        return
    _key = key
    pauses = iter(LATER)

    def again() -> float | None:
        panels(bpy.context)
        return next(pauses, None)

    bpy.app.timers.register(again, first_interval=next(pauses))


def views(context: bpy.types.Context) -> None:
    for region in _regions(context, "WINDOW"):
        region.tag_redraw()
