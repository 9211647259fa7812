"""Texture maps -> a material, and a textured head -> an object: what a folder of `python -m bridge texture` holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from . import result

MARK = "skullptor_texture"  # custom property of material and images: the folder they came from
UV_LAYER = "UVMap"
SKIN_ROUGHNESS = 0.5
SKIN_SUBSURFACE = 0.06
SKIN_RADIUS_MM = (3.7, 1.4, 0.7)  # how far red, green and blue light travels in skin (Jensen and others 2001, rounded)
DATA_MAPS = ("normal", "displacement", "occlusion", "curvature")


class NoTexture(Exception):
    """The folder holds no texture; the sentence says what is missing."""


def load(
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, folder: Path, name: str, packed: bool
) -> bpy.types.Object:
    """The textured head of a folder as an object in the scene's world. packed: images go into the .blend file.

    Raises NoTexture.
    """
    maps = read_maps(folder)
    try:
        with np.load(folder / "textured.npz") as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, KeyError) as error:
        raise NoTexture(f"'{folder / 'textured.npz'}' cannot be read: {error}.") from None
    ob = result.create(scene, view_layer, arrays, name, {result.MARK: "texture"})
    add_uvs(ob.data, arrays["uv"], arrays["faces_uv"])
    ob.data.materials.clear()
    ob.data.materials.append(make(f"{name} Skin", maps, packed, metres_per_unit(scene)))
    return ob


def read_maps(folder: Path) -> dict[str, list[Path]]:
    """Kind -> files, as the report beside them names them. Raises NoTexture."""
    try:
        body = json.loads((folder / "texture.json").read_text(encoding="utf-8"))
        maps = {kind: [folder / name for name in names] for kind, names in body["maps"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise NoTexture(f"'{folder}' holds no texture.json of a texture.") from None
    missing = [path for paths in maps.values() for path in paths if not path.is_file()]
    if missing:
        raise NoTexture(f"The map '{missing[0].name}' is gone from '{folder}'.")
    return maps


def add_uvs(mesh: bpy.types.Mesh, uv: np.ndarray, faces_uv: np.ndarray) -> None:
    """uv [T, 2], faces_uv [F, 3]: rows of uv of each triangle's corners."""
    layer = mesh.uv_layers.new(name=UV_LAYER)
    layer.data.foreach_set("uv", np.ascontiguousarray(uv[faces_uv.ravel()], np.float32).ravel())
    mesh.uv_layers.active = layer


def make(name: str, maps: Mapping[str, list[Path]], packed: bool, metres: float) -> bpy.types.Material:
    """Skin: a Principled BSDF with the albedo, the normal map, and light that travels below the surface.

    metres: of a Blender unit. Displacement stays an image of the material, not connected: it wants subdivision.
    """
    material = bpy.data.materials.new(name)
    material[MARK] = True
    if material.node_tree is None:  # Blender 5 makes the nodes by itself
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = SKIN_ROUGHNESS
    shader.inputs["Subsurface Weight"].default_value = SKIN_SUBSURFACE
    shader.inputs["Subsurface Radius"].default_value = tuple(k / SKIN_RADIUS_MM[0] for k in SKIN_RADIUS_MM)
    shader.inputs["Subsurface Scale"].default_value = SKIN_RADIUS_MM[0] / 1000 / metres
    x, y = shader.location
    albedo = _image_node(nodes, maps["albedo"], "sRGB", packed)
    albedo.location = (x - 600, y)
    links.new(albedo.outputs["Color"], shader.inputs["Base Color"])
    nodes.active = albedo  # what solid view shows with "Texture"
    if "normal" in maps:
        image = _image_node(nodes, maps["normal"], "Non-Color", packed)
        image.location = (x - 600, y - 320)
        bump = nodes.new("ShaderNodeNormalMap")
        bump.uv_map = UV_LAYER
        bump.location = (x - 260, y - 320)
        links.new(image.outputs["Color"], bump.inputs["Color"])
        links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    if "displacement" in maps:
        image = _image_node(nodes, maps["displacement"], "Non-Color", packed)
        image.location = (x - 600, y - 640)
        lift = nodes.new("ShaderNodeDisplacement")
        lift.inputs["Midlevel"].default_value = 0.0
        lift.inputs["Scale"].default_value = 1.0
        lift.location = (x - 260, y - 640)
        links.new(image.outputs["Color"], lift.inputs["Height"])
    return material


def metres_per_unit(scene: bpy.types.Scene) -> float:
    return scene.unit_settings.scale_length or 1.0


def _image_node(nodes: bpy.types.Nodes, paths: list[Path], space: str, packed: bool) -> bpy.types.Node:
    image = bpy.data.images.load(str(paths[0]))
    image[MARK] = True
    if len(paths) > 1:  # UDIM: one image of all tiles, named by their numbers
        image.source = "TILED"
        for path in paths[1:]:
            image.tiles.new(int(path.stem.rpartition(".")[2]))
    image.colorspace_settings.name = space
    if packed:
        image.pack()
    node = nodes.new("ShaderNodeTexImage")
    node.image = image
    return node
