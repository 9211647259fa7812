"""In the properties of a camera: its own mask."""

from __future__ import annotations

import bpy


class SKULLPTOR_PT_camera(bpy.types.Panel):
    """In the properties of a camera, so that a mask can be given before anything was predicted."""

    bl_label = "Skullptor"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "data"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.camera is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.template_ID(context.camera.skullptor, "mask", open="image.open", text="Custom Mask")
