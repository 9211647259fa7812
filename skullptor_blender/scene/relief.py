"""The dense head's relief on a wrapped template: a Multires modifier whose finest vertices lie on the head."""

from __future__ import annotations

import bpy
import numpy as np

NAME, LEVELS = "Skullptor Relief", 2
REACH_MM = 3.0  # what lies farther from the template is hair, cloth or unseen
FADE = 0.5  # of the reach: from there on the relief fades away
GROUPS = ("skin", "exposed")  # vertex groups that the relief is for: not eyes, nor the mouth's inside


class NoRelief(Exception):
    """Blender cannot carry the relief over; the sentence says why."""


def put_on(ob: bpy.types.Object, head: bpy.types.Object, millimetre: float) -> None:
    """Give a wrapped template a Multires modifier of LEVELS with the head's relief, in place of one that it had.

    millimetre: units of the scene. The object's shapes must be at 0. Raises NoRelief.
    """
    take_off(ob)
    shown = [(modifier, modifier.show_viewport) for modifier in ob.modifiers]
    for modifier, _ in shown:
        modifier.show_viewport = False
    relief = ob.modifiers.new(NAME, "MULTIRES")
    selected, active = list(bpy.context.selected_objects), bpy.context.view_layer.objects.active
    target = None
    try:
        for _ in range(LEVELS):
            _choose(ob)
            bpy.ops.object.multires_subdivide(modifier=NAME, mode="CATMULL_CLARK")
        relief.levels = relief.sculpt_levels = relief.render_levels = relief.total_levels
        target = _on_head(ob, head, REACH_MM * millimetre)
        _choose(ob, target)
        if bpy.ops.object.multires_reshape(modifier=NAME) != {"FINISHED"}:
            raise NoRelief(f"Blender cannot carry the relief of '{head.name}' over to '{ob.name}'.")
    finally:
        if target is not None:
            mesh = target.data
            bpy.data.objects.remove(target)
            bpy.data.meshes.remove(mesh)
        for modifier, was in shown:
            modifier.show_viewport = was
        for each in bpy.context.view_layer.objects:
            each.select_set(each in selected)
        bpy.context.view_layer.objects.active = active


def take_off(ob: bpy.types.Object) -> None:
    """Without the modifier that put_on made."""
    if (modifier := ob.modifiers.get(NAME)) is not None:
        ob.modifiers.remove(modifier)


def _choose(ob: bpy.types.Object, *others: bpy.types.Object) -> None:
    for each in bpy.context.view_layer.objects:
        each.select_set(each is ob or each in others)
    bpy.context.view_layer.objects.active = ob


def _on_head(ob: bpy.types.Object, head: bpy.types.Object, reach: float) -> bpy.types.Object:
    """What the modifiers make of the template, its skin moved along its normals onto the head."""
    from mathutils.bvhtree import BVHTree

    graph = bpy.context.evaluated_depsgraph_get()
    mesh = bpy.data.meshes.new_from_object(ob.evaluated_get(graph))
    to_world = np.array(ob.matrix_world)
    places = _world(mesh, to_world)
    corners = [tuple(polygon.vertices) for polygon in head.data.polygons]
    tree = BVHTree.FromPolygons(_world(head.data, np.array(head.matrix_world)).tolist(), corners)
    # lengths grow alike in all ways, or the template would not lie on the head
    normals = np.array([vertex.normal for vertex in mesh.vertices]) @ to_world[:3, :3].T
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    for row in np.flatnonzero(_for_relief(ob, mesh)):
        place, normal = places[row].tolist(), normals[row]
        hits = [tree.ray_cast(place, (sign * normal).tolist(), reach) for sign in (1, -1)]
        found = [(hit[3], hit[0]) for hit in hits if hit[0] is not None and normal @ np.array(hit[1]) > 0]
        if found:
            far, there = min(found, key=lambda pair: pair[0])
            share = float(np.clip((reach - far) / (reach * (1 - FADE)), 0, 1))
            places[row] += share * (np.array(there) - places[row])
    back = np.linalg.inv(to_world)
    local = (places @ back[:3, :3].T + back[:3, 3]).astype(np.float32)
    mesh.vertices.foreach_set("co", local.ravel())
    mesh.update()
    target = bpy.data.objects.new("Relief Target", mesh)
    target.matrix_world = ob.matrix_world
    bpy.context.scene.collection.objects.link(target)
    return target


def _world(mesh: bpy.types.Mesh, matrix: np.ndarray) -> np.ndarray:  # [V, 3] float64
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def _for_relief(ob: bpy.types.Object, mesh: bpy.types.Mesh) -> np.ndarray:  # [V] bool
    """Vertices of the subdivided mesh that are wholly in every one of GROUPS that the template has."""
    wanted = {ob.vertex_groups.find(name) for name in GROUPS} - {-1}
    return np.array(
        [wanted <= {element.group for element in vertex.groups if element.weight > 0.99} for vertex in mesh.vertices]
    )
