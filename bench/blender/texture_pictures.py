"""The README's picture of a textured head, made in Blender's Python: FOLDER of `--texture` or `bridge texture`, OUT.jpg

Front and side in Cycles, the same in EEVEE (which needs OpenGL; drawn in software it takes minutes), and the map with
the edges of its islands.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 460, 512
ENGINES = (("CYCLES", 48), ("BLENDER_EEVEE_NEXT", 32))
TURNED = (0.25, 1.35)  # radians that the camera stands beside the face: front and side


def load(folder: Path) -> bpy.types.Object:
    """The head in the demo's world: up is Z, the face looks along -Y."""
    sys.path.insert(0, str(ROOT / "skullptor_blender"))
    package = importlib.import_module("batch").load_extension().__name__
    materials = importlib.import_module(f"{package}.skullptor_blender.scene.materials")
    return materials.load(bpy.context.scene, bpy.context.view_layer, folder, "Head", True)


def light(ob: bpy.types.Object) -> tuple[Vector, float]:
    """A soft lamp from above on the left and an even world; gives the head's middle and its size."""
    scene = bpy.context.scene
    corners = [ob.matrix_world @ Vector(corner) for corner in ob.bound_box]
    low, high = (Vector(k(c[i] for c in corners) for i in range(3)) for k in (min, max))
    middle, size = (low + high) / 2, (high - low).z
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.75, 0.78, 0.82, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.7
    scene.world = world
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "AREA"))
    lamp.data.energy, lamp.data.size = 60 * size**2, size
    lamp.location = middle + size * Vector((1.2, -1.8, 1.2))
    lamp.rotation_euler = (middle - lamp.location).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(lamp)
    return middle, size


def render(middle: Vector, size: float, engine: str, samples: int, path: Path) -> np.ndarray:  # [H, W, 3]
    scene = bpy.context.scene
    scene.render.engine = engine
    scene.cycles.samples = scene.eevee.taa_render_samples = samples
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform = "Standard"
    camera = scene.camera or bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    if scene.camera is None:
        scene.collection.objects.link(camera)
        scene.camera = camera
    camera.data.lens, camera.data.sensor_width = 85, 36
    views = []
    for angle in TURNED:
        looks_at = middle + Vector((0, 0, 0.2 * size))
        camera.location = looks_at + 2.05 * size * Vector((np.sin(angle), -np.cos(angle), 0.05))
        camera.rotation_euler = (looks_at - camera.location).to_track_quat("-Z", "Y").to_euler()
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        views.append(pixels_of(bpy.data.images.load(str(path), check_existing=False)))
    return np.concatenate(views, 1)


def pixels_of(image: bpy.types.Image) -> np.ndarray:  # [H, W, 3] as stored, rows from below
    values = np.empty(4 * image.size[0] * image.size[1], np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(image.size[1], image.size[0], 4)[..., :3]


def layout(ob: bpy.types.Object, side: int) -> np.ndarray:  # [side, side, 3]
    """The map with the edges of its islands."""
    (albedo,) = (image for image in bpy.data.images if "albedo" in image.name)
    step = albedo.size[0] // side
    whole = pixels_of(albedo)
    picture = whole.reshape(side, step, side, step, 3).mean((1, 3))
    uv = np.empty(2 * len(ob.data.loops), np.float32)
    ob.data.uv_layers.active.uv.foreach_get("vector", uv)
    corners = np.empty(len(ob.data.loops), np.int32)
    ob.data.loops.foreach_get("vertex_index", corners)
    uv, triangles = uv.reshape(-1, 3, 2), corners.reshape(-1, 3)
    rows = {}
    for edge, ends in (((a, b), (p, q)) for k in range(3) for (a, b), (p, q) in zip(
        np.stack([triangles[:, k], triangles[:, (k + 1) % 3]], 1).tolist(),
        np.stack([uv[:, k], uv[:, (k + 1) % 3]], 1),
    )):  # fmt: skip
        rows[edge] = ends
    for (a, b), (p, q) in rows.items():
        other = rows.get((b, a))
        if other is None or np.abs(other[0] - q).max() + np.abs(other[1] - p).max() > 1e-5:
            for share in np.linspace(0, 1, 8):
                x, y = ((1 - share) * p + share * q) * side
                picture[min(int(y), side - 1), min(int(x), side - 1)] = (1.0, 0.55, 0.1)
    return picture


def main(folder: Path, out: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    ob = load(folder)
    middle, size = light(ob)
    with tempfile.TemporaryDirectory() as temporary:
        rows = [render(middle, size, *engine, Path(temporary) / "view.png") for engine in ENGINES]
    rendered = np.concatenate(rows[::-1], 0)  # rows of pixels run from below
    side = 1024
    flat = layout(ob, side)
    pad = rendered.shape[0] - side
    flat = np.concatenate([np.ones((pad // 2, side, 3)), flat, np.ones((pad - pad // 2, side, 3))], 0)
    sheet = np.ones((rendered.shape[0], rendered.shape[1] + side, 4), np.float32)
    sheet[..., :3] = np.concatenate([rendered, flat], 1)
    image = bpy.data.images.new("sheet", sheet.shape[1], sheet.shape[0])
    image.pixels.foreach_set(sheet.ravel())
    image.filepath_raw, image.file_format = str(out), "JPEG"
    image.save(quality=85)


main(*map(Path, sys.argv[-2:]))
