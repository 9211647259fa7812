"""Run by bench.texture_maps in Blender's Python: renders normals and displaces the template. FOLDER holds its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

LEVELS = 4  # of Multires
PIXELS = 768


def mesh_object(name: str, vertices: np.ndarray, faces) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.shade_smooth()
    ob = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(ob)
    return ob


def read_obj(path: Path) -> tuple[np.ndarray, list, np.ndarray]:
    vertices, uv, faces, corners = [], [], [], []
    for line in path.read_text().splitlines():
        kind, *words = line.split()
        if kind == "v":
            vertices.append([float(k) for k in words])
        elif kind == "vt":
            uv.append([float(k) for k in words])
        else:
            pairs = [tuple(int(k) - 1 for k in word.split("/")) for word in words]
            faces.append([v for v, _ in pairs])
            corners += [t for _, t in pairs]
    return np.array(vertices), faces, np.array(uv)[corners]


def emission(name: str, source: str, folder: Path) -> bpy.types.Material:
    """A material that shines with its normal (geometry or map), or with the attribute "face"."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    out, glow = nodes.new("ShaderNodeOutputMaterial"), nodes.new("ShaderNodeEmission")
    links.new(glow.outputs[0], out.inputs[0])
    if source == "face":
        found = nodes.new("ShaderNodeAttribute")
        found.attribute_name = "face"
        links.new(found.outputs["Fac"], glow.inputs[0])
        return material
    half = nodes.new("ShaderNodeVectorMath")
    half.operation = "MULTIPLY_ADD"
    half.inputs[1].default_value = half.inputs[2].default_value = (0.5, 0.5, 0.5)
    links.new(half.outputs[0], glow.inputs[0])
    if source == "map":
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(str(folder / "normal.png"))
        image.image.colorspace_settings.name = "Non-Color"
        bump = nodes.new("ShaderNodeNormalMap")
        bump.uv_map = "UVMap"
        links.new(image.outputs["Color"], bump.inputs["Color"])
        links.new(bump.outputs["Normal"], half.inputs[0])
    else:
        links.new(nodes.new("ShaderNodeNewGeometry").outputs["Normal"], half.inputs[0])
    return material


def render(ob: bpy.types.Object, material: bpy.types.Material, path: Path) -> np.ndarray:  # [H, W, 4]
    for other in bpy.data.objects:
        other.hide_render = other.type == "MESH" and other is not ob
    ob.data.materials.clear()
    ob.data.materials.append(material)
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(4 * PIXELS * PIXELS, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(PIXELS, PIXELS, 4)


def set_scene(points: np.ndarray, up: np.ndarray, front: np.ndarray) -> None:
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 0.01  # each pixel one place
    scene.render.resolution_x = scene.render.resolution_y = PIXELS
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    middle, reach = (points.max(0) + points.min(0)) / 2, float(np.ptp(points, axis=0).max())
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.1 * reach
    camera.data.clip_end = 100 * reach
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([np.cross(up, front), up, front], 1)
    matrix[:3, 3] = middle + 3 * reach * front
    camera.matrix_world = Matrix(matrix)


def coordinates(ob: bpy.types.Object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices of the object as its modifiers leave it, and its attributes "face" and "exposed"."""
    mesh = ob.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    co = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", co)
    found = [co.reshape(-1, 3)]
    for name in ("face", "exposed"):
        values = np.empty(len(mesh.vertices), np.float32)
        mesh.attributes[name].data.foreach_get("value", values)
        found.append(values)
    return tuple(found)


def main(folder: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    vertices, faces, uv = read_obj(folder / "skin.obj")
    template = mesh_object("template", vertices, faces)
    template.data.uv_layers.new(name="UVMap").uv.foreach_set("vector", uv.astype(np.float32).ravel())
    with np.load(folder / "regions.npz") as regions:
        for name in ("face", "exposed"):
            layer = template.data.attributes.new(name, "FLOAT", "POINT")
            layer.data.foreach_set("value", regions[name].astype(np.float32))
    with np.load(folder / "dense.npz") as stored:
        dense = mesh_object("dense", stored["vertices"], stored["faces"].tolist())
    set_scene(vertices, np.array([0.0, 1, 0]), np.array([0.0, 0, 1]))  # the test heads' worlds
    truth = render(dense, emission("dense", "geometry", folder), folder / "dense.exr")
    face = render(template, emission("face", "face", folder), folder / "face.exr")[..., 0] > 0.99
    angles = {}
    for kind, source in (("without the map", "geometry"), ("with the map", "map")):
        found = render(template, emission(kind, source, folder), folder / f"{source}.exr")
        inside = (found[..., 3] > 0.5) & (truth[..., 3] > 0.5)
        a, b = (2 * k[..., :3] - 1 for k in (found, truth))
        cosine = (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-9)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        angles[kind] = {"all": float(angle[inside].mean()), "face": float(angle[inside & face].mean())}
    (folder / "angles.json").write_text(json.dumps(angles))
    found = {}
    for name in ("simple", "catmull_clark"):
        found |= displaced(template, name, folder)
    np.savez(folder / "displaced.npz", **found)


def displaced(template: bpy.types.Object, mode: str, folder: Path) -> dict[str, np.ndarray]:
    """The template's vertices under Multires alone (MODE_plain) and with the heights of MODE.exr (MODE)."""
    template.modifiers.clear()
    bpy.context.view_layer.objects.active = template
    multires = template.modifiers.new("Multires", "MULTIRES")
    multires.uv_smooth = "NONE"
    for _ in range(LEVELS):
        bpy.ops.object.multires_subdivide(modifier=multires.name, mode=mode.upper())
    plain, _, _ = coordinates(template)
    texture = bpy.data.textures.new(mode, "IMAGE")
    texture.image = bpy.data.images.load(str(folder / f"{mode}.exr"))
    texture.image.colorspace_settings.name = "Non-Color"
    texture.use_clamp, texture.extension = False, "EXTEND"  # heights below the surface are negative
    lift = template.modifiers.new("Displace", "DISPLACE")
    lift.texture, lift.texture_coords, lift.uv_layer = texture, "UV", "UVMap"
    lift.mid_level, lift.strength = 0.0, 1.0
    lifted, face, exposed = coordinates(template)
    return {f"{mode}_plain": plain, mode: lifted, "face": face, "exposed": exposed}


main(Path(sys.argv[-1]))
