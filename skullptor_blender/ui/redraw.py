"""Asks Blender to draw what changed, and no more: a redraw of the viewport costs far more than one of the sidebar."""

from __future__ import annotations

import bpy


def _regions(context: bpy.types.Context, kind: str) -> list[bpy.types.Region]:
    manager = context.window_manager
    areas = [area for window in manager.windows for area in window.screen.areas if area.type == "VIEW_3D"]
    return [region for area in areas for region in area.regions if region.type == kind]


def panels(context: bpy.types.Context) -> None:
    """The sidebars of the 3D views."""
    for region in _regions(context, "UI"):
        region.tag_redraw()


def panels_again() -> None:
    """Once more in a moment: a panel that has changed its height pushes those below it only in its next drawing."""

    def again() -> None:
        panels(bpy.context)

    if not bpy.app.background:
        bpy.app.timers.register(again, first_interval=0.2)


def views(context: bpy.types.Context) -> None:
    for region in _regions(context, "WINDOW"):
        region.tag_redraw()
