"""Renders the demo's ten photographs with Cycles: run once by us, its pictures are in demo/capture.

    python demo/render_photos.py HEAD_FOLDER OUTPUT_FOLDER [--size 1024] [--samples 48]

under a Python with the bpy module. HEAD_FOLDER holds head.json, head.npz and textures (an avatar of the VALID set,
Copyright (c) 2022 Tiffany Do, MIT). Writes the images, capture.json in Blender's world (metres, z up), and the ground
truth for `python -m bridge evaluate` is left out on purpose: the demo shows what an artist has, photographs and cameras.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

HEAD_AT = Vector((0.35, -0.20, 1.62))  # metres: off the origin, as in a real studio
# azimuth (0 = in front, positive to the subject's left), elevation, distance in metres, focal length in mm on 36 mm
RIG = [
    (0, 2, 1.15, 105),
    (-28, 6, 1.15, 105),
    (29, 4, 1.20, 108),
    (-62, 0, 1.15, 102),
    (60, 3, 1.10, 98),
    (-4, -24, 1.15, 105),
    (8, 34, 1.20, 108),
    (-112, 8, 1.20, 104),
    (115, 5, 1.15, 102),
    (178, 10, 1.25, 106),
]


def build_head(folder: Path) -> bpy.types.Object:
    """The avatar as a mesh in Blender's world: millimetres to metres, y-up to z-up, face towards -Y."""
    info = json.loads((folder / "head.json").read_text())
    data = np.load(folder / info["npz"])
    axes, center = np.array(info["axes"]), np.array(info["center"])
    metres = info["mm_per_native_unit"] / 1000
    points = (data["vertices"] @ axes.T - center) * metres
    points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1) + np.array(HEAD_AT)
    mesh = bpy.data.meshes.new("head")
    mesh.from_pydata(points.tolist(), [], data["faces"].tolist())
    layer = mesh.uv_layers.new(name="uv")
    layer.data.foreach_set("uv", data["uv"][data["faces_uv"].reshape(-1)].astype(np.float32).reshape(-1))
    slots = data["face_texture"] if "face_texture" in data else np.zeros(len(data["faces"]), int)
    for texture in info["textures"]:
        mesh.materials.append(skin(folder / texture["file"], info.get("specular", 0.1)))
    mesh.polygons.foreach_set("material_index", slots.astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    # the avatar's seams are split vertices: weld them, or subdivision opens the mesh along them
    head = bpy.data.objects.new("head", mesh)
    bpy.context.scene.collection.objects.link(head)
    weld = head.modifiers.new("weld", "WELD")
    weld.merge_threshold = 2e-5
    subdivide = head.modifiers.new("subdivide", "SUBSURF")
    subdivide.levels = subdivide.render_levels = info.get("subdivide", 1)
    return head


def skin(texture: Path, specular: float) -> bpy.types.Material:
    material = bpy.data.materials.new(texture.stem)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    image = material.node_tree.nodes.new("ShaderNodeTexImage")
    image.image = bpy.data.images.load(str(texture))
    material.node_tree.links.new(image.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.55
    shader.inputs["Specular IOR Level"].default_value = min(1.0, 2.5 * specular)
    shader.inputs["Subsurface Weight"].default_value = 0.06
    shader.inputs["Subsurface Radius"].default_value = (0.010, 0.004, 0.002)
    return material


def light(name: str, azimuth: float, elevation: float, distance: float, size: float, watts: float, colour) -> None:
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.energy, lamp.size, lamp.color = watts, size, colour
    item = bpy.data.objects.new(name, lamp)
    item.matrix_world = look_at(azimuth, elevation, distance)
    bpy.context.scene.collection.objects.link(item)


def look_at(azimuth: float, elevation: float, distance: float, aim: Vector = HEAD_AT, roll: float = 0.0) -> Matrix:
    """A Blender camera or lamp (looks along -Z) on a sphere about the aim."""
    a, e = math.radians(azimuth), math.radians(elevation)
    away = Vector((math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)))
    turn = away.to_track_quat("Z", "Y").to_matrix().to_4x4() @ Matrix.Rotation(math.radians(roll), 4, "Z")
    return Matrix.Translation(aim + away * distance) @ turn


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("head", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--only", type=int, nargs="*", help="indices of the rig to render")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else None)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    build_head(options.head)
    light("key", -35, 40, 1.6, 0.9, 26, (1.0, 0.96, 0.90))
    light("fill", 55, 15, 1.7, 1.3, 13, (0.88, 0.93, 1.0))
    light("rim", 170, 45, 1.6, 0.8, 16, (1.0, 0.98, 0.95))
    world = bpy.data.worlds.new("studio")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.32, 0.34, 0.36, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.55
    scene.world = world
    scene.render.engine = "CYCLES"
    scene.cycles.samples = options.samples
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = options.size
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = 87
    (options.output / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    views = []
    for index, (azimuth, elevation, distance, lens) in enumerate(RIG):
        jitter = rng.normal(size=4)
        if options.only and index not in options.only:
            continue
        name = f"cam{index + 1:02d}"
        data = bpy.data.cameras.new(name)
        data.lens, data.sensor_width, data.sensor_fit = lens, 36.0, "HORIZONTAL"
        # rounded: the capture must say exactly what was rendered
        data.shift_x, data.shift_y = round(0.004 * jitter[0], 5), round(0.004 * jitter[1] - 0.02, 5)
        camera = bpy.data.objects.new(name, data)
        aim = HEAD_AT + Vector((0.01 * jitter[2], 0.0, -0.01))
        camera.matrix_world = look_at(azimuth, elevation, distance, aim, roll=2.0 * jitter[3])
        scene.collection.objects.link(camera)
        scene.camera = camera
        bpy.context.view_layer.update()
        file = options.output / "images" / f"{name}.jpg"
        scene.render.filepath = str(file)
        bpy.ops.render.render(write_still=True)
        pose = np.diag([1.0, -1, -1, 1]) @ np.linalg.inv(np.array(camera.matrix_world, dtype=float))
        f = data.lens * options.size / 36.0
        K = [
            [f, 0, options.size / 2 - data.shift_x * options.size],
            [0, f, options.size / 2 + data.shift_y * options.size],
            [0, 0, 1],
        ]
        view = {"name": name, "image": f"images/{file.name}", "mask": None, "normals": None}
        view |= {"width": options.size, "height": options.size}
        view |= {"K": K, "R": pose[:3, :3].tolist(), "t": pose[:3, 3].tolist(), "distortion": None}
        views.append(view)
    info = json.loads((options.head / "head.json").read_text())
    capture = {
        "schema": 1,
        "name": "demo",
        "unit_mm": 1000.0,
        "views": views,
        "license": "MIT",
        "attribution": f"{info['attribution']}; photographs rendered with Blender's Cycles by the Skullptor developers",
    }
    (options.output / "capture.json").write_text(json.dumps(capture, indent=1))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    import os

    os._exit(code)  # bpy 4.5 may hang at interpreter exit
