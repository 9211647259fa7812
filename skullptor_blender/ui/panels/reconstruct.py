"""The sidebar's first panel: set-up, rigs, the button, its progress and what came of it."""

from __future__ import annotations

import bpy

from ....bridge.service.protocol import MINIMUM_VIEWS
from ...link import session
from ...link.preflight import ERROR, plural
from ...link.worker import WorkerError
from ...scene import covers, keep, rigs
from ...scene import result as scene_result
from .. import disk_cache, heat_map, preferences, redraw
from ..camera_rows import Row, rows
from ..preset_files import SKULLPTOR_PT_presets
from ..text import activity, time_line
from .messages import draw_outcome
from .sidebar import Sidebar, hidden_head, letters, shortened, wrapped

LOOKS = (
    (heat_map.CLAY, "Clay"),
    (heat_map.PHOTOGRAPHS, "Photographs"),
    (heat_map.CONFIDENCE, "Confidence"),
    (heat_map.NORMAL_ERROR, "Error"),
)
LOOK_SHARES = (0.155, 0.4, 0.62, 1.0)  # of what is left of the row: each word as wide as it needs
SAVE = "Save Scene and Photographs..."
PROBLEMS = 4  # cameras with a problem that are named here


def engine(context: bpy.types.Context) -> bool:
    """Is the engine set up?"""

    def ask() -> bool:
        try:
            return bool(preferences.interpreter(context))
        except WorkerError:
            return False

    return disk_cache.cached("engine", ask)


def unsaved(context: bpy.types.Context) -> bool:
    """Do photographs lie in the cache until the scene is saved?"""
    cache = preferences.cache_folder(context) / "captures"
    key = f"unsaved {len(bpy.data.images)} {bpy.data.filepath}"
    return disk_cache.cached(key, lambda: keep.waiting(cache))


def height_key(context: bpy.types.Context) -> tuple:
    """All that the height of this panel and of those below comes from."""
    head = scene_result.chosen(context)
    return (
        session.running() is not None,
        session.setting_up() is not None,
        engine(context),
        id(session.outcome),
        id(session.findings),
        context.window_manager.skullptor_details,
        tuple((row.camera, row.ready) for row in rows(context)),
        len(rigs.rigs(context.scene)),
        len(covers.hidden(context.view_layer)),
        unsaved(context),
        head and (head.name, head.visible_get(), heat_map.shown(head.data)),
        context.view_layer.objects.active in (head, None),
        context.scene.skullptor.show_photographs,
    )


class SKULLPTOR_PT_reconstruct(Sidebar, bpy.types.Panel):
    bl_label = "Reconstruct Head"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        SKULLPTOR_PT_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        redraw.settle(height_key(context))
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
            wrapped(column, "One photograph of a face is enough, six all around are better", "INFO")
            column.separator()
            column.operator("skullptor.photo_to_head", text="Photo to Head...", icon="USER")
            column.operator("skullptor.add_photographs", text="Photographs or Cameras...", icon="FILE_IMAGE")
            if not any(row.image for row in found):  # a new scene has a camera of its own
                column.operator("skullptor.import_demo", icon="MONKEY")
        column = layout.column()
        column.row().prop(settings, "preset", expand=True)
        button = column.row()
        button.scale_y = 1.5
        button.enabled = ready >= MINIMUM_VIEWS
        button.operator("skullptor.reconstruct_head", icon="MESH_MONKEY")
        outcome = session.outcome
        if outcome is not None and not (outcome.code == "no-bridge" and engine(context)):
            draw_outcome(layout, context, outcome)
        self.draw_covered(layout, context)
        if unsaved(context):
            layout.operator("wm.save_mainfile", text=SAVE, icon="FILE_TICK")
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
        if head is not None and not hidden_head(column, head):
            shown = heat_map.shown(head.data)
            row = column
            for (what, text), share in zip(LOOKS, LOOK_SHARES):
                row = row.split(factor=share, align=True) if share < 1 else row
                row.operator("skullptor.show_confidence", text=text, depress=shown == what).show = what
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
        wrapped(column, activity(job), "NONE")
        column.progress(factor=job.fraction, text=f"{job.fraction:.0%}", type="BAR")
        column.label(text=time_line(job), icon="TIME")
        row = column.row(align=True)
        if job.can_finish:
            row.operator("skullptor.finish_now", icon="CHECKMARK")
        row.operator("skullptor.cancel", icon="X")
