"""Capture folder -> scene: cameras with their photographs as background images. The opposite of scene_capture."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from . import conventions
from .scene_capture import SIZE_KEY

COLLECTION = "Cameras"


class ImportProblem(ValueError):
    """The capture cannot be shown in a scene; one sentence says why."""


def read(path: Path) -> tuple[dict, Path]:
    """capture.json and its folder. Deep validation is the bridge's; here only what a scene needs."""
    file = path / "capture.json" if path.is_dir() else path
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if body["schema"] != 1:
            raise ImportProblem(f"'{file.name}' has schema {body['schema']!r}; this version reads 1.")
        for view in body["views"]:
            if view.get("distortion") and any(v for k, v in view["distortion"].items() if k != "model"):
                raise ImportProblem(
                    f"View '{view['name']}' has lens distortion, which a Blender camera cannot show:"
                    " undistort the photographs first."
                )
            if not (file.parent / view["image"]).is_file():
                raise ImportProblem(f"View '{view['name']}': the image '{view['image']}' is missing.")
    except OSError as error:
        raise ImportProblem(f"'{file}' cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ImportProblem):
            raise
        raise ImportProblem(f"'{file.name}' is no capture: {error!r}.") from None
    return body, file.parent


def build(context: bpy.types.Context, capture: Path | str, views: list[str] | None = None) -> list[bpy.types.Object]:
    """Make the capture's cameras in the current scene and return them. Raises ImportProblem, then nothing is made.

    views: names to take, None for all. The scene's unit scale becomes the capture's and its resolution the commonest
    image size. World coordinates are the capture's.
    """
    body, folder = read(Path(capture))
    chosen = [view for view in body["views"] if views is None or view["name"] in views]
    if not chosen:
        raise ImportProblem(f"'{folder.name}' holds no such views.")
    scene = context.scene
    shapes = Counter((view["width"], view["height"], _ratio(view)) for view in chosen)
    (width, height, ratio), _ = shapes.most_common(1)[0]
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = (1.0, ratio) if ratio >= 1 else (1.0 / ratio, 1.0)
    if body.get("unit_mm"):
        scene.unit_settings.scale_length = body["unit_mm"] / 1000.0
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    made = [_camera(view, folder, collection, (width, height, ratio)) for view in chosen]
    if scene.camera is None:
        scene.camera = made[0]
    settings = getattr(scene, "skullptor", None)
    if settings is not None:
        _set_folders(settings, chosen, folder, body)
    context.view_layer.update()
    return made


def _ratio(view: dict) -> float:
    return round(view["K"][0][0] / view["K"][1][1], 6)


def _camera(
    view: dict, folder: Path, collection: bpy.types.Collection, frame: tuple[int, int, float]
) -> bpy.types.Object:
    K, R, t = (np.array(view[key], dtype=np.float64) for key in ("K", "R", "t"))
    width, height = view["width"], view["height"]
    same = (width, height, _ratio(view)) == frame
    fit = "HORIZONTAL"
    if not same:
        # the frame belongs to the scene: fit the image into it along the side that touches
        if abs(_ratio(view) - 1.0) > 1e-3 or abs(frame[2] - 1.0) > 1e-3:
            raise ImportProblem(
                f"View '{view['name']}' has pixels of another shape than the others: a scene can hold only one shape."
            )
        fit = "HORIZONTAL" if width * frame[1] > height * frame[0] else "VERTICAL"
    numbers = conventions.blender_from_intrinsics(K, width, height, fit)
    data = bpy.data.cameras.new(view["name"])
    data.sensor_fit = fit
    data.sensor_width, data.sensor_height = numbers.sensor_width, numbers.sensor_height
    data.lens, data.shift_x, data.shift_y = numbers.lens, numbers.shift_x, numbers.shift_y
    data[SIZE_KEY] = [width, height]
    ob = bpy.data.objects.new(view["name"], data)
    ob.matrix_world = Matrix(conventions.matrix_from_pose(R, t).tolist())
    distance = float(np.linalg.norm(R.T @ t))
    data.display_size = max(0.05 * distance, 1e-4)
    data.clip_start, data.clip_end = max(1e-3 * distance, 1e-6), max(100.0 * distance, 1.0)
    data.show_background_images = True
    background = data.background_images.new()
    background.image = bpy.data.images.load(str((folder / view["image"]).resolve()), check_existing=True)
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
            setattr(settings, name, str((folder / folders.pop()).resolve()))
    encoding = body.get("normals_encoding") or {}
    settings.normals_axes = encoding.get("axes", "opengl")
    settings.normals_max = encoding.get("max", 65535)
