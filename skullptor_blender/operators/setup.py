"""Set Up, Install From Folder, Cancel, Remove: the buttons of the preferences. The work is done in setup.py."""

from __future__ import annotations

import time
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..link import environment, session, setup, worker
from ..ui import preferences

TICK = 0.25
BLOCKING_TICK = 0.05


def redraw(context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"PREFERENCES", "VIEW_3D"}:
                area.tag_redraw()


class _SetsUp:
    """Modal in a window, blocking for scripts, as Reconstruct Head has it."""

    bl_options = {"INTERNAL"}
    timer = None
    wheels = ""
    seen = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.setting_up():
            cls.poll_message_set("The engine is being set up")
            return False
        if session.running():
            cls.poll_message_set("A head is being reconstructed; finish or cancel it first")
            return False
        return True

    def plan(self, context: bpy.types.Context) -> setup.Plan:
        chosen = preferences.get(context)
        extra = self.packages if self.properties.is_property_set("packages") or not chosen else chosen.packages
        python = self.base_python or (chosen.base_python if chosen else "")
        return setup.Plan(
            root=preferences.ROOT,
            folder=preferences.environment_folder(context),
            extra=environment.extra_for_machine() if extra == "auto" else extra,
            python=bpy.path.abspath(python) if python else "",
            wheels=Path(bpy.path.abspath(self.wheels)) if self.wheels else None,
        )

    def begin(self, context: bpy.types.Context) -> setup.SetUp:
        worker.stop_all()  # a warm bridge would keep files of the environment open
        session.set_up = setup.SetUp(self.plan(context)).start()
        return session.set_up

    def start(self, context: bpy.types.Context) -> set[str]:
        """In a window: a timer looks now and then, Blender stays usable."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        self.job = self.begin(context)
        self.timer = context.window_manager.event_timer_add(TICK, window=context.window)
        context.window_manager.modal_handler_add(self)
        redraw(context)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not bpy.app.background and context.window is not None:
            return self.start(context)  # the file browser calls execute
        self.job, said = self.begin(context), ""
        while self.job.running:
            if self.job.stage != said:
                said = self.job.stage
                print(f"{self.job.fraction:4.0%}  {said}", flush=True)
            try:
                time.sleep(BLOCKING_TICK)
            except KeyboardInterrupt:
                self.job.cancel()
        return self.end()

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        job = self.job
        seen = (job.stage, job.detail, int(job.elapsed), job.cancelling, job.running)
        if seen != self.seen:  # a redraw of the preferences is slow
            self.seen = seen
            redraw(context)
        if job.running:
            return {"PASS_THROUGH"}
        self.cancel(context)
        return self.end()

    def end(self) -> set[str]:
        session.doctor_text = self.job.doctor or session.doctor_text
        if self.job.state == setup.FINISHED:
            if session.outcome is not None and session.outcome.code == "no-bridge":
                session.outcome = None  # cured
            self.report({"INFO"}, "The engine is set up and works")
            return {"FINISHED"}
        if self.job.state == setup.CANCELLED:
            self.report({"INFO"}, "The set-up was cancelled; Set Up goes on from here")
        else:
            self.report({"ERROR"}, str(self.job.error))
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Also when another file is loaded: the set-up itself goes on."""
        if self.timer is not None:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None


def set_up_properties() -> dict:
    return {
        "packages": EnumProperty(
            name="Packages For",
            items=preferences.PACKAGES,
            default="auto",
            description="Which of the engine's packages are installed, when it is not what the preferences say",
            options={"SKIP_SAVE"},
        ),
        "base_python": StringProperty(
            name="Python for Set Up",
            description="The Python that the engine is set up with, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }


class SKULLPTOR_OT_set_up(_SetsUp, bpy.types.Operator):
    """Download the engine into a folder of its own; Blender's Python is not touched"""

    bl_idname = "skullptor.set_up"
    bl_label = "Set Up"

    __annotations__ = set_up_properties()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bpy.app.online_access:
            if bpy.app.online_access_override:
                cls.poll_message_set("Blender was started offline: start it with --online-mode, or Install From Folder")
            else:
                cls.poll_message_set("Switch on System > Network > Allow Online Access, or Install From Folder")
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.start(context)


class SKULLPTOR_OT_set_up_from_folder(_SetsUp, bpy.types.Operator):
    """Set the engine up from a folder of wheels that 'pip download' filled; no network is used"""

    bl_idname = "skullptor.set_up_from_folder"
    bl_label = "Install From Folder"

    __annotations__ = {
        **set_up_properties(),
        "directory": StringProperty(
            subtype="DIR_PATH", description="The folder with the wheels (.whl)", options={"SKIP_SAVE"}
        ),
    }

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        self.wheels = self.directory
        if not Path(bpy.path.abspath(self.directory)).is_dir() or not self.directory:
            self.report({"ERROR"}, f"'{self.directory}' is no folder. Choose the one that holds the wheels.")
            return {"CANCELLED"}
        return super().execute(context)


class SKULLPTOR_OT_cancel_set_up(bpy.types.Operator):
    """Stop the set-up; what is installed stays, and Set Up goes on from there"""

    bl_idname = "skullptor.cancel_set_up"
    bl_label = "Cancel Set-Up"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = session.setting_up()
        if job is None or job.cancelling:
            cls.poll_message_set("The engine is not being set up")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.set_up.cancel()
        redraw(context)
        return {"FINISHED"}


class SKULLPTOR_OT_remove_set_up(bpy.types.Operator):
    """Delete the engine that Set Up made, and nothing else"""

    bl_idname = "skullptor.remove_set_up"
    bl_label = "Remove"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.setting_up() or session.running():
            cls.poll_message_set("The engine is in use")
            return False
        folder = preferences.environment_folder(context)
        if not environment.is_ours(folder) and not environment.leftovers(folder):
            cls.poll_message_set("There is no engine that Set Up made")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        worker.stop_all()
        try:
            thread = setup.remove(preferences.environment_folder(context))
        except worker.WorkerError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if bpy.app.background:
            thread.join()
        session.set_up = None
        redraw(context)
        self.report({"INFO"}, "The engine is removed")
        return {"FINISHED"}


CLASSES = (
    SKULLPTOR_OT_set_up,
    SKULLPTOR_OT_set_up_from_folder,
    SKULLPTOR_OT_cancel_set_up,
    SKULLPTOR_OT_remove_set_up,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    setup.stop_all()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
