"""A mesh of the scene as a template of the artist's own: what the engine reads of it, and landmarks set on it by hand.

Landmarks are empties that are children of the mesh, or its vertex groups, with the names below.
"""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

from . import result as scene_result
from . import template as scene_template

FOUND = "skullptor_template_landmarks"  # custom property: what rendering the mesh has found, for the next wrap
PICK = "skullptor_pick"  # custom property of an empty: which landmark it is
SIZE = 0.012  # of the mesh's largest side: an empty's
Y_UP = Matrix(((1, 0, 0), (0, 0, 1), (0, -1, 0)))  # Blender's +Z up, face to -Y, as the engine's +Y up, face to +Z
# number of the face mesh, and where it usually is: to the head's left, forward of its middle, up, in heights of a head
PLACES = {
    "Nose Tip": (1, (0.0, 0.52, -0.06)),
    "Chin": (152, (0.0, 0.43, -0.36)),
    "Forehead": (10, (0.0, 0.43, 0.24)),
    "Between Eyes": (168, (0.0, 0.44, 0.08)),
    "Upper Lip": (0, (0.0, 0.48, -0.17)),
    "Lower Lip": (17, (0.0, 0.46, -0.24)),
    "Mouth Left": (291, (0.10, 0.42, -0.20)),
    "Mouth Right": (61, (-0.10, 0.42, -0.20)),
    "Eye Left Outer": (263, (0.19, 0.35, 0.05)),
    "Eye Left Inner": (362, (0.07, 0.40, 0.05)),
    "Eye Right Inner": (133, (-0.07, 0.40, 0.05)),
    "Eye Right Outer": (33, (-0.19, 0.35, 0.05)),
    "Jaw Left": (397, (0.22, 0.20, -0.30)),
    "Jaw Right": (172, (-0.22, 0.20, -0.30)),
    "Cheek Left": (454, (0.31, 0.08, -0.02)),
    "Cheek Right": (234, (-0.31, 0.08, -0.02)),
}
NUMBERS = {name.lower(): number for name, (number, _) in PLACES.items()}


def fits(ob: bpy.types.Object | None) -> bool:
    """A mesh that is neither a head nor a template that was wrapped."""
    return (
        ob is not None and ob.type == "MESH" and not scene_result.is_result(ob) and scene_template.KEY not in ob
        and scene_result.LANDMARKS_OF not in ob
    )  # fmt: skip


def as_obj(ob: bpy.types.Object) -> str:
    """The mesh itself, without modifiers and shape keys, in the world, +Y up: faces, UVs, parts as groups."""
    mesh = ob.data
    points = _points(mesh) @ np.array(Y_UP @ ob.matrix_world.to_3x3()).T + np.array(Y_UP @ ob.matrix_world.translation)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in points.tolist()]
    layer = mesh.uv_layers.active
    if layer is not None:
        uv = np.empty(2 * len(mesh.loops), np.float32)
        layer.uv.foreach_get("vector", uv)
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv.reshape(-1, 2).tolist()]
    parts, group = _parts(ob), None
    for polygon in mesh.polygons:
        if parts[polygon.index] != group:
            group = parts[polygon.index]
            lines.append(f"g {group}")
        corners = zip(polygon.vertices, polygon.loop_indices)
        lines.append("f " + " ".join(f"{v + 1}/{k + 1}" if layer is not None else str(v + 1) for v, k in corners))
    return "\n".join(lines) + "\n"


def picks(ob: bpy.types.Object) -> dict[int, np.ndarray]:
    """Landmarks that a hand has set on the mesh: number -> point [3] in the world, +Y up. Empties before groups."""
    found: dict[int, np.ndarray] = {}
    known = {group.index: NUMBERS[group.name.lower()] for group in ob.vertex_groups if group.name.lower() in NUMBERS}
    members: dict[int, list[tuple[float, Vector]]] = {}
    for vertex in ob.data.vertices if known else ():
        for entry in vertex.groups:
            if entry.group in known and entry.weight > 0:
                members.setdefault(known[entry.group], []).append((entry.weight, vertex.co))
    for number, weighted in members.items():
        weights, places = zip(*weighted)
        found[number] = _turned(ob.matrix_world @ Vector(np.average(np.array(places), 0, weights)))
    for empty in empties(ob):
        found[_number(empty)] = _turned(empty.matrix_world.translation)
    return found


def empties(ob: bpy.types.Object) -> list[bpy.types.Object]:
    """The mesh's children that are landmarks by their name, or by what set_landmarks noted on them."""
    return [child for child in ob.children if child.type == "EMPTY" and _number(child) >= 0]


def set_landmarks(ob: bpy.types.Object) -> list[bpy.types.Object]:
    """An empty for each place, on the nearest surface to where a head usually has it, as children of the mesh."""
    box = np.array([ob.matrix_world @ Vector(corner) for corner in ob.bound_box])
    low, high = box.min(0), box.max(0)
    height = min(high[2] - low[2], 1.5 * (high[0] - low[0]))  # of the head, where there are shoulders too
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2] - height / 2])
    back, made = ob.matrix_world.inverted(), []
    for name, (number, (left, forward, up)) in PLACES.items():
        place = Vector(middle + height * np.array([left, -forward, up]))
        hit, nearest, _, _ = ob.closest_point_on_mesh(back @ place)
        empty = bpy.data.objects.new(name, None)
        empty[PICK] = number
        empty.empty_display_type, empty.empty_display_size = "SPHERE", SIZE * height
        empty.show_name = empty.show_in_front = True
        empty.parent, empty.matrix_parent_inverse = ob, back
        empty.location = ob.matrix_world @ nearest if hit else place
        for collection in ob.users_collection:
            collection.objects.link(empty)
        made.append(empty)
    return made


def remembered(ob: bpy.types.Object) -> str:
    """What rendering this mesh has found before, as NAME.landmarks.json; "" where nothing, or of other faces."""
    stored = scene_result.stored(ob, FOUND)
    return json.dumps(stored["landmarks"]) if stored.get("vertices") == len(ob.data.vertices) else ""


def remember(ob: bpy.types.Object, file: Path) -> None:
    """Keep what the engine left beside the template's file with the mesh."""
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    ob[FOUND] = json.dumps({"vertices": len(ob.data.vertices), "landmarks": body})


def _number(empty: bpy.types.Object) -> int:
    return int(empty.get(PICK, NUMBERS.get(empty.name.rsplit(".", 1)[0].lower(), -1)))


def _turned(point: Vector) -> np.ndarray:
    return np.array(Y_UP @ point)


def _points(mesh: bpy.types.Mesh) -> np.ndarray:  # [V, 3] float64
    co = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", co)
    return co.reshape(-1, 3).astype(np.float64)


def _parts(ob: bpy.types.Object) -> list[str]:
    """Of each polygon: the vertex group named as a part of a template that holds all of it, or else its material."""
    materials = [slot.material.name.replace(" ", "_") if slot.material else "skin" for slot in ob.material_slots]
    named = len(set(materials)) > 1
    names = [materials[polygon.material_index] if named else "skin" for polygon in ob.data.polygons]
    parts = {group.index: group.name for group in ob.vertex_groups if group.name in scene_template.COLOURS}
    if not parts:
        return names
    of_vertex = [
        {parts[entry.group] for entry in vertex.groups if entry.group in parts and entry.weight > 0.5}
        for vertex in ob.data.vertices
    ]
    for polygon in ob.data.polygons:
        shared = set.intersection(*(of_vertex[v] for v in polygon.vertices))
        if shared:
            names[polygon.index] = min(shared)
    return names
