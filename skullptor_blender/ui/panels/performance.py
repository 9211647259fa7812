"""Panel "Performance": one head through the frames of image sequences; shown where a camera has one."""

from __future__ import annotations

import bpy

from ...scene import rigs
from ...scene import template as scene_template
from .sidebar import Sidebar, wrapped


class SKULLPTOR_PT_performance(Sidebar, bpy.types.Panel):
    bl_label = "Performance"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return any(
            background.image is not None and background.image.source == "SEQUENCE"
            for ob in rigs.cameras(rigs.active(context.scene), context.view_layer)
            for background in ob.data.background_images
        )

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = scene.skullptor_wrap
        column = layout.column(align=True)
        column.prop(scene, "frame_start", text="Frames")
        column.prop(scene, "frame_end", text="End")
        column = layout.column()
        column.prop(settings, "template")
        if settings.template == scene_template.OWN:
            column.prop(settings, "file")
        if settings.template == scene_template.MESH:
            wrapped(column, "A performance takes a file: export the mesh as OBJ", "INFO")
        row = column.row()
        row.enabled = settings.template != scene_template.MESH and (
            settings.template != scene_template.OWN or bool(settings.file)
        )
        button = row.operator("skullptor.solve_performance", icon="RENDER_ANIMATION")
        button.template = settings.file if settings.template == scene_template.OWN else settings.template
