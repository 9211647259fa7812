"""Imports cameras: Import Capture (also files of other programs) and Photographs to Cameras.

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
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..link import capture_formats, run_files, session
from ..link.command import BridgeCommand
from ..link.preflight import plural
from ..link.reference_names import PHOTOGRAPHS
from ..link.worker import WorkerError
from ..scene import cameras as scene_cameras
from ..scene import keep, rigs
from ..scene import result as scene_result
from ..ui import preferences
from .bridge_operator import BridgeOperator
from .sight import frame_rig

AUTO = "auto"
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
DEMO = preferences.ROOT / "demo" / "capture"


class _MakesCameras(BridgeOperator):
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
        rigs.show_only(rigs.active(context.scene), context.view_layer, scene_result.is_result)
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


class SKULLPTOR_OT_import_capture(_MakesCameras, bpy.types.Operator):
    """Make cameras with their photographs from another program's calibration, or from a capture: a folder with
    photographs and a capture.json that tells where each was taken from"""

    bl_idname = "skullptor.import_capture"
    bl_label = "Import Capture"

    __annotations__ = {
        "filepath": StringProperty(
            subtype="FILE_PATH",
            description="The file that holds the cameras, or its folder",
            options={"SKIP_SAVE"},
        ),
        "filter_glob": StringProperty(default=capture_formats.FILTER, options={"HIDDEN"}),
        "format": EnumProperty(
            name="Format",
            items=((AUTO, "Automatic", "Told by the file's name and a look inside"), *capture_formats.FORMATS),
            default=AUTO,
            description="Which program wrote the file",
            options={"SKIP_SAVE"},
        ),
        "images": StringProperty(
            name="Photographs",
            description="Folder of the photographs. Empty: they are looked for around the file",
            subtype="DIR_PATH",
            options={"SKIP_SAVE"},
        ),
        "masks": StringProperty(
            name="Masks",
            description="Folder of the masks, named or numbered like the photographs: white is head",
            subtype="DIR_PATH",
            options={"SKIP_SAVE"},
        ),
        "unit_mm": FloatProperty(
            name="Unit in mm",
            description="Millimetres of one unit of the calibration. 0: what the file says, if it says so",
            min=0.0,
            soft_max=1000.0,
            precision=3,
            options={"SKIP_SAVE"},
        ),
        "first_pixel": EnumProperty(
            name="First Pixel",
            items=(
                ("0.5", "As the Format Has It", "What the format's own program does"),
                ("0", "OpenCV", "Numbers that come straight from OpenCV: the first pixel's centre is at 0, 0"),
            ),
            default="0.5",
            description="Where the calibration puts the centre of the first pixel",
            options={"SKIP_SAVE"},
        ),
        **shared_properties(),
    }

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("format", "images", "masks", "turn_upright", "front", "unit_mm", "first_pixel", "capture_folder"):
            layout.prop(self, name)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.browsed = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def start(self, context: bpy.types.Context) -> BridgeCommand | None:
        path = Path(bpy.path.abspath(self.filepath)) if self.filepath else Path()
        try:
            if self.format == AUTO:
                name, source = capture_formats.guess(path)
            else:
                name, source = capture_formats.source(self.format, path)
        except capture_formats.UnknownFormat as error:
            raise WorkerError("format", str(error)) from None
        if name == "capture":
            return self.own(context, source)
        arguments = ["import", name, str(source)]
        for option, folder in (("--images", self.images), ("--masks", self.masks)):
            if folder:
                arguments += [option, bpy.path.abspath(folder)]
        if self.unit_mm > 0:
            arguments += ["--unit-mm", f"{self.unit_mm:g}"]
        arguments += self.upright()
        if self.first_pixel != "0.5":
            arguments += ["--first-pixel", self.first_pixel]
        return self.bridge_command(context, name_of(path), *arguments)

    def own(self, context: bpy.types.Context, capture: Path) -> BridgeCommand | None:
        """Our own captures need the bridge only if their photographs have lens distortion."""
        self.job, self.work, self.capture = None, None, capture
        if not any(scene_cameras.has_distortion(view) for view in self.body(capture)["views"]):
            return None
        command = self.bridge_command(context, f"{name_of(capture)} straight", "undistort", str(capture))
        self.undistorted = True
        return command


class SKULLPTOR_OT_photos_to_cameras(_MakesCameras, bpy.types.Operator):
    """Find out where a folder of photographs was taken from, and make a camera for each of them"""

    bl_idname = "skullptor.photos_to_cameras"
    bl_label = "Photographs to Cameras"

    __annotations__ = {
        "directory": StringProperty(
            subtype="DIR_PATH", description="The folder of photographs, 8 to 60 of one head", options={"SKIP_SAVE"}
        ),
        "filter_image": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        "filter_folder": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        "masks": StringProperty(
            name="Masks",
            description="Folder of masks, named like the photographs: white is head. They are needed where the head"
            " turned and the camera stood still",
            subtype="DIR_PATH",
            options={"SKIP_SAVE"},
        ),
        "separate": BoolProperty(
            name="Several Lenses",
            description="Solve a focal length for each photograph. Off: all were taken with one camera and one zoom",
            options={"SKIP_SAVE"},
        ),
        "marker": FloatProperty(
            name="Marker Side",
            description="Side of the black square of printed ArUco or AprilTag markers in the photographs, for the true"
            " size. 0: there are none",
            subtype="DISTANCE",
            unit="LENGTH",
            min=0.0,
            soft_max=0.5,
            precision=4,
            options={"SKIP_SAVE"},
        ),
        **shared_properties(),
    }

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("masks", "separate", "marker", "turn_upright", "front", "capture_folder"):
            layout.prop(self, name)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.browsed = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        folder = Path(bpy.path.abspath(self.directory)) if self.directory else Path("no folder")
        if not holds_photographs(folder):
            cure = "Choose the folder in which the photographs lie, or the file that holds the cameras."
            raise WorkerError("no-images", f"'{folder}' holds no photographs.", cure)
        arguments = ["calibrate", str(folder)]
        if self.masks:
            arguments += ["--masks", bpy.path.abspath(self.masks)]
        arguments += self.upright()
        if self.marker > 0:
            arguments += ["--marker", f"{self.marker * context.scene.unit_settings.scale_length * 1000:g}"]
        if self.separate:
            arguments += ["--separate"]
        return self.bridge_command(context, name_of(folder), *arguments)


class SKULLPTOR_OT_add_photographs(_MakesCameras, bpy.types.Operator):
    """Choose a folder or a file: cameras of another program are read, plain photographs get cameras of their own"""

    bl_idname = "skullptor.add_photographs"
    bl_label = "Photographs or Cameras"

    __annotations__ = {
        **SKULLPTOR_OT_photos_to_cameras.__annotations__,
        **SKULLPTOR_OT_import_capture.__annotations__,
        "filter_glob": StringProperty(default="", options={"HIDDEN", "SKIP_SAVE"}),
        "display_type": EnumProperty(  # Blender's own numbers
            items=(("LIST", "List", "", 1), ("THUMBNAIL", "Thumbnails", "", 3)),
            default="THUMBNAIL",
            options={"HIDDEN", "SKIP_SAVE"},
        ),
        "advanced": BoolProperty(
            name="Advanced", description="Show what only unusual rigs need", options={"SKIP_SAVE"}
        ),
    }
    own = SKULLPTOR_OT_import_capture.own

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        kind = self.kind()
        says = {
            "cameras": ("Cameras: they are imported", "CAMERA_DATA"),
            "photographs": ("Photographs: cameras are found", "FILE_IMAGE"),
        }
        text, icon = says.get(kind, ("Choose a folder or a file", "INFO"))
        layout.label(text=text, icon=icon)
        layout.prop(self, "masks")
        layout.prop(self, "front")
        icon = "DISCLOSURE_TRI_DOWN" if self.advanced else "DISCLOSURE_TRI_RIGHT"
        layout.prop(self, "advanced", icon=icon, emboss=False)
        if self.advanced:
            names = ["turn_upright", "capture_folder"]
            if kind != "photographs":
                names = ["format", "images", "unit_mm", "first_pixel", *names]
            if kind != "cameras":
                names = ["separate", "marker", *names]
            for name in names:
                layout.prop(self, name)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.browsed = True
        if session.last_folder and not self.filepath:
            self.filepath = session.last_folder
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def chosen(self) -> Path:
        """The folder or file: a photograph stands for its folder."""
        path = Path(bpy.path.abspath(self.filepath or self.directory)) if self.filepath or self.directory else Path()
        return path.parent if path.suffix.lower() in PHOTOGRAPHS and not path.is_dir() else path

    def kind(self) -> str:
        """ "cameras", "photographs" or neither; a calibration beside the photographs is what was meant."""
        path = self.chosen()
        if self.format != AUTO:
            return "cameras"
        with contextlib.suppress(capture_formats.UnknownFormat, OSError):
            capture_formats.guess(path)
            return "cameras"
        return "photographs" if holds_photographs(path) else ""

    def start(self, context: bpy.types.Context) -> BridgeCommand | None:
        path, kind = self.chosen(), self.kind()
        self.filepath = str(path)
        if path != Path():
            session.last_folder = str(path if path.is_dir() else path.parent) + os.sep
        if kind == "photographs":
            self.directory = str(path)
            return SKULLPTOR_OT_photos_to_cameras.start(self, context)
        return SKULLPTOR_OT_import_capture.start(self, context)


class SKULLPTOR_OT_import_demo(bpy.types.Operator):
    """Import a small capture that comes with the add-on, to try everything with it"""

    bl_idname = "skullptor.import_demo"
    bl_label = "Try the Demo"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not (DEMO / "capture.json").is_file():
            cls.poll_message_set("The demo is not part of this package")
            return False
        return session.running() is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            return bpy.ops.skullptor.import_capture("EXEC_DEFAULT", filepath=str(DEMO))
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).strip())
            return {"CANCELLED"}


def menu_entry(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator(
        SKULLPTOR_OT_import_capture.bl_idname, text="Head Capture (COLMAP, Metashape, RealityScan, ...)"
    )


@persistent
def before_saving(path: str, *_) -> None:
    """Nothing of the user's lives in the cache only: its captures go beside the file that is saved."""
    if not isinstance(path, str) or not path:
        return
    try:
        keep.bring_along(Path(path), preferences.cache_folder(bpy.context) / "captures")
    except OSError as error:
        session.outcome = session.Outcome(
            False,
            f"The photographs cannot be copied beside '{Path(path).name}': {error.strerror or error}.",
            "They stay in the cache folder. Save on a disk with free space, or pack them: File > External Data.",
            code="output",
        )


CLASSES = (
    SKULLPTOR_OT_import_capture,
    SKULLPTOR_OT_photos_to_cameras,
    SKULLPTOR_OT_add_photographs,
    SKULLPTOR_OT_import_demo,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(menu_entry)
    bpy.app.handlers.save_pre.append(before_saving)


def unregister() -> None:
    bpy.app.handlers.save_pre.remove(before_saving)
    bpy.types.TOPBAR_MT_file_import.remove(menu_entry)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
