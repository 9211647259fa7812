"""The settings of a run beyond its preset."""

from __future__ import annotations

import bpy

from ...link import preset_numbers
from .sidebar import Sidebar


class SKULLPTOR_PT_quality(Sidebar, bpy.types.Panel):
    bl_label = "Quality"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.skullptor
        column = layout.column()
        column.prop(settings, "normals")
        if settings.normals == "measured":
            column.prop(settings, "normals_folder")
            column.prop(settings, "normals_axes")
        column = layout.column()
        for name, label in (("max_vertices", "Max Vertices"), ("steps", "Steps"), ("smoothness", "Smoothness")):
            row = column.row(align=True, heading=label)
            row.prop(settings, f"use_{name}", text="")
            if getattr(settings, f"use_{name}"):
                row.prop(settings, name, text="")
            else:
                row.label(text=preset_numbers.number(name, settings.preset, settings.normals))
        column = layout.column()
        column.prop(settings, "refine_cameras")
        column.prop(settings, "device")
        column.prop(settings, "seed")
