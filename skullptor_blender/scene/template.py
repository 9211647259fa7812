"""A wrapped template -> object: quads, UVs, materials, vertex groups, shape keys. All in one go: one undo step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np

from . import result as scene_result

KEY = "skullptor_template"  # custom property: which template it is; it is no head that can be run again
OF = scene_result.TEMPLATE_OF
ASKED = "skullptor_wrap"  # custom property: what was asked for, as JSON, for Run Again
OWN = "own"  # the choice of a file instead of a template that is known
MESH = "mesh"  # the choice of a mesh of the scene
CHOICES = ("template", "file", "mesh", "density", "rigid", "outside")  # what ASKED holds
LANDMARKS = "skullptor_landmarks_found"  # custom property: the landmarks it was laid by, as JSON
COLOURS = {
    "skin": (0.55, 0.37, 0.29),
    "eye_left": (0.85, 0.85, 0.85),
    "eye_right": (0.85, 0.85, 0.85),
    "teeth_upper": (0.8, 0.78, 0.68),
    "teeth_lower": (0.8, 0.78, 0.68),
    "tongue": (0.55, 0.2, 0.2),
    "lashes": (0.03, 0.02, 0.02),
    "other": (0.3, 0.3, 0.3),
}
SHEER = {"lashes": 0.3}  # cards that stand for hairs would be black bars


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a wrap.npz (bridge/job/wrap.py). Raises OSError or ValueError."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def wrapped(context: bpy.types.Context) -> bpy.types.Object | None:
    """The wrapped template that is active."""
    active = context.view_layer.objects.active
    return active if active is not None and active.type == "MESH" and KEY in active else None


def of_head(view_layer: bpy.types.ViewLayer, head: bpy.types.Object) -> list[bpy.types.Object]:
    """The templates that were wrapped onto a head, the newest first."""
    found = [ob for ob in view_layer.objects if ob.type == "MESH" and KEY in ob and ob.get(OF) == head.name]
    return found[::-1]


def create(
    head: bpy.types.Object, arrays: Mapping[str, np.ndarray], name: str, properties: Mapping[str, str]
) -> bpy.types.Object:
    """The template as an object beside the head, in its collections; the head itself stays."""
    ob = make(arrays, name, properties)
    for collection in head.users_collection:
        collection.objects.link(ob)
    return ob


def make(arrays: Mapping[str, np.ndarray], name: str, properties: Mapping[str, str]) -> bpy.types.Object:
    """The template as an object that is in no collection yet."""
    mesh = _mesh(f"{name}.mesh", arrays)
    ob = bpy.data.objects.new(name, mesh)
    for key, value in properties.items():
        ob[key] = value
    part_names = [str(part) for part in arrays["part_names"]]
    groups = {part: np.flatnonzero(arrays["part"] == number) for number, part in enumerate(part_names)}
    groups |= {key.removeprefix("region_"): np.flatnonzero(arrays[key]) for key in arrays if key.startswith("region_")}
    for group, vertices in groups.items():
        if len(vertices):
            ob.vertex_groups.new(name=group).add(vertices.tolist(), 1.0, "REPLACE")
    if len(arrays["shapes"]):
        ob.shape_key_add(name="Basis", from_mix=False)
        for shape, moved in zip(arrays["shape_names"], arrays["shapes"]):
            key = ob.shape_key_add(name=str(shape), from_mix=False)
            key.slider_min, key.slider_max, key.value = 0.0, 1.0, 0.0
            key.data.foreach_set("co", np.ascontiguousarray(arrays["vertices"] + moved, np.float32).ravel())
    return ob


def _mesh(name: str, arrays: Mapping[str, np.ndarray]) -> bpy.types.Mesh:
    faces, faces_uv, uv = arrays["faces"], arrays["faces_uv"], arrays["uv"]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(arrays["vertices"].tolist(), [], [[v for v in face if v >= 0] for face in faces.tolist()])
    mesh.shade_smooth()
    if len(uv) and (faces_uv[:, 0] >= 0).all():
        corners = faces_uv[faces >= 0]  # by face, then by corner, as Blender has its loops
        mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", np.ascontiguousarray(uv[corners], np.float32).ravel())
    part = arrays["part"][faces[:, 0]]
    used = np.unique(part)
    for number in used:
        mesh.materials.append(_material(str(arrays["part_names"][number])))
    slots = np.searchsorted(used, part).astype(np.int32)
    mesh.polygons.foreach_set("material_index", slots)
    distance = arrays["distance"]
    mesh.attributes.new("distance", "FLOAT", "POINT").data.foreach_set(
        "value", np.where(np.isfinite(distance), distance, scene_result.UNSEEN).astype(np.float32)
    )
    mesh.update()
    return mesh


def _material(part: str) -> bpy.types.Material:
    mark = f"template {part}"
    for material in bpy.data.materials:
        if material.get(KEY) == mark:
            return material
    material = bpy.data.materials.new(f"Head {part.replace('_', ' ').title()}")
    material[KEY] = mark
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*COLOURS.get(part, COLOURS["other"]), 1.0)
    shader.inputs["Alpha"].default_value = SHEER.get(part, 1.0)
    material.diffuse_color = (*COLOURS.get(part, COLOURS["other"]), SHEER.get(part, 1.0))
    return material


def triangles_of(ob: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """The object's own mesh in the world, without modifiers: vertices [V, 3] float64, triangles [T, 3] int32."""
    arrays = scene_result.arrays_of(ob)
    return arrays["vertices"], arrays["faces"]


def write_ply(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Binary PLY of a triangle mesh, for the bridge."""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty double x\nproperty double y\n"
        f"property double z\nelement face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, triangles
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.encode() + vertices.astype("<f8").tobytes() + rows.tobytes())
