"""Imports cameras of our own captures and of other programs: Import Capture, the demo, the entry in File > Import."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.handlers import persistent
from bpy.props import EnumProperty, FloatProperty, StringProperty

from ..link import capture_formats, session
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import cameras as scene_cameras
from ..scene import keep
from ..ui import preferences
from .makes_cameras import MakesCameras, name_of, shared_properties

AUTO = "auto"
DEMO = preferences.ROOT / "demo" / "capture"


class SKULLPTOR_OT_import_capture(MakesCameras, bpy.types.Operator):
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
