"""Scene -> capture folder (docs/pipeline/capture.md): the only reader of Blender's cameras.

World is Blender's world; one unit is 1000 * scale_length millimetres. Cameras are read as Blender renders and shows
them at the current frame: constraints, parents, scale, shift, any sensor fit, and the place of the background image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ..link import preflight
from ..link.capture_draft import CaptureDraft, DraftView, Picture
from ..link.preflight import ERROR, INFO, WARNING, Finding, ViewRecord
from . import conventions, reference_image, rigs
from .reference_image import Reference

OFFSET_KEY = "skullptor_offset"  # of a rig's empty or a scene: where its origin is in the world of the calibration
SIZE_KEY = "skullptor_size"  # custom property of imported cameras: the size they were calibrated with


@dataclass
class SceneView:
    """One camera of the scene: its record when it can be used, and what is wrong with it."""

    camera: str
    reference: Reference | None = None
    record: ViewRecord | None = None
    mask: Reference | None = None
    normals: Path | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return self.record is not None and not any(f.severity == ERROR or f.drop for f in self.findings)


@dataclass
class CameraSet:
    """The scene's cameras and every finding."""

    views: list[SceneView]
    rig: list[Finding] = field(default_factory=list)

    @property
    def usable(self) -> list[SceneView]:
        return [view for view in self.views if view.usable]

    @property
    def findings(self) -> list[Finding]:
        return [finding for view in self.views for finding in view.findings] + self.rig

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == WARNING]

    @property
    def records(self) -> list[ViewRecord]:
        """The usable cameras in plain numbers, which may be kept."""
        return [view.record for view in self.usable]


def cameras(view_layer: bpy.types.ViewLayer) -> Iterator[bpy.types.Object]:
    """The cameras of the rig in use that count: ticked and not hidden. Sorted, so that runs repeat."""
    found = list(rigs.cameras(rigs.active(view_layer.id_data), view_layer))
    # one camera hidden by H is left out; all of them hidden are merely out of the artist's way
    all_hidden = all(ob.hide_get(view_layer=view_layer) for ob in found)
    return (
        ob
        for ob in found
        if ob.data.skullptor.use and not ob.hide_render and (all_hidden or not ob.hide_get(view_layer=view_layer))
    )


def signature(view_layer: bpy.types.ViewLayer) -> str:
    """A text that changes with the used cameras: their places, lenses and photographs."""
    parts = []
    for ob in cameras(view_layer):
        data = ob.data
        numbers = [*(x for row in ob.matrix_world for x in row), data.lens, data.shift_x, data.shift_y]
        images = [background.image.filepath for background in data.background_images if background.image]
        parts.append(f"{ob.name} {data.type} {' '.join(f'{x:.6g}' for x in numbers)} {images}")
    return "\n".join(parts)


def frame_of(data: bpy.types.Camera, render: bpy.types.RenderSettings) -> conventions.BlenderCamera:
    """Blender's numbers. Percentage and border change how many pixels are rendered, not where the frame is."""
    return conventions.BlenderCamera(
        lens=data.lens,
        shift_x=data.shift_x,
        shift_y=data.shift_y,
        sensor_fit=data.sensor_fit,
        width=render.resolution_x,
        height=render.resolution_y,
        sensor_width=data.sensor_width,
        sensor_height=data.sensor_height,
        aspect_x=render.pixel_aspect_x,
        aspect_y=render.pixel_aspect_y,
    )


def read_cameras(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    depsgraph: bpy.types.Depsgraph,
    *,
    image_folder: str = "",
    mask_folder: str = "",
    normals_folder: str = "",
) -> CameraSet:
    """Read and check every camera; touches the pictures' files, changes nothing."""
    found = CameraSet([])
    images, masks, normals = (
        reference_image.FolderOfImages(folder) for folder in (image_folder, mask_folder, normals_folder)
    )
    obs = list(cameras(view_layer))
    with _evaluated(obs, scene, view_layer):
        for ob in obs:
            view = SceneView(ob.name)
            found.views.append(view)
            read_view(view, ob, scene, depsgraph, images)
            view.normals = normals.file_of(ob)
            read_mask(view, ob, scene.frame_current, masks)
    found.rig += _folder_findings(obs, found, (("images", images), ("masks", masks), ("normal maps", normals)))
    records = [view.record for view in found.usable]
    of_rig = []
    for finding in preflight.check_rig(records):
        owner = next((view for view in found.views if view.camera == finding.view), None)
        (owner.findings if owner else of_rig).append(finding)
    found.rig += of_rig or preflight.check_count(records, len(found.views) - len(records), _instanced(view_layer))
    return found


def _folder_findings(
    obs: Sequence[bpy.types.Object],
    found: CameraSet,
    folders: Sequence[tuple[str, reference_image.FolderOfImages]],
) -> list[Finding]:
    """Folders that are not there or fit no camera; and the cameras that a folder of masks or maps leaves out."""
    findings = []
    shown = {view.camera for view in found.views if view.reference is not None}
    for kind, folder in folders:
        if folder.folder is None:
            continue
        asked = [ob for ob in obs if kind == "images" or ob.name in shown]
        own = [ob for ob in asked if kind == "masks" and ob.data.skullptor.mask]
        without = [ob.name for ob in asked if ob not in own and folder.file_of(ob) is None]
        pictures = preflight.PictureFolder(kind, str(folder.folder), folder.exists, folder.count)
        findings += preflight.check_folder(pictures, without, len(asked))
    return findings


def _instanced(view_layer: bpy.types.ViewLayer) -> dict[str, int]:
    """Collections that stand in the scene as instances only, with how many cameras they hold."""
    found = {}
    for ob in view_layer.objects:
        if ob.instance_type == "COLLECTION" and ob.instance_collection is not None:
            count = sum(inside.type == "CAMERA" for inside in ob.instance_collection.all_objects)
            if count:
                found[ob.instance_collection.name] = count
    return found


@contextlib.contextmanager
def _evaluated(
    obs: Sequence[bpy.types.Object], scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer
) -> Iterator[None]:
    """Blender works out where an object is only while it shows; a file that is opened knows nothing of the others. So
    hidden cameras show for the block, in a collection of their own."""
    hidden = [ob for ob in obs if not ob.visible_get(view_layer=view_layer)]
    if not hidden:
        yield
        return
    shelf = bpy.data.collections.new("Skullptor reading")
    scene.collection.children.link(shelf)
    were = [(ob, ob.hide_viewport, ob.hide_get(view_layer=view_layer)) for ob in hidden]
    try:
        for ob in hidden:
            shelf.objects.link(ob)
            ob.hide_viewport = False
        view_layer.update()
        for ob in hidden:
            ob.hide_set(False, view_layer=view_layer)
        view_layer.update()
        yield
    finally:
        for ob, in_viewports, by_eye in were:
            ob.hide_set(by_eye, view_layer=view_layer)
            ob.hide_viewport = in_viewports
        bpy.data.collections.remove(shelf)
        view_layer.update()


def read_view(
    view: SceneView,
    ob: bpy.types.Object,
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    images: reference_image.FolderOfImages,
) -> None:
    """Fill in one camera's record, or its findings."""
    name = ob.name

    def find(code: str, severity: str, what: str, cure: str) -> None:
        view.findings.append(Finding(code, severity, name, f"Camera '{name}' {what}.", cure))

    view.reference = reference_image.of_camera(ob, scene, images)
    if view.reference is None:
        cure = "Give it a background image, choose a folder with an image of its name, or hide it from rendering."
        return find("no-image", INFO, "has no reference image", cure)
    if view.reference.problem:
        return find("image-kind", ERROR, view.reference.problem, "Use a still image or an image sequence.")
    if view.reference.path is not None:
        view.findings += preflight.check_file(name, str(view.reference.path), reference_image.has_all_rows)
        if any(finding.severity == ERROR for finding in view.findings):
            return None
    evaluated = ob.evaluated_get(depsgraph)
    data = evaluated.data
    if data.type != "PERSP":
        cure = "Set its lens type to Perspective, or hide it from rendering."
        return find("camera-kind", ERROR, f"is {data.type.lower()}, not perspective", cure)
    try:
        R, t = conventions.pose_from_matrix(np.array(evaluated.matrix_world))
    except ValueError as error:
        cure = "Apply or clear the scale of the camera and its parents."
        return find(f"camera-{error}", ERROR, f"has {error} axes, because of the scale of it or a parent", cure)
    width, height = reference_image.size_of(view.reference)
    if not width or not height:
        view.findings.append(
            Finding(
                "image-unreadable",
                ERROR,
                name,
                f"Camera '{name}': the image '{view.reference.label}' cannot be read.",
                "Copy the file again from the camera, or export it anew.",
            )
        )
        return None
    frame = frame_of(data, scene.render)
    # Blender draws a background's offset in camera space, on the plane of its view frame
    unit = -1.0 / data.view_frame(scene=scene)[0].z
    try:
        K, roll = conventions.image_camera(frame, view.reference.placement, width, height, unit)
    except ValueError:
        return find("image-mirrored", ERROR, "shows its background image mirrored", "Switch off Flip X or Flip Y.")
    render_ratio = frame.aspect_y / frame.aspect_x
    view.findings += preflight.check_pixels(name, K, width, height, render_ratio)
    calibrated = ob.data.get(SIZE_KEY)
    view.findings += preflight.check_calibrated_size(
        name, width, height, list(calibrated) if calibrated else None, reference_image.lies(view.reference)
    )
    view.record = ViewRecord(name, str(view.reference.path or ""), width, height, K, roll @ R, roll @ t)
    return None


def read_mask(view: SceneView, ob: bpy.types.Object, frame: int, masks: reference_image.FolderOfImages) -> None:
    """The camera's own mask, else the file with the camera's name."""
    if own := ob.data.skullptor.mask:
        view.mask = reference_image.of_image(own, frame)
        missing = view.mask.path is not None and not view.mask.path.is_file()
        if trouble := view.mask.problem or ("has a mask whose file is missing" if missing else ""):
            cure = "Choose another mask for this camera, or clear it to have the head found automatically."
            view.findings.append(Finding("mask-missing", ERROR, ob.name, f"Camera '{ob.name}' {trouble}.", cure))
    elif path := masks.file_of(ob):
        view.mask = Reference(path.name, path)


def draft(
    views: Sequence[SceneView], scene: bpy.types.Scene, normals_axes: str = "opengl", normals_max: int = 65535
) -> CaptureDraft:
    """All that the capture needs from Blender; it can be written without it."""

    def picture(reference: Reference | None) -> Picture | None:
        return None if reference is None else reference_image.picture_of(reference)

    found = [
        DraftView(
            view.record,
            picture(view.reference),
            picture(view.mask),
            view.normals and Picture(view.normals.suffix.lower(), source=view.normals),
        )
        for view in views
    ]
    unit_mm = 1000.0 * scene.unit_settings.scale_length
    offset = scene.get(OFFSET_KEY)
    notes = None if offset is None else [f"The world's origin is at {list(offset)} of the calibration's world."]
    return CaptureDraft(scene.name, unit_mm, found, {"axes": normals_axes, "max": normals_max}, notes)


def write(
    folder: Path,
    views: Sequence[SceneView],
    scene: bpy.types.Scene,
    normals_axes: str = "opengl",
    normals_max: int = 65535,
) -> Path:
    """Write the capture folder; it appears under its name only when it is whole. Raises OSError."""
    return draft(views, scene, normals_axes, normals_max).write(folder)


__all__ = ["ERROR", "INFO", "WARNING", "SceneView", "CameraSet", "cameras", "draft", "read_cameras", "write"]


def predicted_cameras(view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The cameras whose normals were predicted."""
    return [ob for ob in cameras(view_layer) if ob.data.skullptor.predicted_normals]
