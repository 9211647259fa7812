"""The chosen head: how it was made, what can be done with it, and how well each view agrees."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...scene import result as scene_result
from .. import disk_cache, report_table
from ..text import duration
from .sidebar import Sidebar, select_button, show_picture

TITLES = ("Camera", "Error", "Edge", "Seen", "Sure")
VIEWS = 12  # rows of the table of a report


class SKULLPTOR_PT_result(Sidebar, bpy.types.Panel):
    bl_label = "Result"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return scene_result.chosen(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        ob = scene_result.chosen(context)
        mesh = ob.data
        column = self.layout.column(align=True)
        column.label(text=ob.name, icon="OUTLINER_OB_MESH")
        settings, run = (scene_result.stored(ob, key) for key in ("skullptor_settings", "skullptor_run"))
        made = f"{settings.get('preset', '?').title()}, {settings.get('normals', '?')} normals"
        column.label(text=made, icon="BLANK1")
        column.label(text=f"{len(mesh.vertices):,} vertices", icon="BLANK1")
        if run.get("date"):
            column.label(text=f"{run['date'].replace('T', ' ')[:16]}, {duration(run.get('seconds', 0))}", icon="BLANK1")
        column = self.layout.column(align=True)
        column.operator("skullptor.run_again", icon="FILE_REFRESH")
        row = column.row(align=True)
        row.enabled = ob.visible_get()  # the panel above shows a hidden one
        row.operator("skullptor.trim_at_neck", icon="MOD_BOOLEAN")
        row = column.row(align=True)
        for faces, text in (("5000", "Sculpt Mesh 5k"), ("20000", "20k")):
            row.operator("skullptor.sculpt_mesh", text=text, icon="MOD_MULTIRES").faces = faces
        if disk_cache.cached(f"refined {ob.name}", lambda: scene_result.refined_captures(ob)):
            column.operator("skullptor.apply_refined_cameras", icon="CON_CAMERASOLVER")
        report = str(ob.get("skullptor_report") or "")
        if report and disk_cache.cached(f"file {report}", Path(report).is_file):
            if run.get("picture"):
                show_picture(column, "report", "Report")
            else:
                column.operator("wm.path_open", text="Report", icon="FILE_TICK").filepath = report


class SKULLPTOR_PT_views(Sidebar, bpy.types.Panel):
    bl_label = "Views"
    bl_parent_id = "SKULLPTOR_PT_result"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(table(context))

    def draw(self, context: bpy.types.Context) -> None:
        """The worst view first: how far head and photographs differ, how well outlines agree, how much is covered."""
        found = table(context)
        column = self.layout.column(align=True)
        for row in (None, *found[:VIEWS]):
            line = column.split(factor=0.34)
            cells = TITLES[1:]
            if row is None:
                line.label(text=TITLES[0])
            else:
                line.alert = row.poor
                select_button(line, row.name)
                cells = (
                    f"{row.error_deg:.1f}°",
                    f"{row.mask_iou:.1%}",
                    f"{row.coverage_pct:.0f}%",
                    f"{row.confidence:.0%}",
                )
            line = line.row(align=True)
            for text in cells:
                line.label(text="-" if "nan" in text else text)
        if len(found) > VIEWS:
            self.layout.label(text=f"... and {len(found) - VIEWS} better ones")


def table(context: bpy.types.Context) -> list[report_table.ViewRow]:
    """The views of the chosen head's run, as long as its report is on the disk."""
    ob = scene_result.chosen(context)
    path = str(ob.get("skullptor_report") or "") if ob is not None else ""
    return disk_cache.cached(f"report {path}", lambda: report_table.rows(Path(path))) if path else []
