"""Copy Report: the last run in words on the clipboard."""

from __future__ import annotations

import platform
from pathlib import Path

import bpy

from ...bridge.service import protocol
from ..link import run_report, session


class SKULLPTOR_OT_copy_report(bpy.types.Operator):
    """Copy what a report of a problem needs: what happened, settings, versions, timings and the end of the log"""

    bl_idname = "skullptor.copy_report"
    bl_label = "Copy Report"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.outcome is None:
            cls.poll_message_set("Nothing has run yet")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = report()
        self.report({"INFO"}, "The report is on the clipboard")
        return {"FINISHED"}


def report() -> str:
    """The last run's."""
    outcome = session.outcome
    code = f" [{outcome.code}]" if outcome.code else ""
    heading = [
        f"Skullptor {protocol.VERSION}, Blender {bpy.app.version_string}, {platform.platform()}",
        f"{outcome.text} {outcome.cure}".strip() + code,
        *(f"Warning: {warning}" for warning in outcome.warnings),
    ]
    return run_report.text_of(Path(session.run_folder) if session.run_folder else None, heading)


CLASSES = (SKULLPTOR_OT_copy_report,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
