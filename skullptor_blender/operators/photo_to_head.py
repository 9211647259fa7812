"""Photo to Head: one photograph of a face, and the camera that took it is made."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..link import session
from ..link.command import BridgeCommand
from ..link.reference_names import PHOTOGRAPHS
from ..link.worker import WorkerError
from .makes_cameras import MakesCameras, shared_properties


class SKULLPTOR_OT_photo_to_head(MakesCameras, bpy.types.Operator):
    """Choose one photograph of a face: its camera is made, and a head can be reconstructed from it alone"""

    bl_idname = "skullptor.photo_to_head"
    bl_label = "Photo to Head"

    __annotations__ = {
        "filepath": StringProperty(subtype="FILE_PATH", description="The photograph", options={"SKIP_SAVE"}),
        "filter_image": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        "filter_folder": BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"}),
        **shared_properties(),
    }

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "capture_folder")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.browsed = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        path = Path(bpy.path.abspath(self.filepath)) if self.filepath else Path("no file")
        if path.suffix.lower() not in PHOTOGRAPHS or not path.is_file():
            raise WorkerError("no-images", f"'{path.name}' is no photograph.", "Choose one photograph of a face.")
        self.turn_upright = True
        return self.bridge_command(context, path.stem, "photo", str(path))

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        outcome = super().complete(context)
        outcome.text = "The photograph has its camera: press Reconstruct Head"
        return outcome


register, unregister = bpy.utils.register_classes_factory((SKULLPTOR_OT_photo_to_head,))
