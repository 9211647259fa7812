"""The sidebar: draws what is known, computes nothing slower than a look at the scene's cameras."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import bpy

from ...bridge.service.protocol import MINIMUM_VIEWS
from ..link import session
from ..link.preflight import ERROR, WARNING, Finding, plural
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..scene import covers, reference_image, rigs
from ..scene import result as scene_result
from . import check_report, heat_map, pictures, preferences, report_table
from .preset_files import SKULLPTOR_PT_presets
from .text import activity, duration, remaining

DISK_SECONDS = 2.0  # how long an answer of the disk is believed: a panel is drawn many times a second
WRAP = 44  # letters, where the width of the sidebar is unknown; a label does not wrap by itself
LOOKS = (
    (heat_map.CLAY, "Clay"),
    (heat_map.PHOTOGRAPHS, "Photographs"),
    (heat_map.CONFIDENCE, "Confidence"),
    (heat_map.NORMAL_ERROR, "Error"),
)
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
    """Each used camera with its image, and its problem in a few words."""
    folder = context.scene.skullptor.image_folder
    images = _cached(f"folder {folder}", lambda: reference_image.FolderOfImages(folder))
    told = {f.view: f for severity in (WARNING, ERROR) for f in findings(context) or () if f.severity == severity}
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


def findings(context: bpy.types.Context) -> list[Finding] | None:
    """What the last check said; None when the cameras have changed since."""
    if session.findings is None or session.findings_about not in ("", scene_capture.signature(context.view_layer)):
        return None
    return session.findings


def engine(context: bpy.types.Context) -> bool:
    """Is the engine set up?"""

    def ask() -> bool:
        try:
            return bool(preferences.interpreter(context))
        except WorkerError:
            return False

    return _cached("engine", ask)


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
        if job := session.running():
            self.draw_running(layout, job)
            return
        self.draw_set_up(layout, context)
        found = rows(context)
        ready = sum(row.ready for row in found)
        problems = [row for row in found if row.severity == ERROR or row.left_out]
        column = layout.column(align=True)
        self.draw_rigs(column, context, ready)
        if problems:
            self.draw_problems(column, problems, ready, letters(context))
        if ready < MINIMUM_VIEWS:
            wrapped(column, f"A head needs at least {MINIMUM_VIEWS} cameras with photographs", "INFO")
            column.separator()
            column.operator("skullptor.add_photographs", text="Photographs or Cameras...", icon="FILE_IMAGE")
            if not found:
                column.operator("skullptor.import_demo", icon="MONKEY")
        column = layout.column()
        column.row().prop(settings, "preset", expand=True)
        button = column.row()
        button.scale_y = 1.5
        button.enabled = ready >= MINIMUM_VIEWS
        button.operator("skullptor.reconstruct_head", icon="MESH_MONKEY")
        self.draw_outcome(layout, context)
        self.draw_covered(layout, context)
        self.draw_view(layout, context, ready)

    def draw_set_up(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """The first row as long as there is no engine."""
        if job := session.setting_up():
            preferences.draw_set_up_progress(layout.box(), job)
            return
        if engine(context):
            return
        box = layout.box().column()
        box.label(text=f"One-time set-up, {preferences.download_size(context)}", icon="IMPORT")
        preferences.draw_set_up_button(context, box)
        if session.set_up is not None and session.set_up.error:
            said = box.column(align=True)
            said.alert = True
            wrapped(said, session.set_up.error.sentence, "ERROR")
            wrapped(box, session.set_up.error.cure)

    def draw_rigs(self, layout: bpy.types.UILayout, context: bpy.types.Context, ready: int) -> None:
        """One line a rig, the one in use marked; a single rig is one line."""
        used = rigs.active(context.scene)
        listed = rigs.rigs(context.scene)
        if len(listed) > 1:
            for rig in listed:
                line = layout.row(align=True)
                mine = rig.id == used.id
                line.operator(
                    "skullptor.use_rig", text="", icon="RADIOBUT_ON" if mine else "RADIOBUT_OFF", emboss=False
                ).rig = rig.id
                if mine and rig.collection:
                    line.prop(rig.collection, "name", text="")
                else:
                    line.label(text=rig.name)
                count = ready if mine else sum(1 for _ in rigs.cameras(rig, context.view_layer))
                line.label(text=str(count), icon="OUTLINER_OB_CAMERA")
                head = bool(scene_result.of_rig(rig, context.view_layer))
                line.label(text="", icon="OUTLINER_OB_MESH" if head else "BLANK1")
        layout.label(text=f"{plural(ready, 'camera')} ready", icon="OUTLINER_OB_CAMERA")

    def draw_covered(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """What was hidden because the head stands in it."""
        hidden = covers.hidden(context.view_layer)
        if hidden:
            row = layout.row(align=True)
            what = hidden[0].name if len(hidden) == 1 else plural(len(hidden), "object")
            row.label(text=f"{what} hidden", icon="HIDE_ON")
            row.operator("skullptor.show_covered", text="Show")

    def draw_view(self, layout: bpy.types.UILayout, context: bpy.types.Context, ready: int) -> None:
        """How the head is looked at, and what of the rig shows."""
        settings = context.scene.skullptor
        head = scene_result.chosen(context)
        column = layout.column(align=True)
        if head is not None:
            shown = heat_map.shown(head.data)
            grid = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
            for what, text in LOOKS:
                grid.operator("skullptor.show_confidence", text=text, depress=shown == what).show = what
            if shown in heat_map.LEGENDS:
                wrapped(column, heat_map.LEGENDS[shown], "INFO")
        rig = rigs.active(context.scene)
        if rig.collection is not None and ready:
            row = column.row(align=True)
            row.prop(settings, "show_cameras", toggle=True, icon="CAMERA_DATA")
            row.prop(settings, "show_photographs", toggle=True, icon="IMAGE_DATA")
            if settings.show_photographs:
                column.prop(settings, "photograph_blend", slider=True)

    def draw_problems(self, layout: bpy.types.UILayout, problems: list[Row], ready: int, width: int) -> None:
        column = layout.column(align=True)
        column.alert = True
        column.label(text=f"{plural(len(problems), 'camera')} with a problem", icon="ERROR")
        for row in problems[:PROBLEMS]:
            column.label(text=shortened(f"{row.camera}: {row.trouble}", width), icon="BLANK1")
        if len(problems) > PROBLEMS:
            column.label(text=f"... and {len(problems) - PROBLEMS} more: see Cameras", icon="BLANK1")
        if ready >= MINIMUM_VIEWS:
            text = f"Use the Other {ready}"
            operator = layout.operator("skullptor.leave_out", text=text, icon="CHECKMARK")
            operator.cameras = "\n".join(row.camera for row in problems)

    def draw_running(self, layout: bpy.types.UILayout, job) -> None:
        column = layout.column()
        column.progress(factor=job.fraction, text=f"{activity(job)} {job.fraction:.0%}", type="BAR")
        left = remaining(job)
        column.label(text=left[:1].upper() + left[1:] if left else "", icon="TIME" if left else "NONE")
        row = column.row(align=True)
        if job.can_finish:
            row.operator("skullptor.finish_now", icon="CHECKMARK")
        row.operator("skullptor.cancel", icon="X")

    def draw_outcome(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """One line and what else there is to say behind Details."""
        outcome = session.outcome
        if outcome is None or (outcome.code == "no-bridge" and engine(context)):
            return
        column = layout.column(align=True)
        said = column.column(align=True)
        if outcome.ok:
            said.alert = outcome.alert
            wrapped(said, outcome.text, "ERROR" if outcome.alert else "CHECKMARK")
        else:
            said.alert = bool(outcome.code)
            wrapped(said, outcome.text, "ERROR" if outcome.code else "INFO")
            if outcome.cure:
                wrapped(column, outcome.cure, "BLANK1")
        self.draw_warnings(column, context, outcome.warnings)
        if outcome.code:
            column.operator("skullptor.copy_report", icon="COPYDOWN")

    def draw_warnings(self, layout: bpy.types.UILayout, context: bpy.types.Context, warnings: list[str]) -> None:
        if not warnings:
            return
        manager = context.window_manager
        width = letters(context)
        if len(warnings) == 1 and len(warnings[0]) <= width:
            layout.label(text=warnings[0], icon="INFO")
            return
        row = layout.row(align=True)
        row.label(text=shortened(warnings[0], width - 8), icon="INFO")
        row.prop(manager, "skullptor_details", text="Details", toggle=True)
        if manager.skullptor_details:
            for warning in warnings:
                wrapped(layout, warning, "DOT")


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
        self.draw_listing(layout.column(align=True), context)
        column = layout.column(align=True)
        column.operator("skullptor.check_cameras", icon="VIEWZOOM")
        column.operator("skullptor.add_photographs", text="Photographs or Cameras...", icon="FILE_IMAGE")
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
            layout.label(text="Nothing wrong was found in the cameras", icon="CHECKMARK")
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
        column.operator("skullptor.run_again", icon="FILE_REFRESH")
        column.operator("skullptor.trim_at_neck", icon="MOD_BOOLEAN")
        column.operator("skullptor.centre_head", icon="MOD_MIRROR")
        column.operator("skullptor.set_scale", text="Set Scale...", icon="DRIVER_DISTANCE")
        if _cached(f"refined {ob.name}", lambda: scene_result.refined_captures(ob)):
            column.operator("skullptor.apply_refined_cameras", icon="CON_CAMERASOLVER")
        report = str(ob.get("skullptor_report") or "")
        if report and _cached(f"file {report}", Path(report).is_file):
            if run.get("picture"):
                show_picture(column, "report", "Report")
            else:
                column.operator("wm.path_open", text="Report", icon="FILE_TICK").filepath = report


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
        layout.template_ID(context.camera.skullptor, "mask", open="image.open", text="Custom Mask")


CLASSES = (
    SKULLPTOR_PT_reconstruct,
    SKULLPTOR_PT_cameras,
    SKULLPTOR_PT_look,
    SKULLPTOR_PT_quality,
    SKULLPTOR_PT_result,
    SKULLPTOR_PT_views,
    SKULLPTOR_PT_camera,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.WindowManager.skullptor_details = bpy.props.BoolProperty(
        name="Details", description="Show all that was said about the last run"
    )


def unregister() -> None:
    del bpy.types.WindowManager.skullptor_details
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
