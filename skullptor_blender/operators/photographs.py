"""Cameras for photographs that have none: Photographs to Cameras, and the button that takes photographs or cameras."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..link import capture_formats, session
from ..link.command import BridgeCommand
from ..link.reference_names import PHOTOGRAPHS
from ..link.worker import WorkerError
from .import_cameras import AUTO, SKULLPTOR_OT_import_capture
from .makes_cameras import MakesCameras, holds_photographs, name_of, shared_properties

CAPTURE = "capture.json"


class SKULLPTOR_OT_photos_to_cameras(MakesCameras, bpy.types.Operator):
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


class SKULLPTOR_OT_add_photographs(MakesCameras, bpy.types.Operator):
    """Choose a folder or a file: cameras of another program are read, plain photographs get cameras of their own"""

    bl_idname = "skullptor.add_photographs"
    bl_label = "Import Photographs"  # fits the file browser's button

    __annotations__ = {
        **SKULLPTOR_OT_photos_to_cameras.__annotations__,
        **SKULLPTOR_OT_import_capture.__annotations__,
        "filter_glob": StringProperty(default=capture_formats.FILTER, options={"HIDDEN", "SKIP_SAVE"}),
        "display_type": EnumProperty(  # Blender's own numbers
            items=(("LIST", "List", "", 1), ("THUMBNAIL", "Thumbnails", "", 3)),
            default="THUMBNAIL",
            options={"HIDDEN", "SKIP_SAVE"},
        ),
        "anew": BoolProperty(
            name="Find Cameras Anew",
            description="Leave the cameras that are there, and find them in the photographs",
            options={"SKIP_SAVE"},
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
        kind = self.kind(browsed(context))
        says = {
            "cameras": ("Cameras: they are imported", "CAMERA_DATA"),
            "photographs": ("Photographs: cameras are found", "FILE_IMAGE"),
        }
        text, icon = says.get(kind, ("Choose a folder or a file", "INFO"))
        layout.label(text=text, icon=icon)
        if self.anew or (kind == "cameras" and holds_photographs(self.chosen(browsed(context)))):
            layout.prop(self, "anew")
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

    def chosen(self, path: Path | None = None) -> Path:
        """The folder or file: a photograph stands for its folder, photographs of a capture for the capture."""
        if path is None:
            named = self.filepath or self.directory
            path = Path(bpy.path.abspath(named)) if named else Path()
        if path.suffix.lower() in PHOTOGRAPHS and not path.is_dir():
            path = path.parent
        if (path.parent / CAPTURE).is_file() and not (path / CAPTURE).is_file() and holds_photographs(path):
            return path.parent
        return path

    def kind(self, path: Path | None = None) -> str:
        """ "cameras", "photographs" or neither; a calibration beside the photographs is what was meant."""
        path = self.chosen(path)
        if self.anew and holds_photographs(path):
            return "photographs"
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


def browsed(context: bpy.types.Context) -> Path | None:
    """What the file browser shows now; Blender tells the operator only at its end."""
    params = getattr(context.space_data, "params", None)
    if params is None:
        return None
    folder = Path(bpy.path.abspath(os.fsdecode(params.directory)))
    return folder / params.filename if params.filename else folder


register, unregister = bpy.utils.register_classes_factory(
    (SKULLPTOR_OT_photos_to_cameras, SKULLPTOR_OT_add_photographs)
)
