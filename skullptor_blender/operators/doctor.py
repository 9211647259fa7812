"""Doctor: asks the bridge what this machine can do, and copies its answer."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import bpy

from ..link import session, worker
from ..ui import preferences

DOCTOR_SECONDS = 180


def ask_doctor(interpreter: Path) -> str:
    """The bridge's own read-out as text."""
    try:
        done = subprocess.run(
            [str(interpreter), "-B", "-m", "bridge", "doctor"],
            capture_output=True,
            timeout=DOCTOR_SECONDS,
            stdin=subprocess.DEVNULL,
            **worker.popen_options(preferences.ROOT),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"The doctor cannot be asked: {error}"
    return (done.stdout + done.stderr).decode("utf-8", "replace").strip()


class SKULLPTOR_OT_doctor(bpy.types.Operator):
    """Ask the engine what this machine can do and what is missing"""

    bl_idname = "skullptor.doctor"
    bl_label = "Doctor"

    timer = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.doctor_running:
            cls.poll_message_set("The doctor is being asked")
            return False
        return True

    def begin(self, context: bpy.types.Context) -> bool:
        try:
            interpreter = preferences.interpreter(context)
        except worker.WorkerError as error:
            session.doctor_text = str(error)
            self.report({"ERROR"}, str(error))
            return False
        session.doctor_running = True
        session.doctor_text = "Asking (this takes a few seconds) ..."

        def ask() -> None:
            session.doctor_text = ask_doctor(interpreter)
            session.doctor_running = False

        self.thread = threading.Thread(target=ask, daemon=True)
        self.thread.start()
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self.begin(context):
            return {"CANCELLED"}
        self.timer = context.window_manager.event_timer_add(0.3, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self.begin(context):
            return {"CANCELLED"}
        self.thread.join()
        if bpy.app.background:
            print(session.doctor_text, flush=True)
        return {"FINISHED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER" or self.thread.is_alive():
            return {"PASS_THROUGH"}
        self.cancel(context)
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "PREFERENCES":
                    area.tag_redraw()
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        if self.timer is not None:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None


class SKULLPTOR_OT_copy_doctor(bpy.types.Operator):
    """Copy the doctor's read-out, to paste it into a report"""

    bl_idname = "skullptor.copy_doctor"
    bl_label = "Copy"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not session.doctor_text or session.doctor_running:
            cls.poll_message_set("Ask the doctor first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = session.doctor_text
        return {"FINISHED"}


CLASSES = (
    SKULLPTOR_OT_doctor,
    SKULLPTOR_OT_copy_doctor,
)


register, unregister = bpy.utils.register_classes_factory(CLASSES)
