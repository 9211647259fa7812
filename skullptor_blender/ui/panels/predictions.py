"""Predicted normals and masks as pictures, and where own masks are chosen."""

from __future__ import annotations

import bpy

from ...scene import capture as scene_capture
from .. import disk_cache, pictures
from .sidebar import LETTER, Sidebar, letters, select_button, show_picture

THUMBNAIL = 4.5  # size of a picture in the sidebar, in rows
PICTURE = 100.0  # pixels of a column of pictures at normal interface scale


class SKULLPTOR_PT_look(Sidebar, bpy.types.Panel):
    bl_label = "Normals and Masks"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.skullptor
        row = layout.row(align=True)
        row.operator("skullptor.predict_normals", icon="SHADING_RENDERED")
        row.operator("skullptor.show_masks", text="", icon="MOD_MASK")
        cameras = scene_capture.predicted_cameras(context.view_layer)
        if cameras:
            show_picture(layout, "contact", "Show Contact Sheet")
            layout.row().prop(settings, "look", expand=True)
        masks = settings.look == "masks"
        if cameras:
            columns = max(1, round(letters(context) * LETTER / PICTURE))
            grid = layout.grid_flow(row_major=True, columns=columns, even_columns=True, even_rows=True, align=False)
            for ob in cameras:
                self.draw_view(grid.column(align=True), ob, masks)
        else:
            self.draw_masks(layout, context)

    def draw_view(self, layout: bpy.types.UILayout, ob: bpy.types.Object, masks: bool) -> None:
        ours = ob.data.skullptor
        image = (ours.mask or ours.predicted_mask) if masks else ours.predicted_normals
        there = image is not None and disk_cache.cached(f"picture {image.name_full}", lambda: pictures.is_there(image))
        if there:
            layout.template_icon(icon_value=pictures.icon(image), scale=THUMBNAIL)
        else:
            layout.label(text="Predict again", icon="IMAGE_DATA")
        line = layout.row(align=True)
        select_button(line, ob.name)
        if there:
            line.operator("skullptor.show_picture", text="", icon="FULLSCREEN_ENTER").camera = ob.name
        if masks:
            self.draw_mask(layout, ob)

    def draw_masks(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """Before the first prediction: own masks can be chosen all the same."""
        column = layout.column(align=True)
        for ob in scene_capture.cameras(context.view_layer):
            if ob.data.skullptor.mask:
                select_button(column, ob.name, "CAMERA_DATA")
                self.draw_mask(column, ob)

    def draw_mask(self, layout: bpy.types.UILayout, ob: bpy.types.Object) -> None:
        line = layout.row(align=True)
        line.prop(ob.data.skullptor, "mask", text="")
        line.operator("skullptor.edit_mask", text="", icon="BRUSH_DATA").camera = ob.name
