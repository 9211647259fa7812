"""Check Cameras: their numbers at once, and with the photographs through the bridge when it is set up."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..link import run_files, session
from ..link.command import BridgeCommand
from ..link.preflight import ERROR, WARNING, plural
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..ui import check_report, preferences
from . import head_job
from .bridge_operator import BridgeOperator


class SKULLPTOR_OT_check_cameras(BridgeOperator, bpy.types.Operator):
    """Read every camera and its photograph, and say in place what would go wrong"""

    bl_idname = "skullptor.check_cameras"
    bl_label = "Check Cameras"

    __annotations__ = {
        "photographs": BoolProperty(
            name="Photographs",
            description="Compare the photographs with each other as well, which takes the engine and some seconds. Off:"
            " the cameras' numbers and files only",
            default=True,
            options={"SKIP_SAVE"},
        ),
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    folder: Path | None = None
    without = ""  # why the photographs were not compared

    def start(self, context: bpy.types.Context) -> BridgeCommand | None:
        settings = context.scene.skullptor
        self.folder, self.without = None, ""
        session.check_picture = ""
        self.found = head_job.read_cameras(context, {name: getattr(settings, name) for name in head_job.FOLDERS})
        if not self.photographs or self.found.errors:
            return None
        try:
            interpreter = preferences.interpreter(context, self.bridge_python)
        except WorkerError as error:
            self.without = f"The photographs were not compared: {error}"
            return None
        self.folder = run_files.new_run(preferences.cache_folder(context))
        try:
            scene = context.scene.skullptor
            draft = scene_capture.draft(self.found.usable, context.scene, scene.normals_axes, scene.normals_max)
            capture = self.folder / "capture"
            self.report_file, self.picture = self.folder / "check.json", self.folder / "check.png"
            arguments = ["check", str(capture), "--json", str(self.report_file), "--picture", str(self.picture)]
            return BridgeCommand(
                self.bl_label,
                interpreter,
                preferences.ROOT,
                arguments,
                preferences.cache_folder(context) / "check.log",
                stage="Reading photos",
                prepare=lambda: draft.write(capture),
            )
        except WorkerError as error:
            self.clean_up()
            if error.code != "no-bridge":
                raise
            self.folder, self.without = None, f"The photographs were not compared: {error}"
            return None

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        findings = list(self.found.findings)
        if self.folder is not None:
            if self.report_file.is_file():
                self.read(findings)
            if self.picture.is_file():
                session.check_picture = str(self.picture)
        session.findings = findings
        problems = check_report.together(f for f in findings if f.severity in (ERROR, WARNING))
        if not session.quiet:
            for finding, _ in problems:
                self.report({"WARNING"}, f"{finding.sentence} {finding.cure}".strip())
        if problems:
            text = f"{plural(len(problems), 'problem')} found in the cameras"
        else:
            text = f"{plural(len(self.found.usable), 'camera')} ready, nothing wrong was found"
        return session.Outcome(True, text, warnings=[self.without] if self.without else [], alert=bool(problems))

    def read(self, findings: list) -> None:
        try:
            seen = {(finding.code, finding.view) for finding in findings}
            new = check_report.read(self.report_file)
        except (OSError, ValueError) as error:
            raise WorkerError("no-result", f"The check's report cannot be read: {error}.", "Run it again.") from None
        findings += [finding for finding in new if (finding.code, finding.view) not in seen]

    def rescue(self, context: bpy.types.Context, error: WorkerError) -> session.Outcome | None:
        """Errors among the findings end the command with 1; without a working bridge the numbers were still checked."""
        if self.report_file.is_file():
            return self.complete(context)
        if error.code != "no-bridge":
            return None
        self.clean_up()
        self.folder, self.without = None, f"The photographs were not compared: {error}"
        if not session.quiet:
            self.report({"WARNING"}, self.without)
        return self.complete(context)

    def clean_up(self) -> None:
        if self.folder is not None:
            run_files.drop(self.folder)


CLASSES = (SKULLPTOR_OT_check_cameras,)


register, unregister = bpy.utils.register_classes_factory(CLASSES)
