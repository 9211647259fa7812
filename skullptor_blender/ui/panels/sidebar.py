"""What the sidebar's panels share: their place, and text that fits its width."""

from __future__ import annotations

import bpy

WRAP = 44  # letters, where the width of the sidebar is unknown; a label does not wrap by itself
LETTER = 7.0  # pixels of a letter at normal interface scale, on average


class Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Skullptor"


def letters(context: bpy.types.Context) -> int:
    """How many letters fit beside an icon in the sidebar."""
    region = context.region
    if region is None or region.type != "UI" or region.width < 50:
        return WRAP
    scale = context.preferences.system.ui_scale
    return max(16, int((region.width / scale - 75) / LETTER))


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A label for each line of a long sentence."""
    line, width = "", letters(bpy.context)
    for word in [*text.split(), ""]:
        if line and (not word or len(line) + len(word) >= width):
            layout.label(text=line, icon=icon)
            icon = "BLANK1" if icon != "NONE" else "NONE"
            line = ""
        line = f"{line} {word}".strip()


def shortened(text: str, width: int) -> str:
    """One line; the whole sentence stands in the panel of the cameras."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def select_button(layout: bpy.types.UILayout, camera: str, icon: str = "NONE") -> None:
    """A camera's name; a click selects it."""
    button = layout.row()
    button.alignment = "LEFT"
    button.operator("skullptor.select_camera", text=camera, icon=icon, emboss=False).camera = camera


def hidden_head(layout: bpy.types.UILayout, head: bpy.types.Object) -> bool:
    """Is the head hidden, as beside its sculpt mesh? Then one click shows it."""
    if head.visible_get():
        return False
    row = layout.row(align=True)
    row.label(text=f"{head.name} hidden", icon="HIDE_ON")
    row.operator("skullptor.show_head", text="Show")
    return True


def show_picture(layout: bpy.types.UILayout, kind: str, text: str) -> None:
    layout.operator("skullptor.show_picture", text=text, icon="IMAGE_DATA").kind = kind
