"""Texture maps -> a material, and a textured head -> an object: what a folder of `python -m bridge texture` holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from . import result, template

MARK = "skullptor_texture"  # custom property of material and images: the folder they came from
UV_LAYER = "UVMap"
SKIN_ROUGHNESS = 0.5
SKIN_SUBSURFACE = 0.06
SKIN_RADIUS_MM = (3.7, 1.4, 0.7)  # how far red, green and blue light travels in skin (Jensen and others 2001, rounded)


class NoTexture(Exception):
    """The folder holds no texture; the sentence says what is missing."""


def geometry_of(ob: bpy.types.Object, skin_only: bool = False) -> dict[str, np.ndarray]:
    """A mesh in the world as arrays: vertices, and with UVs corners, totals and uv (write_obj), else triangles.

    skin_only: without the faces of other materials than the first, such as eyes and teeth.
    """
    mesh = ob.data
    matrix = np.array(ob.matrix_world)
    co = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", co)
    found = {"vertices": co.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]}
    if mesh.uv_layers.active is not None:
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        totals = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("loop_total", totals)
        uv = np.empty(2 * len(mesh.loops), np.float32)
        mesh.uv_layers.active.uv.foreach_get("vector", uv)
        uv = uv.reshape(-1, 2)
        if skin_only:
            slots = np.empty(len(mesh.polygons), np.int32)
            mesh.polygons.foreach_get("material_index", slots)
            skin = np.repeat(slots == 0, totals)
            corners, totals, uv = corners[skin], totals[slots == 0], uv[skin]
        return found | {"corners": corners, "totals": totals, "uv": uv}
    mesh.calc_loop_triangles()
    triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    return found | {"triangles": triangles.reshape(-1, 3)}


def shape_of(mesh: bpy.types.Mesh) -> dict[str, int]:
    """What maps and UVs rely on: how many of each there are."""
    return {"vertices": len(mesh.vertices), "corners": len(mesh.loops), "faces": len(mesh.polygons)}


def difference(mesh: bpy.types.Mesh, before: Mapping[str, int]) -> str:
    """Which numbers are others now: "it has 1200 instead of 1000 vertices"."""
    now = shape_of(mesh)
    changed = [f"{now[key]} instead of {before[key]} {key}" for key in now if now[key] != before[key]]
    return f"it has {' and '.join(changed)}"


def dress(scene: bpy.types.Scene, ob: bpy.types.Object, folder: Path, packed: bool, normals: bool = True) -> None:
    """Give an object the maps of a folder as its material, and UVs where it had none.

    packed: images go into the .blend file, else they stay in the folder. normals: connect the normal map, if there is
    one; a mesh that is displaced has the same shape already. Raises NoTexture.
    """
    maps = {kind: paths for kind, paths in read_maps(folder).items() if normals or kind != "normal"}
    stored = folder / "textured.npz"
    if stored.is_file() and ob.data.uv_layers.active is None:
        try:
            with np.load(stored) as arrays:
                uv, faces, faces_uv = arrays["uv"], arrays["faces"], arrays["faces_uv"]
        except (OSError, ValueError, KeyError) as error:
            raise NoTexture(f"'{stored}' cannot be read: {error}.") from None
        corners = np.empty(len(ob.data.loops), np.int32)
        ob.data.loops.foreach_get("vertex_index", corners)
        if not np.array_equal(corners, faces.ravel()):
            raise NoTexture(f"The texture in '{folder}' was made for another mesh than '{ob.name}'.")
        add_uvs(ob.data, uv, faces_uv)
    skin = make(f"{ob.name} Skin", maps, packed, scene.unit_settings.scale_length or 1.0)
    if template.KEY in ob and len(ob.data.materials):  # eyes and teeth keep theirs
        ob.data.materials[0] = skin
    else:
        ob.data.materials.clear()
        ob.data.materials.append(skin)
    ob[MARK] = str(folder)


def load(
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, folder: Path, name: str, packed: bool
) -> bpy.types.Object:
    """The textured head of a folder as an object in the scene's world. Raises NoTexture."""
    try:
        with np.load(folder / "textured.npz") as stored:
            arrays = {key: stored[key] for key in ("vertices", "faces")}
    except (OSError, ValueError, KeyError) as error:
        raise NoTexture(f"'{folder / 'textured.npz'}' cannot be read: {error}.") from None
    ob = result.create(scene, view_layer, arrays, name, {result.MARK: "texture"})
    dress(scene, ob, folder, packed)
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
    layer.uv.foreach_set("vector", np.ascontiguousarray(uv[faces_uv.ravel()], np.float32).ravel())
    mesh.uv_layers.active = layer


def make(name: str, maps: Mapping[str, list[Path]], packed: bool, metres: float) -> bpy.types.Material:
    """Skin: a Principled BSDF with the albedo, the normal map, and light that travels below the surface.

    metres: of a Blender unit.

    Displacement is not connected, since it wants subdivision; nor are occlusion and curvature.
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
    for row, kind in enumerate(("occlusion", "curvature")):  # for whoever mixes masks of them
        if kind in maps:
            _image_node(nodes, maps[kind], "Non-Color", packed).location = (x - 900, y - 320 * row)
    return material


def _image_node(nodes: bpy.types.Nodes, paths: list[Path], space: str, packed: bool) -> bpy.types.Node:
    image = bpy.data.images.load(str(paths[0]))
    if not packed and bpy.data.filepath:  # file and folder may move together
        image.filepath = bpy.path.relpath(str(paths[0]))
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
