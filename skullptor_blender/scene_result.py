"""Result files -> object, collection, attributes: the only writer of meshes. All in one go, so it is one undo step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

COLLECTION = "Skullptor"
MARK = "skullptor_version"  # custom property that tells our objects; names may be changed by anyone
COLOR = "color"  # name of the colour attribute
ATTRIBUTES = {"view_count": "INT", "confidence": "FLOAT", "normal_error": "FLOAT"}


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a result. Raises OSError or ValueError."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    vertices, faces = arrays.get("vertices"), arrays.get("faces")
    if vertices is None or faces is None or vertices.ndim != 2 or faces.ndim != 2 or not len(faces):
        raise ValueError("it holds no mesh")
    if vertices.shape[1] != 3 or faces.shape[1] != 3 or not np.isfinite(vertices).all():
        raise ValueError("its mesh is damaged")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("its faces name vertices that are not there")
    return arrays


def is_result(ob: bpy.types.Object | None) -> bool:
    """Made by us; its name may have been changed by anyone."""
    return ob is not None and ob.type == "MESH" and MARK in ob


def create(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    arrays: Mapping[str, np.ndarray],
    name: str,
    properties: Mapping[str, str],
) -> bpy.types.Object:
    """The head as an object in the scene's world frame and scale. The previous one is hidden, not deleted."""
    collection = _collection(scene)
    mesh = make_mesh(f"{name}.mesh", arrays)
    ob = bpy.data.objects.new(name, mesh)
    for key, value in properties.items():
        ob[key] = value
    previous = [other for other in collection.objects if MARK in other]
    collection.objects.link(ob)
    for other in previous:
        other.hide_render = True
        if other.name in view_layer.objects:
            other.hide_set(True, view_layer=view_layer)
    return ob


def make_mesh(name: str, arrays: Mapping[str, np.ndarray]) -> bpy.types.Mesh:
    """A smooth shaded triangle mesh with the per-vertex attributes."""
    vertices, faces = arrays["vertices"], arrays["faces"]
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(3 * len(faces))
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.update(calc_edges=True)
    for key, kind in ATTRIBUTES.items():
        values = arrays.get(key)
        if values is not None and values.shape == (len(vertices),):
            attribute = mesh.attributes.new(key, kind, "POINT")
            dtype = np.int32 if kind == "INT" else np.float32
            attribute.data.foreach_set("value", np.ascontiguousarray(values, dtype))
    colors = arrays.get("color")
    if colors is not None and colors.shape == (len(vertices), 3):
        paint(mesh, colors)
    mesh.update()
    return mesh


def paint(mesh: bpy.types.Mesh, colors: np.ndarray) -> None:
    """Vertex colours [V, 3] uint8 sRGB as a colour attribute, and the material that shows it."""
    rgba = np.ones((len(colors), 4), np.float32)
    rgba[:, :3] = colors / np.float32(255)
    attribute = mesh.color_attributes.new(COLOR, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = attribute
    mesh.materials.append(material(COLOR))


def material(layer: str) -> bpy.types.Material:
    """The one material of all results for a colour attribute, found by its mark: its colours on a matt surface."""
    for material in bpy.data.materials:
        mark = material.get(MARK)
        if mark and layer == (mark if isinstance(mark, str) else COLOR):
            return material
    material = bpy.data.materials.new(f"Skullptor {'Photographs' if layer == COLOR else 'Heat Map'}")
    material[MARK] = layer
    if material.node_tree is None:  # Blender 5 makes the nodes by itself
        material.use_nodes = True
    nodes = material.node_tree.nodes
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.6
    attribute = nodes.new("ShaderNodeVertexColor")
    attribute.layer_name = layer
    attribute.location = (shader.location.x - 220, shader.location.y)
    material.node_tree.links.new(attribute.outputs["Color"], shader.inputs["Base Color"])
    return material


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """The scene's collection of results, found by its mark."""
    for collection in scene.collection.children_recursive:
        if collection.get(MARK):
            return collection
    collection = bpy.data.collections.new(COLLECTION)
    collection[MARK] = True
    scene.collection.children.link(collection)
    return collection
