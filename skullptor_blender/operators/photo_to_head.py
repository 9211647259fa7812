"""Photo to Head: one photograph of a face is enough; the camera that took it is made, and the head with it."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from ..link import session
from ..link.command import BridgeCommand
from ..link.preflight import plural
from ..link.reference_names import PHOTOGRAPHS
from ..link.worker import WorkerError
from .makes_cameras import MakesCameras, shared_properties


class SKULLPTOR_OT_photo_to_head(MakesCameras, bpy.types.Operator):
    """Choose one photograph of a face, or up to five of the same one: cameras are made, and a whole head"""

    bl_idname = "skullptor.photo_to_head"
    bl_label = "Photo to Head"

    __annotations__ = {
        "filepath": StringProperty(subtype="FILE_PATH", description="The photograph", options={"SKIP_SAVE"}),
        "directory": StringProperty(subtype="DIR_PATH", description="Of several files", options={"SKIP_SAVE"}),
        "files": CollectionProperty(
            type=bpy.types.OperatorFileListElement,
            description="Names in the directory, where there are several photographs",
            options={"SKIP_SAVE"},
        ),
        "filter_image": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        "filter_folder": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        "reconstruct": BoolProperty(
            name="Reconstruct Head",
            description="Go on to the head. Off: only the camera is made",
            default=True,
            options={"SKIP_SAVE"},
        ),
        **shared_properties(),
    }

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.label(text="One photograph is enough", icon="USER")
        layout.prop(context.scene.skullptor, "preset")
        layout.prop(self, "reconstruct")
        layout.prop(self, "capture_folder")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.browsed = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def chosen(self) -> list[Path]:
        """The photographs, in the order in which the browser lists them."""
        if names := [file.name for file in self.files if file.name]:
            return [Path(bpy.path.abspath(self.directory)) / name for name in names]
        return [Path(bpy.path.abspath(self.filepath)) if self.filepath else Path("no file")]

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        paths = self.chosen()
        for path in paths:
            if path.suffix.lower() not in PHOTOGRAPHS or not path.is_file():
                raise WorkerError("no-images", f"'{path.name}' is no photograph.", "Choose one photograph of a face.")
        self.turn_upright = True
        return self.bridge_command(context, paths[0].stem, "photo", *map(str, paths))

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        outcome = super().complete(context)
        count = len(self.chosen())
        outcome.text = f"{plural(count, 'photograph')} {'have' if count > 1 else 'has'} a camera now"
        return outcome

    def end(self, context: bpy.types.Context) -> set[str]:
        done = super().end(context)
        if "FINISHED" in done and self.reconstruct:
            windowed = self.browsed and not bpy.app.background and context.window is not None
            try:
                bpy.ops.skullptor.reconstruct_head("INVOKE_DEFAULT" if windowed else "EXEC_DEFAULT")
            except RuntimeError as error:  # the cameras stay
                self.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
        return done


register, unregister = bpy.utils.register_classes_factory((SKULLPTOR_OT_photo_to_head,))
