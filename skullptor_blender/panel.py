"""The sidebar: draws what is known, computes nothing slower than a look at the scene's cameras."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import bpy

from .. import __package__ as base_package
from ..bridge.protocol import MINIMUM_VIEWS
from . import heat_map, operators_result, reference_image, scene_capture, session
from .preflight import ERROR, WARNING, plural
from .preset_files import SKULLPTOR_PT_presets
from .properties import HEAT_MAPS
from .scene_result import COLOR
from .text import activity, duration, remaining

DISK_SECONDS = 2.0  # how long an answer of the disk is believed: a panel is drawn many times a second
WRAP = 44  # letters, where the width of the sidebar is unknown; a label does not wrap by itself
LABELS = {name: label for name, label, _ in HEAT_MAPS}
PROBLEMS = 4  # cameras with a problem that are named in the main panel
LETTER = 7.0  # pixels of a letter at normal interface scale, on average
_disk: dict[str, tuple[float, object]] = {}


@dataclass
class Row:
    """One camera as the panel lists it."""

    camera: str
    image: str
    problem: str = ""
    severity: str = ""
    left_out: bool = False  # the run goes on without it

    @property
    def trouble(self) -> str:
        """The problem without the camera's name before it."""
        return self.problem.removeprefix(f"Camera '{self.camera}'").lstrip(": ")

    @property
    def ready(self) -> bool:
        return bool(self.image) and self.severity != ERROR and not self.left_out


def _remembered(key: str, ask):
    now = time.monotonic()
    if key not in _disk or now - _disk[key][0] > DISK_SECONDS:
        if len(_disk) > 500:
            _disk.clear()
        _disk[key] = (now, ask())
    return _disk[key][1]


def rows(context: bpy.types.Context) -> list[Row]:
    """Each camera with its image, and its problem in a few words."""
    folder = context.scene.skullptor.image_folder
    images = _remembered(f"folder {folder}", lambda: reference_image.FolderOfImages(folder))
    told = {f.view: f for f in session.findings or () if f.severity in (ERROR, WARNING)}
    found = []
    for ob in scene_capture.cameras(context.view_layer):
        reference = reference_image.of_camera(ob, context.scene, images)
        if reference is None:
            found.append(Row(ob.name, "", "no image", "INFO"))
            continue
        row = Row(ob.name, reference.label)
        path = reference.path
        if reference.problem:
            row.problem, row.severity = reference.problem, ERROR
        elif path is not None and not _remembered(f"file {path}", path.is_file):
            row.problem, row.severity = "image is missing", ERROR
        elif ob.data.type != "PERSP":
            row.problem, row.severity = "not perspective", ERROR
        elif ob.name in told:
            finding = told[ob.name]
            row.problem, row.severity, row.left_out = finding.sentence, finding.severity, finding.drop
        found.append(row)
    return found


def letters(context: bpy.types.Context) -> int:
    """How many letters fit beside an icon in the sidebar."""
    region = context.region
    if region is None or region.type != "UI" or region.width < 50:
        return WRAP
    scale = context.preferences.system.ui_scale
    return max(16, int((region.width / scale - 75) / LETTER))


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A label for each line of a long sentence."""
    line, width = "", letters(bpy.context)
    for word in [*text.split(), ""]:
        if line and (not word or len(line) + len(word) >= width):
            layout.label(text=line, icon=icon)
            icon = "BLANK1" if icon != "NONE" else "NONE"
            line = ""
        line = f"{line} {word}".strip()


def shortened(text: str, width: int) -> str:
    """One line; the whole sentence stands in the panel of the cameras."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Skullptor"


class SKULLPTOR_PT_reconstruct(_Sidebar, bpy.types.Panel):
    bl_label = "Reconstruct Head"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        SKULLPTOR_PT_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.skullptor
        found = rows(context)
        ready = sum(row.ready for row in found)
        problems = [row for row in found if row.severity == ERROR or row.left_out]
        if job := session.running():
            self.draw_running(layout, job)
            return
        column = layout.column(align=True)
        column.label(text=f"{plural(ready, 'camera')} ready", icon="OUTLINER_OB_CAMERA")
        if problems:
            self.draw_problems(column, problems, letters(context))
        if ready < MINIMUM_VIEWS:
            wrapped(column, f"A head needs at least {MINIMUM_VIEWS} cameras with photographs", "INFO")
            column.operator("skullptor.import_capture", icon="IMPORT")
        column = layout.column()
        column.row().prop(settings, "preset", expand=True)
        button = column.row()
        button.scale_y = 1.5
        button.enabled = ready >= MINIMUM_VIEWS
        button.operator("skullptor.reconstruct_head", icon="MESH_MONKEY")
        self.draw_outcome(layout)

    def draw_problems(self, layout: bpy.types.UILayout, problems: list[Row], width: int) -> None:
        column = layout.column(align=True)
        column.alert = True
        column.label(text=f"{plural(len(problems), 'camera')} with a problem", icon="ERROR")
        for row in problems[:PROBLEMS]:
            column.label(text=shortened(f"{row.camera}: {row.trouble}", width), icon="BLANK1")
        if len(problems) > PROBLEMS:
            column.label(text=f"... and {len(problems) - PROBLEMS} more: see Cameras", icon="BLANK1")

    def draw_running(self, layout: bpy.types.UILayout, job) -> None:
        column = layout.column()
        column.progress(factor=job.fraction, text=f"{activity(job)} {job.fraction:.0%}", type="BAR")
        left = remaining(job)
        column.label(text=left[:1].upper() + left[1:] if left else "", icon="TIME" if left else "NONE")
        row = column.row(align=True)
        row.operator("skullptor.finish_now", icon="CHECKMARK")
        row.operator("skullptor.cancel", icon="X")

    def draw_outcome(self, layout: bpy.types.UILayout) -> None:
        outcome = session.outcome
        if outcome is None:
            return
        column = layout.column(align=True)
        if outcome.ok:
            column.label(text=outcome.text, icon="CHECKMARK")
            for warning in outcome.warnings[:5]:
                wrapped(column, warning, "ERROR")
            return
        sentence = column.column(align=True)
        sentence.alert = bool(outcome.code)
        wrapped(sentence, outcome.text, "ERROR" if outcome.code else "INFO")
        if outcome.cure:
            wrapped(column, outcome.cure, "BLANK1")
        if outcome.code == "no-bridge":
            column.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = base_package


class SKULLPTOR_PT_cameras(_Sidebar, bpy.types.Panel):
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
        for row in rows(context):
            line = listing.row()
            line.alert = row.severity == ERROR
            icon = "ERROR" if row.severity in (ERROR, WARNING) else "CAMERA_DATA"
            split = line.split(factor=0.4)
            split.label(text=row.camera, icon=icon)
            long = len(row.problem) >= 30
            split.label(text=row.image if long or not row.problem else row.problem)
            if long:
                told = listing.column(align=True)
                told.alert = row.severity == ERROR
                wrapped(told, row.problem, "BLANK1")
        layout.operator("skullptor.check_cameras", icon="VIEWZOOM")


class SKULLPTOR_PT_quality(_Sidebar, bpy.types.Panel):
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
            value = row.row(align=True)
            value.enabled = getattr(settings, f"use_{name}")
            value.prop(settings, name, text="")
        column = layout.column()
        column.prop(settings, "device")
        column.prop(settings, "seed")


class SKULLPTOR_PT_result(_Sidebar, bpy.types.Panel):
    bl_label = "Result"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return operators_result.chosen(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        ob = operators_result.chosen(context)
        mesh = ob.data
        column = self.layout.column(align=True)
        column.label(text=ob.name, icon="OUTLINER_OB_MESH")
        settings, run = (_stored(ob, key) for key in ("skullptor_settings", "skullptor_run"))
        made = f"{settings.get('preset', '?').title()}, {settings.get('normals', '?')} normals"
        column.label(text=made, icon="BLANK1")
        column.label(text=f"{len(mesh.vertices):,} vertices", icon="BLANK1")
        if run.get("date"):
            column.label(text=f"{run['date'].replace('T', ' ')[:16]}, {duration(run.get('seconds', 0))}", icon="BLANK1")
        column = self.layout.column(align=True)
        shown = heat_map.shown(mesh)
        column.prop(context.scene.skullptor, "heat_map", text="")
        on = shown == context.scene.skullptor.heat_map
        back = "Show Photographs" if COLOR in mesh.color_attributes else "Hide Heat Map"
        text = back if on else f"Show {LABELS[context.scene.skullptor.heat_map]}"
        column.operator("skullptor.show_confidence", text=text, icon="SHADING_TEXTURE", depress=on)
        if shown in heat_map.LEGENDS:
            wrapped(column, heat_map.LEGENDS[shown], "INFO")
        column = self.layout.column(align=True)
        column.operator("skullptor.run_again", icon="FILE_REFRESH")
        for label, path in (("Open Report", ob.get("skullptor_report")), ("Open Picture", run.get("picture"))):
            if path and _remembered(f"file {path}", Path(path).is_file):
                column.operator("wm.path_open", text=label, icon="FILE_TICK").filepath = path


def _stored(ob: bpy.types.Object, key: str) -> dict:
    """A custom property with JSON; anyone may have changed it."""
    try:
        body = json.loads(ob.get(key, "{}"))
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


CLASSES = (SKULLPTOR_PT_reconstruct, SKULLPTOR_PT_cameras, SKULLPTOR_PT_quality, SKULLPTOR_PT_result)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
