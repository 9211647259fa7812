"""Which cameras take part, with which photographs, and what the check said of them."""

from __future__ import annotations

import bpy

from ...link import session
from ...link.preflight import ERROR, WARNING
from ...scene import rigs
from .. import check_report
from ..camera_rows import Row, findings, rows
from .messages import draw_remedy, remedy_of
from .sidebar import Sidebar, select_button, show_picture, wrapped


class SKULLPTOR_PT_cameras(Sidebar, bpy.types.Panel):
    bl_label = "Cameras"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(context.scene.skullptor, "image_folder")
        column.prop(context.scene.skullptor, "mask_folder")
        listing = layout.column(align=True)
        listing.use_property_split = False  # or the ticks stand in the middle, and the names are cut off
        self.draw_listing(listing, context)
        column = layout.column(align=True)
        column.operator("skullptor.check_cameras", icon="VIEWZOOM")
        column.operator("skullptor.add_photographs", text="Photographs or Cameras...", icon="FILE_IMAGE")
        column.operator("skullptor.photo_to_head", text="Photo to Head...", icon="USER")
        self.draw_findings(layout, context)

    def draw_listing(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """A line a camera: its tick, its name, its photograph or its problem, and an eye to look through it."""
        told = {row.camera: row for row in rows(context)}
        space = context.space_data
        view = space if space is not None and space.type == "VIEW_3D" else None
        for ob in rigs.cameras(rigs.active(context.scene), context.view_layer):
            row = told.get(ob.name, Row(ob.name, "left out"))
            line = layout.row(align=True)
            line.prop(ob.data.skullptor, "use", text="")
            line.active = ob.name in told
            line.alert = row.severity == ERROR
            split = line.split(factor=0.4)
            select_button(split, ob.name, "ERROR" if row.severity in (ERROR, WARNING) else "NONE")
            long = len(row.problem) >= 30
            split.label(text=row.image if long or not row.problem else row.problem)
            through = view is not None and view.region_3d.view_perspective == "CAMERA" and view.camera == ob
            if through:
                line.operator("view3d.view_camera", text="", icon="HIDE_OFF", depress=True)
            else:
                button = line.operator("skullptor.select_camera", text="", icon="HIDE_OFF", emboss=False)
                button.camera, button.look_through = ob.name, True

    def draw_findings(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        found = findings(context)
        if found is None:
            return
        problems = check_report.together(f for f in found if f.severity in (ERROR, WARNING))
        if not problems:
            layout.label(text="Nothing wrong was found", icon="CHECKMARK")
        for finding, cameras in problems:
            box = layout.box().column(align=True)
            said = box.column(align=True)
            said.alert = finding.severity == ERROR
            wrapped(said, finding.sentence, "ERROR")
            if finding.cure:
                wrapped(box, finding.cure, "BLANK1")
            for camera in cameras:
                line = box.row(align=True)
                select_button(line, camera, "OUTLINER_OB_CAMERA")
                line.operator("skullptor.leave_out", text="Leave Out").cameras = camera
            if not cameras and (action := remedy_of(finding, context)) is not None:
                draw_remedy(box, action)
        if session.check_picture:
            show_picture(layout, "check", "Show Rig and Coverage")
