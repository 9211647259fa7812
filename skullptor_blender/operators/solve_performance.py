"""Solve Performance: the scene's frames, with moving or still cameras, into one animated template."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty

from ..link import run_files, session
from ..link.capture_draft import CaptureDraft
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..scene import performance
from ..ui import preferences
from . import head_job
from .bridge_operator import BridgeOperator

LEAST_VIEWS = 3  # of a frame
CAPTURES, HEADS = "captures", "heads"  # in the folder of the run
SOME_FAILED = 1  # exit code of a sequence that has failed frames: they are interpolated and said


class SKULLPTOR_OT_solve_performance(BridgeOperator, bpy.types.Operator):
    """Follow one head through the frames of image sequences: one template with every vertex, shapes and head motion"""

    bl_idname = "skullptor.solve_performance"
    bl_label = "Solve Performance"
    bl_options = {"UNDO"}

    __annotations__ = {
        "frame_start": IntProperty(
            name="Start", description="First frame; the scene's if none is given", min=0, options={"SKIP_SAVE"}
        ),
        "frame_end": IntProperty(
            name="End", description="Last frame; the scene's if none is given", min=0, options={"SKIP_SAVE"}
        ),
        "key_frame": IntProperty(
            name="Key Frame",
            description="A frame with a neutral face and open eyes, which tells who performs; the first if none is"
            " given",
            min=0,
            options={"SKIP_SAVE"},
        ),
        "template": StringProperty(
            name="Template", description="hm08, hm08-body, ict, gnm or a file", default="hm08", options={"SKIP_SAVE"}
        ),
        "directory": StringProperty(
            name="Folder",
            description="Where captures and solved frames are kept, so that a second run goes on; if none is given,"
            " 'performance' beside the saved scene",
            subtype="DIR_PATH",
            options={"SKIP_SAVE"},
        ),
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    done_text = "Performance solved: {}"
    folder: Path | None = None

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        self.scene_name, self.layer_name = context.scene.name, context.view_layer.name
        self.left_out = []
        interpreter = preferences.interpreter(context, self.bridge_python)
        frames = self._frames(context.scene)
        cache = preferences.cache_folder(context)
        folder = self.folder = self._folder(cache)
        template = self.template if Path(self.template).stem == self.template else bpy.path.abspath(self.template)
        captures, heads = folder / CAPTURES, folder / HEADS
        arguments = ["sequence", str(captures), "-o", str(heads), "--wrap", template, "--resume"]
        key = self.key_frame if self.properties.is_property_set("key_frame") else None
        drafts: dict[int, CaptureDraft] = {}

        def read() -> Iterator[float]:
            yield from self._read(frames, drafts)
            first = min(drafts)
            arguments.extend(["--frames", f"{first}-{max(drafts)}", "--key", str(first if key is None else key)])

        def prepare() -> None:
            for frame, draft in drafts.items():
                run_files.drop(captures / f"frame_{frame:04d}")
                draft.write(captures / f"frame_{frame:04d}")

        command = BridgeCommand(
            self.bl_label,
            interpreter,
            preferences.ROOT,
            arguments,
            cache / "sequence.log",
            stage="Writing captures",
            read=read(),
            prepare=prepare,
        )
        command.partial = SOME_FAILED
        return command

    def _folder(self, cache: Path) -> Path:
        """Beside the saved scene: what plays must not go when the cache is tidied up."""
        if not self.directory and not bpy.data.filepath:
            return run_files.new_run(cache)
        return Path(bpy.path.abspath(self.directory or "//performance"))

    def _read(self, frames: range, drafts: dict[int, CaptureDraft]) -> Iterator[float]:
        """A capture for each frame that enough cameras show, one at a time; yields the share that is read.

        Raises WorkerError where no frame has them, or the scene is gone.
        """
        reason = None
        for done, frame in enumerate(frames):
            scene = bpy.data.scenes.get(self.scene_name)
            if scene is None:
                sentence = f"The scene '{self.scene_name}' is gone."
                raise WorkerError("scene-gone", sentence, "Undo that, and solve the performance again.")
            layer = scene.view_layers.get(self.layer_name) or scene.view_layers[0]
            with at_frame(scene, frame), bpy.context.temp_override(scene=scene, view_layer=layer):
                context, settings = bpy.context, scene.skullptor
                cameras = head_job.read_cameras(context, {name: getattr(settings, name) for name in head_job.FOLDERS})
                if len(cameras.usable) >= LEAST_VIEWS:
                    drafts[frame] = scene_capture.draft(
                        cameras.usable, scene, settings.normals_axes, settings.normals_max
                    )
                else:
                    self.left_out.append(frame)
                    reason = reason or next(iter(cameras.errors or cameras.findings), None)
            yield (done + 1) / len(frames)
        if not drafts:
            raise WorkerError(
                "frames-none",
                f"No frame is seen by {LEAST_VIEWS} cameras. {reason.sentence if reason else ''}".strip(),
                "Give the cameras image sequences as background images.",
            )

    def _frames(self, scene: bpy.types.Scene) -> range:
        asked = self.properties.is_property_set
        first = self.frame_start if asked("frame_start") else scene.frame_start
        last = self.frame_end if asked("frame_end") else scene.frame_end
        if not 0 <= first <= last:
            raise WorkerError("frames-range", f"There are no frames from {first} to {last}.", "Choose others.")
        return range(first, last + 1)

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        scene = bpy.data.scenes.get(self.scene_name) or context.scene
        try:
            heads = performance.folder_of(self.folder / HEADS)
            ob = performance.create(scene, scene.collection, heads, "Performance")
        except (OSError, ValueError, KeyError) as error:
            sentence = f"The solved performance cannot be read: {error}"
            raise WorkerError("no-result", sentence, "Solve it again; is the disk full?") from None
        if scene == context.scene:
            context.view_layer.objects.active = ob
        warnings = list(self.job.warnings)
        if self.left_out:
            named = ", ".join(map(str, self.left_out))
            warnings.append(f"Too few cameras show these frames, which are interpolated or left out: {named}.")
        text = f"frames {min(self._frames(scene))} to {max(self._frames(scene))} in {self.job.elapsed:.0f} s"
        return session.Outcome(True, text, warnings=warnings, object_name=ob.name, result=str(heads))

    def clean_up(self) -> None:
        """Nothing: what is finished stays, a second run goes on from there."""


@contextlib.contextmanager
def at_frame(scene: bpy.types.Scene, frame: int) -> Iterator[None]:
    """Cameras and sequences as they are then; back to the present after it."""
    now = scene.frame_current
    scene.frame_set(frame)
    try:
        yield
    finally:
        scene.frame_set(now)


def register() -> None:
    bpy.utils.register_class(SKULLPTOR_OT_solve_performance)


def unregister() -> None:
    bpy.utils.unregister_class(SKULLPTOR_OT_solve_performance)
