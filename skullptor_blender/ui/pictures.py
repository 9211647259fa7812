"""Pictures of a run as image datablocks: made, found again, put where the artist looks. Nothing else opens editors."""

from __future__ import annotations

from pathlib import Path

import bpy

KIND = "skullptor_kind"  # custom property that tells our images; names may be changed by anyone


def load(path: Path, name: str, known: bpy.types.Image | None = None) -> bpy.types.Image:
    """The picture of a file. known: the datablock of an earlier one, which then shows the new file.

    Raises RuntimeError when the file is no picture.
    """
    if known is None or KIND not in known:
        image = bpy.data.images.load(str(path))
        image.name = name
        image[KIND] = name
        return image
    if known.packed_file is not None:
        known.unpack(method="REMOVE")
    known.filepath = str(path)
    known.reload()
    return known


def named(name: str) -> bpy.types.Image | None:
    """Our picture of this kind."""
    return next((image for image in bpy.data.images if image.get(KIND) == name), None)


def is_there(image: bpy.types.Image | None) -> bool:
    """Can it be drawn? Old runs are removed, and with them their pictures."""
    if image is None:
        return False
    return image.packed_file is not None or image.is_dirty or Path(bpy.path.abspath(image.filepath)).is_file()


def icon(image: bpy.types.Image) -> int:
    """Its thumbnail, made by Blender in the background when it is first drawn."""
    preview = image.preview_ensure()
    return preview.icon_id if preview else 0


def show(context: bpy.types.Context, image: bpy.types.Image) -> bool:
    """Put it into an Image Editor: one that is open, else a new window. False where there is no window."""
    if bpy.app.background or not context.window_manager.windows:
        return False
    window, area = _editor(context)
    if area is None:
        bpy.ops.wm.window_new()
        window = context.window_manager.windows[-1]
        area = max(window.screen.areas, key=lambda area: area.width * area.height)
        area.ui_type = "IMAGE_EDITOR"
    space = area.spaces.active
    space.mode = "VIEW"
    space.image = image
    region = next(region for region in area.regions if region.type == "WINDOW")
    with context.temp_override(window=window, area=area, region=region):
        bpy.ops.image.view_all(fit_view=True)
    area.tag_redraw()
    return True


def paint(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Switch the Image Editor that shows it to painting."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.ui_type == "IMAGE_EDITOR" and area.spaces.active.image == image:
                area.spaces.active.mode = "PAINT"


def _editor(context: bpy.types.Context) -> tuple[bpy.types.Window | None, bpy.types.Area | None]:
    """The largest Image Editor that shows; render results keep theirs."""
    found = [
        (area.width * area.height, window, area)
        for window in context.window_manager.windows
        for area in window.screen.areas
        if area.ui_type == "IMAGE_EDITOR"
        and (area.spaces.active.image is None or area.spaces.active.image.type != "RENDER_RESULT")
    ]
    best = max(found, key=lambda entry: entry[0], default=(0, None, None))
    return best[1], best[2]
