"""Panel "Template": clean topology on a head, its landmarks, and how far it lies from the head."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...scene import landmarks
from ...scene import result as scene_result
from ...scene import template as scene_template
from .. import disk_cache, heat_map
from .sidebar import Sidebar, wrapped


class SKULLPTOR_PT_template(Sidebar, bpy.types.Panel):
    bl_label = "Template"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return scene_result.chosen(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.skullptor_wrap
        column = layout.column()
        column.prop(settings, "template")
        if settings.template == scene_template.OWN:
            column.prop(settings, "file")
        if settings.template == scene_template.MESH:
            column.prop(settings, "mesh")
            column.operator("skullptor.set_template_landmarks", icon="EMPTY_AXIS")
        column.prop(settings, "density")
        column.prop(settings, "rigid")
        column.prop(settings, "outside")
        column = layout.column(align=True)
        row = column.row(align=True)
        needed = {scene_template.OWN: settings.file, scene_template.MESH: settings.mesh}
        row.enabled = bool(needed.get(settings.template, True))
        button = row.operator("skullptor.wrap_template", icon="MOD_SHRINKWRAP")
        for name in scene_template.CHOICES:
            value = getattr(settings, name)
            setattr(button, name, (value.name if value else "") if name == "mesh" else value)
        made = scene_template.wrapped(context)
        if made is not None:
            asked = scene_result.stored(made, scene_template.ASKED)
            again = column.operator("skullptor.wrap_template", text="Run Again", icon="FILE_REFRESH")
            again.template = settings.template
            for name in scene_template.CHOICES:
                if name in asked:
                    setattr(again, name, asked[name])
        column.operator("skullptor.edit_landmarks", icon="EMPTY_AXIS")
        if landmarks.KEY in (context.view_layer.objects.active or {}):
            wrapped(layout, "Drag points onto their places, then Wrap Template", "INFO")
        if made is not None:
            self.draw_wrapped(layout, made)

    def draw_wrapped(self, layout: bpy.types.UILayout, made: bpy.types.Object) -> None:
        column = layout.column(align=True)
        shown = heat_map.shown(made.data) == heat_map.DISTANCE
        column.operator("skullptor.show_distance", icon="COLOR", depress=shown)
        if shown:
            wrapped(column, heat_map.LEGENDS[heat_map.DISTANCE], "INFO")
        column.operator("skullptor.add_armature", icon="ARMATURE_DATA")
        column.operator("skullptor.add_relief", icon="MOD_MULTIRES")
        report = Path(str(made.get("skullptor_report") or "nowhere")).with_suffix(".png")
        if disk_cache.cached(f"file {report}", report.is_file):
            column.operator("wm.path_open", text="Report", icon="IMAGE_DATA").filepath = str(report)
