"""Panel "Texture": the controls of a bake and its button."""

from __future__ import annotations

import bpy

from ...scene import result as scene_result
from .sidebar import Sidebar


class SKULLPTOR_PT_texture(Sidebar, bpy.types.Panel):
    bl_label = "Texture"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return scene_result.chosen(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.skullptor_texture
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(settings, "size")
        column.prop(settings, "frontal")
        column.prop(settings, "silhouette")
        column = layout.column(heading="Photographs")
        for name in ("equalise", "fill", "back_faces", "delight"):
            column.prop(settings, name)
        layout.column(heading="Maps").prop(settings, "packed")
        layout.operator("skullptor.texture_head", icon="TEXTURE")
