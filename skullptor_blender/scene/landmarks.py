"""The landmarks of a face as points on the head: a mesh of vertices alone, which edit mode drags in any view."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix

from . import rigs
from .result import LANDMARKS_OF as KEY

NUMBER, SIGMA, FOUND = "landmark", "sigma", "found"  # attributes: which one, its spread, where it was found
MOVED = 1e-5  # share of the points' extent beyond which one was moved by hand


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points of the face mesh; sigma is 0 where a hand has set one."""

    numbers: np.ndarray  # [n] int32, 0 to 467
    points: np.ndarray  # [n, 3]
    sigma: np.ndarray  # [n] standard deviations in units of the points

    def as_json(self) -> dict:
        """What `python -m bridge wrap --landmarks` reads."""
        return {
            "landmarks": {str(n): point.tolist() for n, point in zip(self.numbers, self.points)},
            "sigma": {str(n): float(value) for n, value in zip(self.numbers, self.sigma)},
        }


def from_json(body: dict) -> Landmarks:
    """The inverse of as_json."""
    points, sigma = body["landmarks"], body["sigma"]
    numbers = np.array([int(number) for number in points], np.int32)
    return Landmarks(
        numbers,
        np.array([points[str(n)] for n in numbers], np.float64).reshape(-1, 3),
        np.array([sigma[str(n)] for n in numbers], np.float64),
    )


def of_head(view_layer: bpy.types.ViewLayer, head: bpy.types.Object) -> bpy.types.Object | None:
    """The landmarks' object of a head."""
    return next((ob for ob in view_layer.objects if ob.type == "MESH" and ob.get(KEY) == head.name), None)


def create(head: bpy.types.Object, found: Landmarks) -> bpy.types.Object:
    """Points beside the head, seen through it. found: in the scene's world."""
    mesh = bpy.data.meshes.new(f"{head.name} Landmarks.mesh")
    mesh.vertices.add(len(found.numbers))
    mesh.vertices.foreach_set("co", found.points.astype(np.float32).ravel())
    for name, kind, field, values in (
        (NUMBER, "INT", "value", found.numbers.astype(np.int32)),
        (SIGMA, "FLOAT", "value", found.sigma.astype(np.float32)),
        (FOUND, "FLOAT_VECTOR", "vector", found.points.astype(np.float32)),
    ):
        mesh.attributes.new(name, kind, "POINT").data.foreach_set(field, values.ravel())
    mesh.update()
    ob = bpy.data.objects.new(f"{head.name} Landmarks", mesh)
    ob[KEY] = head.name
    ob.show_in_front, ob.hide_render = True, True
    if rigs.KEY in head:
        ob[rigs.KEY] = str(head[rigs.KEY])
    for collection in head.users_collection:
        collection.objects.link(ob)
    return ob


def read(ob: bpy.types.Object, to_run: Matrix) -> Landmarks:
    """The points as they stand now. to_run: from the scene's world to the one they are wanted in."""
    if ob.mode == "EDIT":
        ob.update_from_editmode()
    mesh, count = ob.data, len(ob.data.vertices)
    co, found = np.empty(3 * count, np.float32), np.empty(3 * count, np.float32)
    numbers, sigma = np.empty(count, np.int32), np.empty(count, np.float32)
    mesh.vertices.foreach_get("co", co)
    for name, field, values in ((FOUND, "vector", found), (NUMBER, "value", numbers), (SIGMA, "value", sigma)):
        mesh.attributes[name].data.foreach_get(field, values)
    co, found = co.reshape(-1, 3), found.reshape(-1, 3)
    extent = float(np.ptp(found, axis=0).max()) if count else 0.0
    by_hand = np.abs(co - found).max(1) > MOVED * extent
    matrix = to_run @ ob.matrix_world
    numbers4 = np.array(matrix)
    points = co.astype(np.float64) @ numbers4[:3, :3].T + numbers4[:3, 3]
    return Landmarks(numbers, points, np.where(by_hand, 0.0, sigma * matrix.median_scale))
