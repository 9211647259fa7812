"""A template's displacement as modifiers: the head's shape on the template's quads, in every view and engine."""

from __future__ import annotations

from pathlib import Path

import bpy

SUBDIVISION, DISPLACE = "Skullptor Subdivision", "Skullptor Displacement"
VIEWPORT_LEVELS, RENDER_LEVELS = 2, 4


def put_on(ob: bpy.types.Object, path: Path, packed: bool) -> None:
    """Give an object the heights of an EXR over Catmull and Clark's subdivision, in place of those it had.

    Its UVs stay linear inside each polygon, as the heights were measured.
    """
    take_off(ob)
    image = bpy.data.images.load(str(path))
    if not packed and bpy.data.filepath:  # file and folder may move together
        image.filepath = bpy.path.relpath(str(path))
    image.colorspace_settings.name = "Non-Color"
    if packed:
        image.pack()
    texture = bpy.data.textures.new(f"{ob.name} Heights", "IMAGE")
    texture.image, texture.use_clamp, texture.extension = image, False, "EXTEND"  # heights may be negative
    smooth = ob.modifiers.new(SUBDIVISION, "SUBSURF")
    smooth.uv_smooth = "NONE"
    smooth.levels, smooth.render_levels = VIEWPORT_LEVELS, RENDER_LEVELS
    lift = ob.modifiers.new(DISPLACE, "DISPLACE")
    lift.texture, lift.texture_coords, lift.uv_layer = texture, "UV", ob.data.uv_layers.active.name
    lift.mid_level, lift.strength = 0.0, 1.0
    if ob.vertex_groups.get("skin") is not None:  # eyes and teeth have no heights
        lift.vertex_group = "skin"


def take_off(ob: bpy.types.Object) -> None:
    """Without the modifiers that put_on made."""
    for name in (SUBDIVISION, DISPLACE):
        if (modifier := ob.modifiers.get(name)) is not None:
            ob.modifiers.remove(modifier)
