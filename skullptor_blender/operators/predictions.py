"""Preview Normals and what is looked at before a head is made: masks, pictures, a camera by its name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..link import run_files, session
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..scene import reference_image
from ..scene import result as scene_result
from ..ui import pictures
from ..ui.properties import setting_properties
from . import head_job
from .bridge_operator import BridgeOperator

PREDICTION = ("normals", "device", *head_job.FOLDERS)  # the settings that matter to it
CONTACT, REPORT, CHECK = "Skullptor Contact Sheet", "Skullptor Report", "Skullptor Check"


class SKULLPTOR_OT_predict_normals(BridgeOperator, bpy.types.Operator):
    """Predict normals and masks of all photographs, for a look before the head is made of them"""

    bl_idname = "skullptor.predict_normals"
    bl_label = "Preview Normals"
    bl_options = {"UNDO"}
    stored = ""

    __annotations__ = {
        **{name: kind for name, kind in setting_properties({"SKIP_SAVE"}).items() if name in PREDICTION},
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    def start(self, context: bpy.types.Context):
        self.scene_name = context.scene.name
        values = head_job.chosen(self, context.scene)
        job, found = head_job.begin(context, values, self.bridge_python)
        job.title = self.bl_label
        job.settings = dataclasses.replace(job.settings, stage="normals")
        self.warnings = [finding.sentence for finding in found.warnings]
        return job

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        scene = bpy.data.scenes.get(self.scene_name) or context.scene
        result = self.job.result
        try:
            body = json.loads(Path(result.path).read_text(encoding="utf-8"))
            count = _show_maps(scene, body["views"], Path(result.path).parent)
            sheet = pictures.load(Path(result.picture), CONTACT, scene.skullptor.contact_sheet)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            sentence = f"The predicted normals '{result.path}' cannot be read: {error}."
            raise WorkerError("no-result", sentence, "Run it again; is the disk full?") from None
        scene.skullptor.contact_sheet = sheet
        warnings = self.warnings + [f"{w.sentence} {w.cure}".strip() for w in self.job.warnings]
        text = f"Normals of {count} cameras in {self.job.elapsed:.0f} s"
        return session.Outcome(True, text, warnings=warnings, report=result.path, picture=result.picture)

    def clean_up(self) -> None:
        run_files.drop(self.job.output.parent)


def _show_maps(scene: bpy.types.Scene, views: list[dict], folder: Path) -> int:
    """Hand each camera its pictures; cameras that are gone by now are passed over."""
    count = 0
    for view in views:
        ob = scene.objects.get(view["name"])
        if ob is None or ob.type != "CAMERA":
            continue
        ours = ob.data.skullptor
        ours.predicted_normals = pictures.load(folder / view["normals"], f"{ob.name} normals", ours.predicted_normals)
        ours.predicted_mask = pictures.load(folder / view["mask"], f"{ob.name} mask", ours.predicted_mask)
        count += 1
    return count


def camera_of(context: bpy.types.Context, name: str) -> bpy.types.Object:
    """The camera with this name, else the active one. Raises WorkerError."""
    ob = context.view_layer.objects.get(name) if name else context.view_layer.objects.active
    if ob is None or ob.type != "CAMERA":
        sentence = f"There is no camera '{name}' in this view layer." if name else "No camera is selected."
        raise WorkerError("no-camera", sentence, "Select the camera.")
    return ob


class _OnCamera:
    """Mixed into the small operators on one camera: an error is a sentence."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, camera_of(context, self.camera))
        except WorkerError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


CAMERA = {
    "camera": StringProperty(
        name="Camera", description="Name of the camera; empty for the active object", options={"SKIP_SAVE"}
    )
}


class SKULLPTOR_OT_select_camera(_OnCamera, bpy.types.Operator):
    """Select this camera; with Ctrl held, look through it as well"""

    bl_idname = "skullptor.select_camera"
    bl_label = "Select Camera"
    bl_options = {"UNDO"}

    __annotations__ = {
        **CAMERA,
        "look_through": BoolProperty(
            name="Look Through", description="Show its photograph in the 3D view", options={"SKIP_SAVE"}
        ),
    }

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.look_through = self.look_through or event.ctrl
        return self.execute(context)

    def work(self, context: bpy.types.Context, ob: bpy.types.Object) -> None:
        active = context.view_layer.objects.active
        if active is not None and active.mode != "OBJECT":
            raise WorkerError("mode", f"'{active.name}' is being edited.", "Leave its mode first.")
        for other in context.view_layer.objects.selected:
            other.select_set(False)
        ob.hide_set(False)
        ob.select_set(True)
        context.view_layer.objects.active = ob
        if self.look_through:
            context.scene.camera = ob
            space = context.space_data
            if space is not None and space.type == "VIEW_3D":
                space.region_3d.view_perspective = "CAMERA"


class SKULLPTOR_OT_edit_mask(_OnCamera, bpy.types.Operator):
    """Copy the predicted mask to an own one of this camera and open it: paint white what is head, black what is not"""

    bl_idname = "skullptor.edit_mask"
    bl_label = "Edit Mask"
    bl_options = {"UNDO"}

    __annotations__ = dict(CAMERA)

    def work(self, context: bpy.types.Context, ob: bpy.types.Object) -> None:
        ours = ob.data.skullptor
        if ours.mask is None:
            if not pictures.is_there(ours.predicted_mask):
                raise WorkerError(
                    "no-mask", f"Camera '{ob.name}' has no predicted mask.", "Press Preview Normals first."
                )
            ours.mask = self.copy(context, ob, ours.predicted_mask)
        if pictures.show(context, ours.mask):
            pictures.paint(context, ours.mask)

    def copy(self, context: bpy.types.Context, ob: bpy.types.Object, predicted: bpy.types.Image) -> bpy.types.Image:
        """Of the photograph's size, packed: it is the artist's work and must not be lost with a run's files."""
        folder = reference_image.FolderOfImages(context.scene.skullptor.image_folder)
        reference = reference_image.of_camera(ob, context.scene, folder)
        size = reference_image.size_of(reference) if reference and not reference.problem else (0, 0)
        image = predicted.copy()
        image.name = f"{ob.name} own mask"
        del image[pictures.KIND]
        if all(size) and tuple(image.size) != tuple(size):
            image.scale(*size)
        image.pack()
        return image


class SKULLPTOR_OT_show_masks(bpy.types.Operator):
    """List the mask of each camera in the sidebar and open the contact sheet, which draws their outlines"""

    bl_idname = "skullptor.show_masks"
    bl_label = "Show Masks"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not scene_capture.predicted_cameras(context.view_layer):
            cls.poll_message_set("Press Preview Normals first: it finds the masks as well")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.skullptor
        settings.look = "masks"
        if pictures.is_there(settings.contact_sheet):
            pictures.show(context, settings.contact_sheet)
        return {"FINISHED"}


class SKULLPTOR_OT_show_picture(bpy.types.Operator):
    """Open the picture in an Image Editor"""

    bl_idname = "skullptor.show_picture"
    bl_label = "Show Picture"
    bl_options = {"UNDO"}

    __annotations__ = {
        "kind": EnumProperty(
            name="Picture",
            items=(
                ("contact", "Contact Sheet", "Photographs, normals and masks of the last prediction"),
                ("report", "Report", "Photographs, normals, head and error of the selected head's run"),
                ("check", "Check", "The cameras from above and what they see of the head, from Check Cameras"),
            ),
            description="Which picture is opened",
            options={"SKIP_SAVE"},
        ),
        "camera": StringProperty(
            name="Camera",
            description="Open the predicted normals or mask of this camera instead",
            options={"SKIP_SAVE"},
        ),
    }

    @classmethod
    def description(cls, context: bpy.types.Context, properties) -> str:
        if properties.camera:
            return f"Open the picture of '{properties.camera}' in an Image Editor"
        item = cls.bl_rna.properties["kind"].enum_items[properties.kind]
        return f"{item.description}, in an Image Editor"

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            image = self.image(context)
        except WorkerError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not pictures.show(context, image):
            self.report({"INFO"}, f"The picture is the image '{image.name}'")
        return {"FINISHED"}

    def image(self, context: bpy.types.Context) -> bpy.types.Image:
        if self.camera:
            ours = camera_of(context, self.camera).data.skullptor
            masks = context.scene.skullptor.look == "masks"
            image = (ours.mask or ours.predicted_mask) if masks else ours.predicted_normals
            if not pictures.is_there(image):
                sentence = f"Camera '{self.camera}' has no such picture."
                raise WorkerError("no-picture", sentence, "Press Preview Normals.")
            return image
        if self.kind == "contact":
            image = context.scene.skullptor.contact_sheet
            if not pictures.is_there(image):
                raise WorkerError("no-picture", "There is no contact sheet.", "Press Preview Normals.")
            return image
        if self.kind == "check":
            path, name, cure = session.check_picture, CHECK, "Press Check Cameras."
        else:
            path, name = scene_result.picture_of(scene_result.chosen(context)), REPORT
            cure = "Select a head whose run is still on the disk, or run it again."
        if not path or not Path(path).is_file():
            raise WorkerError("no-picture", "There is no such picture on the disk.", cure)
        return pictures.load(Path(path), name, pictures.named(name))


CLASSES = (
    SKULLPTOR_OT_predict_normals,
    SKULLPTOR_OT_select_camera,
    SKULLPTOR_OT_edit_mask,
    SKULLPTOR_OT_show_masks,
    SKULLPTOR_OT_show_picture,
)


register, unregister = bpy.utils.register_classes_factory(CLASSES)
