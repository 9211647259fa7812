"""Capture folder -> scene: cameras with their photographs as background images. The opposite of scene_capture."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..link.preflight import ViewRecord, common_point
from . import conventions, placing, rigs, upright
from .capture import OFFSET_KEY, SIZE_KEY
from .reference_image import VIEW_KEY

RIG = "Rig"
SOURCE_KEY = "skullptor_capture"  # custom property of a rig's empty: the capture whose world it turns into the scene's
FLOAT32 = 2.0**-24  # relative rounding of Blender's matrices
MOST_BLUR = 0.001  # pixels
SQUARE = 1e-3  # pixels that differ less than this from squares get square pixels in the scene


class ImportProblem(ValueError):
    """The capture cannot be shown in a scene; one sentence says why."""


def parse(path: Path) -> tuple[dict, Path]:
    """capture.json and its folder. Deep validation is the bridge's; here only what a scene needs."""
    file = path / "capture.json" if path.is_dir() else path
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if body["schema"] != 1:
            raise ImportProblem(f"'{file.name}' has schema {body['schema']!r}; this version reads 1.")
        for view in body["views"]:
            if not (file.parent / view["image"]).is_file():
                raise ImportProblem(f"View '{view['name']}': the image '{view['image']}' is missing.")
            has_distortion(view), record(view)
    except OSError as error:
        raise ImportProblem(f"'{file}' cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, ImportProblem):
            raise
        raise ImportProblem(f"'{file.name}' is no capture: {error!r}.") from None
    return body, file.parent


def read(path: Path) -> tuple[dict, Path]:
    """As parse, and refuses what a Blender camera cannot show."""
    body, folder = parse(path)
    for view in body["views"]:
        if has_distortion(view):
            raise ImportProblem(
                f"View '{view['name']}' has lens distortion, which a Blender camera cannot show:"
                " undistort the photographs first, or use Photographs or Cameras."
            )
    return body, folder


def has_distortion(view: dict) -> bool:
    """Must the photograph be undistorted before a Blender camera can show it?"""
    lens = view.get("distortion") or {}
    return any(value for key, value in lens.items() if key != "model") or abs(view["K"][0][1]) > 1e-9 * view["K"][0][0]


def record(view: dict) -> ViewRecord:
    K, R, t = (np.array(view[key], dtype=np.float64) for key in ("K", "R", "t"))
    return ViewRecord(view["name"], view["image"], view["width"], view["height"], K, R, t)


def build(
    context: bpy.types.Context,
    capture: Path | str,
    views: list[str] | None = None,
    turn_upright: bool = False,
    front: str = "",
) -> list[bpy.types.Object]:
    """Make the capture's cameras in the current scene and return them. Raises ImportProblem, then nothing is made.

    views: names to take, None for all. The scene's resolution becomes the commonest image size. World coordinates are
    the capture's and the scene's unit scale becomes its unit. turn_upright: instead the cameras hang on an empty that
    turns the capture's world upright and scales it to the scene's units; move it as you like, a head lines up. front:
    the view that shows the face from the front; without it that is where most cameras stand.
    """
    body, folder = read(Path(capture))
    chosen = [view for view in body["views"] if views is None or view["name"] in views]
    if not chosen:
        raise ImportProblem(f"'{folder.name}' holds no such views.")
    matrix, notes = _standing(body, chosen, front) if turn_upright else (None, "")
    scene = context.scene
    collection = rigs.new_collection(scene, name_of(body, folder))  # before the scene's resolution changes
    shapes = Counter((view["width"], view["height"], _ratio(view)) for view in chosen)
    frame, _ = shapes.most_common(1)[0]
    width, height, ratio = frame
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = (1.0, ratio) if ratio >= 1 else (1.0 / ratio, 1.0)
    rig = None
    if turn_upright:
        chosen = [_in_rig(view, body.get("upright")) for view in chosen]
    offset = world_offset(chosen)
    if offset is not None:
        chosen = [_moved(view, offset) for view in chosen]
    if turn_upright:
        if offset is not None:
            matrix = matrix.copy()
            matrix[:3, 3] += matrix[:3, :3] @ offset
        rig = _rig(matrix, notes, folder, scene, collection)
    elif body.get("unit_mm"):
        scene.unit_settings.scale_length = body["unit_mm"] / 1000.0
    if offset is not None:
        (rig or scene)[OFFSET_KEY] = offset.tolist()
    made = [_camera(view, folder, collection, frame, rig) for view in chosen]
    if scene.camera is None:
        scene.camera = made[0]
    settings = getattr(scene, "skullptor", None)
    if settings is not None:
        _set_folders(settings, chosen, folder, body)
        for view, ob in zip(chosen, made):
            if view.get("mask") and ob.name != view["name"]:  # Blender has renamed it: the folder knows another name
                ob.data.skullptor.mask = bpy.data.images.load(stored(folder / view["mask"]))
    context.view_layer.update()
    records = [record(view) for view in chosen]
    middle, _ = common_point(records)
    if middle is not None:  # a guess, until the first head is measured
        collection[placing.HEIGHT] = upright.head_size(records, middle) * (rig.scale.x if rig else 1.0)
    return made


def stored(path: Path) -> str:
    """A path as the .blend keeps it: relative to it where the preferences want that and it is saved."""
    whole = str(path.resolve())
    if bpy.data.filepath and bpy.context.preferences.filepaths.use_relative_paths:
        with contextlib.suppress(ValueError):  # another drive
            return bpy.path.relpath(whole)
    return whole


def world_offset(views: list[dict]) -> np.ndarray | None:
    """What to take out of a rig so far from its origin that Blender's float32 would blur it; None for all others."""
    records = [record(view) for view in views]
    centers = np.stack([view.center for view in records])
    middle = centers.mean(0)
    spread = max(float(np.median(np.linalg.norm(centers - middle, axis=1))), 1e-12)
    if len(records) == 1:  # nobody knows how far it stands from the head
        spread = 1.0
    blur = np.abs(centers).max() * FLOAT32 / spread * max(view.K[0, 0] for view in records)  # pixels
    return middle if blur > MOST_BLUR else None


def offset_said(made: list[bpy.types.Object]) -> str:
    """A sentence on what was taken out of the cameras' world, empty where nothing was."""
    holder = made[0].parent or bpy.context.scene
    offset = holder.get(OFFSET_KEY)
    if offset is None:
        return ""
    where = ", ".join(f"{value:,.1f}" for value in offset)
    return (
        f"The rig stands far from its origin, at {where}: that was taken out, or Blender would blur the cameras. "
        f"It is kept in the custom property '{OFFSET_KEY}' of {'the rig' if made[0].parent else 'the scene'}."
    )


def _moved(view: dict, offset: np.ndarray) -> dict:
    """The view in a world whose origin is at the offset."""
    return view | {"t": (np.array(view["t"]) + np.array(view["R"]) @ offset).tolist()}


def name_of(body: dict, folder: Path) -> str:
    """What the rig is called: as the capture calls itself, else as its folder."""
    return str(body.get("name") or folder.name or "Rig")


def _standing(body: dict, views: list[dict], front: str) -> tuple[np.ndarray, str]:
    """The rig's own world -> the upright one in metres [4, 4], and what was guessed: as the bridge has turned it, else
    as we turn it.
    """
    if turned := body.get("upright"):
        matrix = np.eye(4)
        matrix[:3, :3] = turned["scale"] * np.array(turned["rotation"])
        matrix[:3, 3] = turned["offset"]
        unit = body.get("unit_mm")  # of the turned world
        notes = "" if unit else upright.SIZE_GUESSED
        return np.diag([(unit or 1000.0) / 1000.0] * 3 + [1.0]) @ matrix, notes
    try:
        placed = upright.place([record(view) for view in views], body.get("unit_mm"), front)
    except KeyError:
        raise ImportProblem(f"No view is called '{front}', so the front is not known.") from None
    return placed.matrix, " ".join(placed.said)


def _in_rig(view: dict, turned: dict | None) -> dict:
    """A view of an upright capture in the rig's own world again: x_capture = scale rotation x + offset."""
    if not turned:
        return view
    R, t, rotation, offset = (np.array(a) for a in (view["R"], view["t"], turned["rotation"], turned["offset"]))
    return view | {"R": (R @ rotation).tolist(), "t": ((t + R @ offset) / turned["scale"]).tolist()}


def _rig(
    matrix: np.ndarray, notes: str, folder: Path, scene: bpy.types.Scene, collection: bpy.types.Collection
) -> bpy.types.Object:
    """The empty that takes the capture's world to the scene's."""
    rig = bpy.data.objects.new(RIG, None)
    rig.matrix_world = Matrix.Scale(1.0 / scene.unit_settings.scale_length, 4) @ Matrix(matrix.tolist())
    rig.empty_display_type = "PLAIN_AXES"  # no letters
    rig.empty_display_size = 0.02 / float(np.cbrt(np.linalg.det(matrix[:3, :3])))  # 2 cm
    rig.hide_select = True  # it lies in the head: a click on the head means the head
    rig[SOURCE_KEY] = str(folder)
    rig["skullptor_notes"] = notes
    collection.objects.link(rig)
    return rig


def _ratio(view: dict) -> float:
    """fx / fy, as far as it matters to the frame: what is almost square is square there."""
    ratio = view["K"][0][0] / view["K"][1][1]
    return 1.0 if abs(ratio - 1.0) <= SQUARE else round(ratio, 6)


def _camera(
    view: dict,
    folder: Path,
    collection: bpy.types.Collection,
    frame: tuple[int, int, float],
    rig: bpy.types.Object | None,
) -> bpy.types.Object:
    K, R, t = (np.array(view[key], dtype=np.float64) for key in ("K", "R", "t"))
    width, height = view["width"], view["height"]
    own_ratio = K[0, 0] / K[1, 1]
    same = (width, height) == frame[:2] and abs(own_ratio - frame[2]) <= 1e-9
    fit, frame_shape = "HORIZONTAL", frame[0] / (frame[1] * frame[2])
    if not same:
        # the frame belongs to the scene: fit the image into it along the side that touches
        fit = "HORIZONTAL" if width / (height * own_ratio) > frame_shape else "VERTICAL"
    numbers = conventions.blender_from_intrinsics(K, width, height, fit)
    data = bpy.data.cameras.new(view["name"])
    data.sensor_fit = fit
    data.sensor_width, data.sensor_height = numbers.sensor_width, numbers.sensor_height
    data.lens, data.shift_x, data.shift_y = numbers.lens, numbers.shift_x, numbers.shift_y
    data[SIZE_KEY] = [width, height]
    data[VIEW_KEY] = view["name"]
    ob = bpy.data.objects.new(view["name"], data)
    ob.parent = rig
    ob.matrix_basis = Matrix(conventions.matrix_from_pose(R, t).tolist())
    distance = float(np.linalg.norm(R.T @ t))
    scale = 1.0 if rig is None else rig.scale.x
    data.display_size = max(0.05 * distance, 1e-4)  # a parent's scale applies to it, but not to where the view is cut
    data.clip_start, data.clip_end = max(1e-3 * distance * scale, 1e-6), max(100.0 * distance * scale, 1.0)
    data.show_background_images = True
    background = data.background_images.new()
    background.image = bpy.data.images.load(stored(folder / view["image"]), check_existing=True)
    if not same and own_ratio != 1.0:
        background.image.display_aspect = (1.0 / own_ratio, 1.0)  # the shape of its pixels
    background.frame_method = "STRETCH" if same else "FIT"
    background.alpha = 1.0
    collection.objects.link(ob)
    return ob


def _set_folders(settings: bpy.types.PropertyGroup, views: list[dict], folder: Path, body: dict) -> None:
    """Masks and measured normals come along where each lies in one folder under its camera's name."""
    for key, name in (("mask", "mask_folder"), ("normals", "normals_folder")):
        files = [Path(view[key]) for view in views if view.get(key)]
        folders = {file.parent for file in files}
        named = all(Path(view[key]).stem == view["name"] for view in views if view.get(key))
        if len(folders) == 1 and named:
            setattr(settings, name, stored(folder / folders.pop()))
    encoding = body.get("normals_encoding") or {}
    settings.normals_axes = encoding.get("axes", "opengl")
    settings.normals_max = encoding.get("max", 65535)
