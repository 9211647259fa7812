"""Base of the operators that wait for the bridge: modal in a window, blocking everywhere else.

An operator mixes it in and says what starts and what is made of the end; progress, Cancel, Esc, another file and
Blender's end are handled here for all.
"""

from __future__ import annotations

import time

import bpy

from ..link import session
from ..link.job import CANCELLED, FINISHED
from ..link.worker import WorkerError
from ..ui import redraw
from ..ui.text import progress_line, status_line

TICK = 0.1  # seconds between looks at the job
BLOCKING_TICK = 0.02


class BridgeOperator:
    """Mix into an Operator. self.job is a Job or a BridgeCommand."""

    job = None
    timer = None
    shown = ""  # the words about the job that stand in the window
    done_text = "{}"  # what is reported of the outcome's text
    browsed = False  # the file browser, not a script, calls execute

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if job := session.running():
            cls.poll_message_set(f"{job.title} is running; wait for it or cancel it")
            return False
        return context.scene is not None

    def start(self, context: bpy.types.Context):
        """Check, write, start: the job, or None when there is nothing to wait for. Raises WorkerError."""
        raise NotImplementedError

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        """The job is finished: make of it what is wanted. Raises WorkerError; then nothing is made."""
        raise NotImplementedError

    def clean_up(self) -> None:
        """The job gave nothing: remove its files."""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.run_modal(context)

    def run_modal(self, context: bpy.types.Context) -> set[str]:
        """In a window: a timer looks now and then, Blender stays usable."""
        if bpy.app.background or context.window is None:
            return self.run_blocking(context)
        if not self.begin(context):
            return {"CANCELLED"}
        if self.job is None:
            return self.end(context)
        manager = context.window_manager
        self.timer = manager.event_timer_add(TICK, window=context.window)
        manager.modal_handler_add(self)
        redraw.panels(context)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run_modal(context) if self.browsed else self.run_blocking(context)

    def run_blocking(self, context: bpy.types.Context) -> set[str]:
        """For scripts, farms and tests: returns when the job has ended."""
        if not self.begin(context):
            return {"CANCELLED"}
        said = ""
        while self.job is not None and self.job.running:
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
            redraw.panels(context)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        messages = self.job.step()
        if not self.job.running:
            self.close(context)
            return self.end(context)
        if messages:
            self.follow_up(context, messages)
        line = status_line(self.job)
        if line != self.shown:  # a redraw costs, so there is one only for other words
            self.shown = line
            redraw.panels(context)
            if context.workspace is not None:
                context.workspace.status_text_set(line)
        return {"PASS_THROUGH"}

    def follow_up(self, context: bpy.types.Context, messages: list) -> None:
        """In a window: what else is to be shown of the news."""

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender loads another file or quits: no time to wait, no scene to change."""
        if self.job:
            self.job.abandon()
            self.clean_up()
        self.close(context)

    def begin(self, context: bpy.types.Context) -> bool:
        session.outcome, session.run_folder = None, ""
        try:
            self.job = self.start(context)
        except WorkerError as error:
            self.fail(error)
            return False
        session.job = self.job
        return True

    def end(self, context: bpy.types.Context) -> set[str]:
        """Once, for every way a job can end."""
        job, session.job = self.job, None
        redraw.panels(context)
        if job is None or job.state == FINISHED:
            try:
                session.outcome = self.complete(context)
            except WorkerError as error:
                self.clean_up()
                self.fail(error)
                return {"CANCELLED"}
            if not session.quiet:
                for warning in session.outcome.warnings:
                    self.report({"WARNING"}, warning)
                self.report({"INFO"}, self.done_text.format(session.outcome.text))
            return {"FINISHED"}
        if job.state != CANCELLED and (outcome := self.rescue(context, job.error)):
            session.outcome = outcome
            return {"FINISHED"}
        self.clean_up()
        if job.state == CANCELLED:
            session.outcome = session.Outcome(False, "Cancelled")
            self.report({"INFO"}, f"{job.title} was cancelled")
        else:
            self.fail(job.error)
        return {"CANCELLED"}

    def rescue(self, context: bpy.types.Context, error: WorkerError) -> session.Outcome | None:
        """The job failed: is what it left worth something all the same?"""
        return None

    def fail(self, error: WorkerError) -> None:
        session.outcome = session.Outcome(False, error.sentence, error.cure, code=error.code)
        if not session.quiet:
            self.report({"ERROR"}, str(error))  # to a Python caller this is a RuntimeError

    def close(self, context: bpy.types.Context) -> None:
        """Undo everything that a running job shows in the window."""
        if self.timer is not None:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        redraw.panels(context)
