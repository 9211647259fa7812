"""Reconstruct Head, Finish Now, Cancel."""

from __future__ import annotations

import bpy
from bpy.app.handlers import persistent
from bpy.props import StringProperty

from ...bridge.service import protocol
from ..link import preview_reader, run_files, run_report, session, worker
from ..link.job import FAILED, FINISHED, Job
from ..scene import capture as scene_capture
from ..ui import preview, redraw
from ..ui.properties import setting_properties
from . import head_job
from .bridge_operator import BridgeOperator
from .sight import Sight


class SKULLPTOR_OT_reconstruct_head(BridgeOperator, bpy.types.Operator):
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
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    # no annotations beside __annotations__: Blender reads them as properties
    done_text = "Head reconstructed: {}"
    reader = None
    sight = None

    def start(self, context: bpy.types.Context) -> Job:
        self.scene_name = context.scene.name
        self.reader = preview_reader.Reader()
        values = head_job.chosen(self, context.scene)
        job, found = head_job.begin(context, values, self.bridge_python)
        self.findings = found.warnings
        self.sight = Sight(context, found.records)
        job.study = self.sight.study(context)
        session.run_folder = str(job.output)
        return job

    def run_modal(self, context: bpy.types.Context) -> set[str]:
        result = BridgeOperator.run_modal(self, context)
        if result == {"RUNNING_MODAL"}:
            self.sight.begin(context)
        return result

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "TIMER" and (mesh := self.reader.take()):
            self.sight.grow(context, mesh.vertices)
            preview.show(mesh)
            redraw.views(context)
        return BridgeOperator.modal(self, context, event)

    def follow_up(self, context: bpy.types.Context, messages: list) -> None:
        if not bpy.app.background and any(isinstance(message, protocol.Preview) for message in messages):
            self.reader.ask(self.job.preview)

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        outcome, head = head_job.complete(context, self.scene_name, self.job, self.findings, self.sight.rig)
        self.sight.place(context, head, self.job.studied, head_job.eyes(self.job.result.report))
        self.sight.done(context, head)
        if context.view_layer is not None:  # what was said is about the cameras as they stand now
            session.findings_about = outcome.about = scene_capture.signature(context.view_layer)
        return outcome

    def clean_up(self) -> None:
        failed = self.job.state == FAILED and run_report.leave_notes(self.job.output, self.job.worker.log_tail(20))
        run_files.drop(self.job.capture if failed else self.job.output.parent)

    def close(self, context: bpy.types.Context) -> None:
        preview.hide()
        self.sight.end(context, self.job.state == FINISHED)
        redraw.views(context)
        BridgeOperator.close(self, context)


class SKULLPTOR_OT_refine_cameras(bpy.types.Operator):
    """Reconstruct the head with cameras whose small errors are corrected first, whatever the settings say"""

    bl_idname = "skullptor.refine_cameras"
    bl_label = "Refine Cameras"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return SKULLPTOR_OT_reconstruct_head.poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        self.run(context, "INVOKE_DEFAULT")
        return {"INTERFACE"}  # the undo step is that of the run

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run(context, "EXEC_DEFAULT")

    def run(self, context: bpy.types.Context, mode: str) -> set[str]:
        try:
            return bpy.ops.skullptor.reconstruct_head(mode, refine_cameras=True)
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
            return {"CANCELLED"}


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
        redraw.panels(context)
        return {"FINISHED"}


class SKULLPTOR_OT_cancel(_WhileRunning, bpy.types.Operator):
    """Stop and leave the scene as it was"""

    bl_idname = "skullptor.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.job.cancel()
        redraw.panels(context)
        return {"FINISHED"}


@persistent
def leave_file(*_) -> None:
    """Another file is about to be loaded: the job, its bridge and what was said about the old scene end here."""
    if job := session.running():
        job.abandon()
    preview.hide()
    worker.stop_all()
    session.reset()


CLASSES = (
    SKULLPTOR_OT_reconstruct_head,
    SKULLPTOR_OT_refine_cameras,
    SKULLPTOR_OT_finish_now,
    SKULLPTOR_OT_cancel,
)


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
