"""The sidebar: draws what is known, computes nothing slower than a look at the scene's cameras."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import bpy

from ... import __package__ as base_package
from ...bridge.service.protocol import MINIMUM_VIEWS
from ..link import session
from ..link.preflight import ERROR, WARNING, plural
from ..scene import capture as scene_capture
from ..scene import covers, reference_image
from ..scene import result as scene_result
from ..scene.result import COLOR
from . import check_report, heat_map, pictures, report_table
from .preset_files import SKULLPTOR_PT_presets
from .properties import HEAT_MAPS
from .text import activity, duration, remaining

DISK_SECONDS = 2.0  # how long an answer of the disk is believed: a panel is drawn many times a second
WRAP = 44  # letters, where the width of the sidebar is unknown; a label does not wrap by itself
LABELS = {name: label for name, label, _ in HEAT_MAPS}
TITLES = ("Camera", "Error", "Outline", "Covers", "Sure")
VIEWS = 12  # rows of the table of a report
THUMBNAIL = 4.5  # size of a picture in the sidebar, in rows
PICTURE = 100.0  # pixels of a column of pictures at normal interface scale
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


def _cached(key: str, ask):
    now = time.monotonic()
    if key not in _disk or now - _disk[key][0] > DISK_SECONDS:
        if len(_disk) > 500:
            _disk.clear()
        _disk[key] = (now, ask())
    return _disk[key][1]


def rows(context: bpy.types.Context) -> list[Row]:
    """Each camera with its image, and its problem in a few words."""
    folder = context.scene.skullptor.image_folder
    images = _cached(f"folder {folder}", lambda: reference_image.FolderOfImages(folder))
    told = {f.view: f for severity in (WARNING, ERROR) for f in session.findings or () if f.severity == severity}
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
        elif path is not None and not _cached(f"file {path}", path.is_file):
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


def select_button(layout: bpy.types.UILayout, camera: str, icon: str = "NONE") -> None:
    """A camera's name; a click selects it."""
    button = layout.row()
    button.alignment = "LEFT"
    button.operator("skullptor.select_camera", text=camera, icon=icon, emboss=False).camera = camera


def show_picture(layout: bpy.types.UILayout, kind: str, text: str) -> None:
    layout.operator("skullptor.show_picture", text=text, icon="IMAGE_DATA").kind = kind


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
            column.separator()
            column.operator("skullptor.import_capture", text="Import Capture...", icon="IMPORT")
            column.operator("skullptor.photos_to_cameras", text="Photos to Cameras...", icon="FILE_IMAGE")
        column = layout.column()
        column.row().prop(settings, "preset", expand=True)
        button = column.row()
        button.scale_y = 1.5
        button.enabled = ready >= MINIMUM_VIEWS
        button.operator("skullptor.reconstruct_head", icon="MESH_MONKEY")
        self.draw_outcome(layout)
        self.draw_covered(layout, context)

    def draw_covered(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """What was hidden because the head stands in it."""
        hidden = covers.hidden(context.view_layer)
        if hidden:
            row = layout.row(align=True)
            what = hidden[0].name if len(hidden) == 1 else plural(len(hidden), "object")
            row.label(text=f"{what} hidden", icon="HIDE_ON")
            row.operator("skullptor.show_covered", text="Show")

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
        if job.can_finish:
            row.operator("skullptor.finish_now", icon="CHECKMARK")
        row.operator("skullptor.cancel", icon="X")

    def draw_outcome(self, layout: bpy.types.UILayout) -> None:
        outcome = session.outcome
        if outcome is None:
            return
        column = layout.column(align=True)
        if outcome.ok:
            said = column.column(align=True)
            said.alert = outcome.alert
            wrapped(said, outcome.text, "ERROR" if outcome.alert else "CHECKMARK")
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
            line = listing.row(align=True)
            line.alert = row.severity == ERROR
            icon = "ERROR" if row.severity in (ERROR, WARNING) else "CAMERA_DATA"
            split = line.split(factor=0.4)
            select_button(split, row.camera, icon)
            long = len(row.problem) >= 30
            split.label(text=row.image if long or not row.problem else row.problem)
        column = layout.column(align=True)
        column.operator("skullptor.check_cameras", icon="VIEWZOOM")
        column.operator("skullptor.import_capture", text="Import Capture...", icon="IMPORT")
        column.operator("skullptor.photos_to_cameras", text="Photos to Cameras...", icon="FILE_IMAGE")
        self.draw_findings(layout)

    def draw_findings(self, layout: bpy.types.UILayout) -> None:
        if session.findings is None:
            return
        problems = check_report.together(f for f in session.findings if f.severity in (ERROR, WARNING))
        if not problems:
            layout.label(text="Nothing wrong was found in the cameras", icon="CHECKMARK")
        for finding, cameras in problems:
            box = layout.box().column(align=True)
            said = box.column(align=True)
            said.alert = finding.severity == ERROR
            wrapped(said, finding.sentence, "ERROR")
            if finding.cure:
                wrapped(box, finding.cure, "BLANK1")
            for camera in cameras:
                select_button(box, camera, "OUTLINER_OB_CAMERA")
        if session.check_picture:
            show_picture(layout, "check", "Show Rig and Coverage")


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
        column.prop(settings, "refine_cameras")
        column.prop(settings, "device")
        column.prop(settings, "seed")


class SKULLPTOR_PT_result(_Sidebar, bpy.types.Panel):
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
        column.operator("skullptor.set_scale", text="Set Scale...", icon="DRIVER_DISTANCE")
        if _cached(f"refined {ob.name}", lambda: scene_result.refined_captures(ob)):
            column.operator("skullptor.apply_refined_cameras", icon="CON_CAMERASOLVER")
        report = str(ob.get("skullptor_report") or "")
        if report and _cached(f"file {report}", Path(report).is_file):
            if run.get("picture"):
                show_picture(column, "report", "Show Report")
            column.operator("wm.path_open", text="Open Report", icon="FILE_TICK").filepath = report


class SKULLPTOR_PT_views(_Sidebar, bpy.types.Panel):
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
                    f"{row.coverage_pct:.0f} %",
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
    return _cached(f"report {path}", lambda: report_table.rows(Path(path))) if path else []


class SKULLPTOR_PT_look(_Sidebar, bpy.types.Panel):
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
        there = image is not None and _cached(f"picture {image.name_full}", lambda: pictures.is_there(image))
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
        layout.template_ID(context.camera.skullptor, "mask", open="image.open", text="Own Mask")


CLASSES = (
    SKULLPTOR_PT_reconstruct,
    SKULLPTOR_PT_cameras,
    SKULLPTOR_PT_look,
    SKULLPTOR_PT_quality,
    SKULLPTOR_PT_result,
    SKULLPTOR_PT_views,
    SKULLPTOR_PT_camera,
)


register, unregister = bpy.utils.register_classes_factory(CLASSES)
