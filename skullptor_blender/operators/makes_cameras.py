"""What all operators share that make cameras: a work folder, undistortion, and the folder where the capture stays.

The bridge reads, we build. What it writes is kept: beside the saved .blend in "captures", else in the cache folder.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..link import run_files, session
from ..link.command import BridgeCommand
from ..link.preflight import plural
from ..link.reference_names import PHOTOGRAPHS
from ..link.worker import WorkerError
from ..scene import cameras as scene_cameras
from ..scene import result as scene_result
from ..scene import rigs
from ..ui import preferences
from .bridge_operator import BridgeOperator
from .sight import frame_rig

PLAIN_NAMES = frozenset(
    {
        "cameras",
        "images",
        "points3d",
        "rigs",
        "frames",
        "transforms",
        "capture",
        "sparse",
        "0",
        "krt",
        "doc",
        "text",
        "bin",
    }
)
LOG = "captures.log"


class MakesCameras(BridgeOperator):
    """What both operators share: a work folder, undistortion, the cameras, the folder where the capture stays."""

    bl_options = {"UNDO"}
    work: Path | None = None

    def bridge_command(self, context: bpy.types.Context, name: str, *arguments: str) -> BridgeCommand:
        """Start a command of the bridge that writes a capture; its OUTPUT is put into the arguments by us."""
        interpreter = preferences.interpreter(context, self.bridge_python)
        self.called = name
        self.home = home(context, self.capture_folder)
        self.work = self.home / f".import-{uuid.uuid4().hex[:8]}"
        try:
            self.work.mkdir(parents=True)
        except OSError as error:
            raise run_files.unwritable(self.work, error) from None
        self.capture = self.work / "capture"
        self.undistorted = False
        try:
            return BridgeCommand(
                self.bl_label,
                interpreter,
                preferences.ROOT,
                [*arguments, "-o", str(self.capture)],
                preferences.cache_folder(context) / LOG,
                follow=self.follow,
                stage="Reading the cameras",
            )
        except WorkerError:
            self.clean_up()
            raise

    def upright(self) -> list[str]:
        if not self.turn_upright:
            return ["--no-upright"]
        return ["--upright", *(["--front", self.front] if self.front else [])]

    def follow(self) -> list[str] | None:
        """Photographs with lens distortion are undistorted, because Blender's cameras have no lenses."""
        if self.undistorted or not any(scene_cameras.has_distortion(view) for view in self.body(self.capture)["views"]):
            return None
        source, self.undistorted = self.capture, True
        self.capture = self.work / "undistorted"
        return ["undistort", str(source), "-o", str(self.capture)]

    def body(self, capture: Path) -> dict:
        try:
            return scene_cameras.parse(capture)[0]
        except scene_cameras.ImportProblem as error:
            raise WorkerError("capture", str(error)) from None

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        capture = self.capture
        try:
            if self.work is not None:
                capture = free(self.home / self.called)
                self.capture.replace(capture)
            made = scene_cameras.build(context, capture, turn_upright=self.turn_upright, front=self.front)
        except (scene_cameras.ImportProblem, OSError) as error:
            if self.work is not None:
                shutil.rmtree(capture, ignore_errors=True)
            reason = str(error) if isinstance(error, scene_cameras.ImportProblem) else f"{capture}: {error.strerror}."
            raise WorkerError("capture", reason) from None
        self.clean_up()
        session.findings = None
        rigs.show_only(rigs.active(context.scene), context.view_layer, scene_result.is_made_here)
        frame_rig(context)
        # what is said to users of the command line has its own words here
        warnings = [text for text in (self.job.warnings if self.job else ()) if "python -m bridge" not in text]
        if made[0].parent and (note := made[0].parent.get("skullptor_notes")):
            warnings.append(note)
        if said := scene_cameras.offset_said(made):
            warnings.append(said)
        return session.Outcome(True, f"{plural(len(made), 'camera')} imported", warnings=warnings)

    def clean_up(self) -> None:
        if self.work is not None:
            shutil.rmtree(self.work, ignore_errors=True)


def home(context: bpy.types.Context, chosen: str = "") -> Path:
    """Where captures stay: the chosen folder, else beside the saved scene, else the cache folder."""
    if chosen:
        return Path(bpy.path.abspath(chosen))
    if bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent
        if os.access(folder, os.W_OK):
            return folder / "captures"
    return preferences.cache_folder(context) / "captures"


def holds_photographs(folder: Path) -> bool:
    """Here or one folder deeper, as far as the engine looks."""
    with contextlib.suppress(OSError):
        files = itertools.chain(folder.glob("*"), folder.glob("*/*"))
        return any(path.suffix.lower() in PHOTOGRAPHS for path in files)
    return False


def free(folder: Path) -> Path:
    """The folder's name, or with a number behind it if it is taken."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}~{number}")
    return found


def name_of(path: Path) -> str:
    """What to call the capture: the file's name unless it is the same in all projects, then its folder's."""
    for part in (path.stem, *(parent.name for parent in path.parents)):
        if part and part.lower() not in PLAIN_NAMES:
            return part
    return "capture"


def shared_properties() -> dict:
    return {
        "turn_upright": BoolProperty(
            name="Turn Upright",
            description="Hang the cameras on an empty that turns the rig upright, its face to the front view, and"
            " scales it to metres. Off: the calibration's own world and unit",
            default=True,
        ),
        "front": StringProperty(
            name="Front View",
            description="Name of the photograph that shows the face from the front. Empty: the side where most cameras"
            " stand",
            options={"SKIP_SAVE"},
        ),
        "capture_folder": StringProperty(
            name="Keep Captures In",
            description="Where the capture with its photographs is kept. Empty: a folder 'captures' beside the saved"
            " scene, else the cache folder",
            subtype="DIR_PATH",
            options={"SKIP_SAVE"},
        ),
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }
