"""Results -> object, collection, attributes: the only writer of meshes. All in one go, so it is one undo step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import bpy
import numpy as np

from ..link import session
from ..link.result_file import edges_of
from . import rigs

COLLECTION = "Skullptor"
MARK = "skullptor_version"  # custom property that tells our objects; names may be changed by anyone
COLOR = "color"  # name of the colour attribute
CLAY = "clay"  # mark of the material without colours
MATERIALS = {COLOR: "Photographs", CLAY: "Clay"}  # names; else it is the heat map's
# custom properties of what was made of a head: its name
MADE_OF = SCULPT_OF, TEMPLATE_OF, LANDMARKS_OF = ("skullptor_sculpt", "skullptor_of", "skullptor_landmarks")
UNSEEN = -1.0  # value of an attribute where no camera sees
ATTRIBUTES = {"view_count": "INT", "confidence": "FLOAT", "normal_error": "FLOAT", "expected_error": "FLOAT"}


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
    """The head as an object in the scene's world frame and scale. The rig's previous one is hidden, not deleted."""
    collection = _collection(scene, view_layer)
    mesh = make_mesh(f"{name}.mesh", arrays)
    ob = bpy.data.objects.new(name, mesh)
    for key, value in properties.items():
        ob[key] = value
    previous = [
        other for other in collection.objects if MARK in other and other.get(rigs.KEY, "") == ob.get(rigs.KEY, "")
    ]
    collection.objects.link(ob)
    for other in previous:
        other.hide_render = True
        if other.name in view_layer.objects:
            other.hide_set(True, view_layer=view_layer)
    return ob


def of_rig(rig: rigs.Rig, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The heads of a rig, the newest first."""
    found = [ob for ob in view_layer.objects if is_result(ob) and rig.owns(ob)]
    return sorted(found, key=lambda ob: str(stored(ob, "skullptor_run").get("date")), reverse=True)


def hide_all(view_layer: bpy.types.ViewLayer) -> tuple[str, ...]:
    """Hide the heads that show in the viewport; their names, for show_again."""
    shown = [ob for ob in view_layer.objects if is_result(ob) and not ob.hide_get(view_layer=view_layer)]
    for ob in shown:
        ob.hide_set(True, view_layer=view_layer)
    return tuple(ob.name for ob in shown)


def show_again(view_layer: bpy.types.ViewLayer | None, names: Iterable[str]) -> None:
    """Names, because an undo in mid-run makes objects anew. None: Blender is quitting."""
    for name in names if view_layer is not None else ():
        if (ob := view_layer.objects.get(name)) is not None:
            ob.hide_set(False, view_layer=view_layer)


def make_mesh(name: str, arrays: Mapping[str, np.ndarray]) -> bpy.types.Mesh:
    """A smooth shaded triangle mesh with the per-vertex attributes.

    Filled through the attributes that Blender keeps a mesh in, edges included: copies of memory, where the same
    properties of vertices and loops go element by element (100,000 vertices: 10 ms instead of 60).
    """
    vertices, faces = arrays["vertices"], arrays["faces"]
    edges, corner_edges = (arrays[key] for key in ("edges", "corner_edges")) if "edges" in arrays else edges_of(faces)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.edges.add(len(edges))
    mesh.loops.add(3 * len(faces))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * len(faces), 3, dtype=np.int32))

    def fill(attribute: str, field: str, values: np.ndarray, dtype: type) -> None:
        mesh.attributes[attribute].data.foreach_set(field, np.ascontiguousarray(values, dtype).ravel())

    fill("position", "vector", vertices, np.float32)
    fill(".edge_verts", "value", edges, np.int32)
    fill(".corner_vert", "value", faces, np.int32)
    fill(".corner_edge", "value", corner_edges, np.int32)
    mesh.shade_smooth()
    for key, kind in ATTRIBUTES.items():
        values = arrays.get(key)
        if values is not None and values.shape == (len(vertices),):
            mesh.attributes.new(key, kind, "POINT")
            if kind == "FLOAT":  # exporters stumble over what is no number
                values = np.where(np.isfinite(values), values, UNSEEN)
            fill(key, "value", values, np.int32 if kind == "INT" else np.float32)
    colors = arrays.get("color")
    if colors is not None and colors.shape == (len(vertices), 3):
        paint(mesh, colors)
    mesh.update()
    return mesh


def arrays_of(ob: bpy.types.Object) -> dict[str, np.ndarray]:
    """A head as it stands in the world, without modifiers: vertices [V, 3] float64, faces [T, 3] int32 triangles and,
    where it has its colours, color [V, 3] uint8 sRGB.
    """
    mesh = ob.data
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    faces = np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", faces)
    to_world = np.array(ob.matrix_world)
    arrays = {
        "vertices": vertices.reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3],
        "faces": faces.reshape(-1, 3),
    }
    colors = mesh.color_attributes.get(COLOR)
    if colors is not None and colors.domain == "POINT":
        rgba = np.empty(4 * len(mesh.vertices), np.float32)
        colors.data.foreach_get("color_srgb", rgba)
        arrays["color"] = np.rint(255 * rgba.reshape(-1, 4)[:, :3]).astype(np.uint8)
    return arrays


def paint(mesh: bpy.types.Mesh, colors: np.ndarray) -> None:
    """Vertex colours [V, 3] uint8 sRGB as a colour attribute, and the material that shows it."""
    rgba = np.ones((len(colors), 4), np.float32)
    rgba[:, :3] = colors / np.float32(255)
    attribute = mesh.color_attributes.new(COLOR, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = attribute
    mesh.materials.append(material(COLOR))


def material(layer: str) -> bpy.types.Material:
    """The one material of all results for a colour attribute, found by its mark: its colours on a matt surface. CLAY:
    one without colours.
    """
    for material in bpy.data.materials:
        mark = material.get(MARK)
        if mark and layer == (mark if isinstance(mark, str) else COLOR):
            return material
    material = bpy.data.materials.new(f"Skullptor {MATERIALS.get(layer, 'Heat Map')}")
    material[MARK] = layer
    if material.node_tree is None:  # Blender 5 makes the nodes by itself
        material.use_nodes = True
    nodes = material.node_tree.nodes
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.6
    if layer == CLAY:
        shader.inputs["Base Color"].default_value = material.diffuse_color = (0.55, 0.49, 0.44, 1.0)
        return material
    attribute = nodes.new("ShaderNodeVertexColor")
    attribute.layer_name = layer
    attribute.location = (shader.location.x - 220, shader.location.y)
    material.node_tree.links.new(attribute.outputs["Color"], shader.inputs["Base Color"])
    return material


def _collection(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> bpy.types.Collection:
    """The scene's collection of results, found by its mark; a new one where that cannot hold a head that shows: it is
    linked from a library, or excluded from the view layer."""
    shown = {layer.collection for layer in _shown(view_layer.layer_collection)}
    for collection in scene.collection.children_recursive:
        local = collection.library is None and collection.override_library is None
        if collection.get(MARK) and local and collection in shown:
            return collection
    collection = bpy.data.collections.new(COLLECTION)
    collection[MARK] = True
    scene.collection.children.link(collection)
    return collection


def _shown(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.LayerCollection]:
    """The layer's collections that neither are excluded nor hidden, nor lie in one that is."""
    if layer.exclude or layer.hide_viewport or layer.collection.hide_viewport:
        return
    yield layer
    for child in layer.children:
        yield from _shown(child)


def chosen(context: bpy.types.Context) -> bpy.types.Object | None:
    """The result that the panels are about: the active object if it is one and shows, the head that the active object
    was made of, that of the last run, the newest that shows, the newest of the rig in use. What is hidden counts only
    where it is of that rig.
    """
    layer, rig = context.view_layer, rigs.active(context.scene)
    active = layer.objects.active
    seen = active is not None and active.visible_get(view_layer=layer)
    head = active if is_result(active) else None
    if head is not None and seen:
        return head
    source = source_of(active, layer)
    if source is not None and (seen or rig.owns(source)):
        return source
    outcome = session.outcome
    last = layer.objects.get(outcome.object_name) if outcome and outcome.ok else None
    if is_result(last):
        return last
    if head is not None and rig.owns(head):
        return head
    shown = [ob for ob in layer.objects if is_result(ob) and ob.visible_get()]
    newest = max(shown, key=lambda ob: str(stored(ob, "skullptor_run").get("date")), default=None)
    return newest or next(iter(of_rig(rig, layer)), None)


def source_of(ob: bpy.types.Object | None, view_layer: bpy.types.ViewLayer) -> bpy.types.Object | None:
    """The head that a sculpt mesh, a wrapped template or landmarks were made of, if it is still there."""
    names = [str(ob[key]) for key in MADE_OF if key in ob] if ob is not None else []
    head = view_layer.objects.get(names[0]) if names else None
    return head if is_result(head) else None


def is_made_here(ob: bpy.types.Object) -> bool:
    """A head, or what was made of one."""
    return is_result(ob) or ob.type == "MESH" and any(key in ob for key in MADE_OF)


def stored(ob: bpy.types.Object, key: str) -> dict:
    """A custom property with JSON; anyone may have changed it."""
    try:
        body = json.loads(ob.get(key, "{}"))
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def picture_of(ob: bpy.types.Object | None) -> str:
    """The report picture of the run that made a result; empty if there is none."""
    return str(stored(ob, "skullptor_run").get("picture") or "") if ob is not None else ""


def refined_captures(ob: bpy.types.Object | None) -> tuple[Path, Path] | None:
    """The run's capture and its refined one, if the run changed the cameras and both are still there."""
    run = stored(ob, "skullptor_run") if ob is not None else {}
    report = str(ob.get("skullptor_report") or "") if ob is not None else ""
    if not run.get("capture") or not report:
        return None
    given, refined = Path(run["capture"]), Path(report).parent / "refined"
    return (given, refined) if all((folder / "capture.json").is_file() for folder in (given, refined)) else None
