"""Panel "Texture": the controls of a bake and its button."""

from __future__ import annotations

import bpy

from ...scene import result as scene_result
from ...scene import rigs
from ...scene import template as scene_template
from .sidebar import Sidebar, select_button


class SKULLPTOR_PT_texture(Sidebar, bpy.types.Panel):
    bl_label = "Texture"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return scene_template.wrapped(context) is not None or scene_result.chosen(context) is not None

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
        for name in ("equalise", "vignetting", "fill", "back_faces", "delight"):
            column.prop(settings, name)
        column = layout.column()
        if scene_template.wrapped(context) is not None:
            column.prop(settings, "details")
        column = layout.column(heading="Maps")
        column.prop(settings, "deep")
        column.prop(settings, "packed")
        column = layout.column()
        head = scene_template.wrapped(context) or scene_result.chosen(context)
        column.enabled = head.visible_get()  # else nobody would see it
        column.operator("skullptor.texture_head", icon="TEXTURE")


class SKULLPTOR_PT_texture_photographs(Sidebar, bpy.types.Panel):
    bl_label = "Photographs"
    bl_parent_id = "SKULLPTOR_PT_texture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """A tick a photograph: may it give colours? And its mask, to paint out what is no head."""
        column = self.layout.column(align=True)
        for ob in rigs.cameras(rigs.active(context.scene), context.view_layer):
            if ob.data.skullptor.use:
                line = column.row(align=True)
                line.prop(ob.data.skullptor, "texture", text="")
                select_button(line, ob.name)
                line.operator("skullptor.edit_mask", text="", icon="BRUSH_DATA").camera = ob.name
