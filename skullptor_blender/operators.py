"""Reconstruct Head, Finish Now, Cancel. One operator with two gaits: modal in a window, blocking everywhere else."""

from __future__ import annotations

import time

import bpy
from bpy.app.handlers import persistent
from bpy.props import StringProperty

from . import preview, reconstruct, run_files, session, worker
from .job import CANCELLED, FINISHED
from .preflight import Finding
from .properties import setting_properties
from .text import progress_line, status_line
from .worker import WorkerError

TICK = 0.1  # seconds between looks at the bridge
BLOCKING_TICK = 0.02


class SKULLPTOR_OT_reconstruct_head(bpy.types.Operator):
    """Make a mesh of the head that the cameras' photographs show. Blender stays usable meanwhile"""

    bl_idname = "skullptor.reconstruct_head"
    bl_label = "Reconstruct Head"
    # no REGISTER: Adjust Last Operation would start a new run when a slider moves
    bl_options = {"UNDO"}

    __annotations__ = {
        # SKIP_SAVE: a keyword given once must not stick to the button
        **setting_properties({"SKIP_SAVE"}),
        "stored": StringProperty(
            name="Stored Settings",
            description="The settings of an earlier run, as its head keeps them in skullptor_settings",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
        "bridge_python": StringProperty(
            name="Bridge Python",
            description="The solver's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    job = None  # no annotations beside __annotations__: Blender reads them as properties
    timer = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.running():
            cls.poll_message_set("A head is being reconstructed; finish or cancel it first")
            return False
        return context.scene is not None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self.begin(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self.timer = manager.event_timer_add(TICK, window=context.window)
        manager.modal_handler_add(self)
        redraw_panels(context)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Blocking: for scripts, farms and tests."""
        if not self.begin(context):
            return {"CANCELLED"}
        said = ""
        while self.job.running:
            try:
                self.job.step()
                line = progress_line(self.job)
                if bpy.app.background and line != said:
                    said = line
                    print(line, flush=True)
                time.sleep(BLOCKING_TICK)
            except KeyboardInterrupt:
                if self.job.cancelled_at is not None:
                    self.job.abandon()
                self.job.cancel()
        return self.end(context)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            self.job.cancel()
            redraw_panels(context)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        messages = self.job.step()
        if not self.job.running:
            self.close(context)
            return self.end(context)
        if messages:
            if preview.show(self.job.preview):
                redraw_views(context)
            redraw_panels(context)
            context.workspace.status_text_set(status_line(self.job))
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender loads another file or quits: no time to wait, no scene to change."""
        if self.job:
            self.job.abandon()
            run_files.drop(self.job.output.parent)
        self.close(context)

    def begin(self, context: bpy.types.Context) -> bool:
        self.scene_name = context.scene.name
        self.findings: list[Finding] = []
        session.outcome = None
        try:
            values = reconstruct.chosen(self, context.scene)
            self.job, self.findings = reconstruct.begin(context, values, self.bridge_python)
        except WorkerError as error:
            self.fail(error)
            return False
        session.job = self.job
        return True

    def end(self, context: bpy.types.Context) -> set[str]:
        """Once, for every way a job can end."""
        job = self.job
        session.job = None
        if job.state == FINISHED:
            try:
                session.outcome = reconstruct.complete(context, self.scene_name, job, self.findings)
            except WorkerError as error:
                self.fail(error)
                return {"CANCELLED"}
            if not session.quiet:
                for warning in session.outcome.warnings:
                    self.report({"WARNING"}, warning)
                self.report({"INFO"}, f"Head reconstructed: {session.outcome.text}")
            return {"FINISHED"}
        run_files.drop(job.output.parent)
        if job.state == CANCELLED:
            session.outcome = session.Outcome(False, "Cancelled")
            self.report({"INFO"}, "Reconstruct Head was cancelled")
        else:
            self.fail(job.error)
        return {"CANCELLED"}

    def fail(self, error: WorkerError) -> None:
        session.outcome = session.Outcome(False, error.sentence, error.cure, code=error.code)
        if not session.quiet:
            self.report({"ERROR"}, str(error))  # to a Python caller this is a RuntimeError

    def close(self, context: bpy.types.Context) -> None:
        """Undo everything that a running job shows in the window."""
        preview.hide()
        if self.timer is not None:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        redraw_views(context)
        redraw_panels(context)


class _WhileRunning:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = session.running()
        if job is None or job.cancelled_at is not None:
            cls.poll_message_set("No head is being reconstructed")
            return False
        return True


class SKULLPTOR_OT_finish_now(_WhileRunning, bpy.types.Operator):
    """Stop refining and keep the head as it is now"""

    bl_idname = "skullptor.finish_now"
    bl_label = "Finish Now"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.job.finish()
        redraw_panels(context)
        return {"FINISHED"}


class SKULLPTOR_OT_cancel(_WhileRunning, bpy.types.Operator):
    """Stop and leave the scene as it was"""

    bl_idname = "skullptor.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.job.cancel()
        redraw_panels(context)
        return {"FINISHED"}


def _regions(context: bpy.types.Context, kind: str) -> list[bpy.types.Region]:
    manager = context.window_manager
    areas = [area for window in manager.windows for area in window.screen.areas if area.type == "VIEW_3D"]
    return [region for area in areas for region in area.regions if region.type == kind]


def redraw_panels(context: bpy.types.Context) -> None:
    """The sidebar only: a redraw of the viewport costs far more."""
    for region in _regions(context, "UI"):
        region.tag_redraw()


def redraw_views(context: bpy.types.Context) -> None:
    for region in _regions(context, "WINDOW"):
        region.tag_redraw()


@persistent
def leave_file(*_) -> None:
    """Another file is about to be loaded: the job, its bridge and what was said about the old scene end here."""
    if job := session.running():
        job.abandon()
    preview.hide()
    worker.stop_all()
    session.reset()


CLASSES = (SKULLPTOR_OT_reconstruct_head, SKULLPTOR_OT_finish_now, SKULLPTOR_OT_cancel)


def register() -> None:
    worker.ignore_sigpipe()
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.app.handlers.load_pre.append(leave_file)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(leave_file)
    leave_file()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
