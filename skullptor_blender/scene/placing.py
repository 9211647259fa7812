"""Rigs moved, turned and scaled as a whole: cameras, heads and what was made of them. Nothing else in the scene moves.

Each head remembers how it was moved since its run, so that the run's own files can still be used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

from . import neck, profile, result, rigs, symmetry, upright

MOVED = "skullptor_moved"  # custom property of a head: the run's world -> the scene's, sixteen numbers
HEIGHT, EYES = "skullptor_head_height", "skullptor_eye_distance"  # of a rig, in units of the scene
WISHED = "skullptor_true_size"  # of a rig: which of the two the artist has given
JAW = 0.2  # share of the head's height above its neck from which its two sides are compared


def holder(scene: bpy.types.Scene, rig: rigs.Rig) -> bpy.types.ID:
    """Where a rig's sizes are kept."""
    return rig.collection or scene


def size(scene: bpy.types.Scene, key: str) -> float:
    """Head height or eye distance of the rig in use, in units of the scene; 0: not known yet."""
    return float(holder(scene, rigs.active(scene)).get(key, 0.0))


def moved(head: bpy.types.Object) -> Matrix:
    """From the world in which the head was made to the scene's as it is now."""
    stored = head.get(MOVED)
    if stored is None or len(stored) != 16:
        return Matrix.Identity(4)
    return Matrix([stored[row : row + 4] for row in range(0, 16, 4)])


def change(
    rig: rigs.Rig, view_layer: bpy.types.ViewLayer, matrix: Matrix, *, others: Iterable[bpy.types.Object] = ()
) -> None:
    """Move, turn and scale a rig with all that belongs to it. matrix: a rotation times a scale, with a shift.

    others: further objects that go along.
    """
    view_layer.update()  # or it does not know a new head yet
    scene, factor = view_layer.id_data, matrix.median_scale
    heads = result.of_rig(rig, view_layer)
    cameras = cameras_of(rig, view_layer)
    made = [ob for ob in view_layer.objects if rig.owns(ob) and rigs.KEY in ob and ob not in heads]
    for root in dict.fromkeys(root_of(ob) for ob in [*cameras, *made, *others]):
        if root not in heads:
            _move(root, matrix, factor)
    for ob in cameras:
        ob.data.clip_start *= factor
        ob.data.clip_end *= factor
    for mesh in {ob.data for ob in heads}:
        _move_mesh(mesh, matrix)
    for head in heads:
        head[MOVED] = [value for row in matrix @ moved(head) for value in row]
    kept = holder(scene, rig)
    for key in (HEIGHT, EYES):
        if key in kept:
            kept[key] *= factor
    view_layer.update()


def cameras_of(rig: rigs.Rig, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The cameras that belong to a rig; among an artist's own those that have a photograph."""
    found = list(rigs.cameras(rig, view_layer))
    if rig.collection is None:
        return [ob for ob in found if rigs.has_photograph(ob)] or found
    return found


def root_of(ob: bpy.types.Object) -> bpy.types.Object:
    while ob.parent is not None:
        ob = ob.parent
    return ob


def resize(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, key: str, value: float) -> None:
    """The rig in use becomes so large that a size of its head is the given one; it stays where its head is.

    key: HEIGHT or EYES. Before there is a head the size is a guess; the wish is kept and made true by the first one.
    """
    rig = rigs.active(scene)
    kept = holder(scene, rig)
    now = float(kept.get(key, 0.0))
    kept[WISHED] = key
    if now > 0 and value > 0 and abs(value / now - 1) > 1e-9:
        about = _middle(rig, view_layer)
        scaling = Matrix.Translation(about) @ Matrix.Scale(value / now, 4) @ Matrix.Translation(-about)
        change(rig, view_layer, scaling)
    kept[key] = value


@dataclass(frozen=True)
class Shape:
    """What a head's surface tells of its size and place; None where it does not."""

    height: float | None  # chin to crown
    chin: np.ndarray | None  # [3]
    plane: tuple[np.ndarray, float] | None  # of its mirror: normal [3], distance


def study(vertices: np.ndarray, up: np.ndarray, front: np.ndarray, mirror: bool = True) -> Shape:
    """Look at a head's surface [V, 3]; up, front [3] unit. Some tenths of a second, and nothing of the scene: fit for
    a thread."""
    vertices = np.asarray(vertices, np.float64)
    plane = None
    if mirror and len(vertices):
        height, cut = vertices @ up, neck.level(vertices, up)
        plane = symmetry.plane(vertices[height > cut + JAW * (height.max() - cut)], up)  # a neck is round
    return Shape(profile.head_height(vertices, up, front), profile.chin(vertices, up, front), plane)


def arrive(
    view_layer: bpy.types.ViewLayer, head: bpy.types.Object, shape: Shape, eyes: np.ndarray | None, centred: bool
) -> None:
    """A new head tells its rig's sizes. Where the artist has said how large it is, that becomes true.

    eyes [2, 3]: in the scene's world, None where they are not known. centred: move it onto its mirror plane as well.
    """
    scene = view_layer.id_data
    rig = rigs.of_head(scene, head)
    kept, plane = holder(scene, rig), shape.plane
    up, height = np.array(rigs.up(rig, view_layer)), shape.height
    if eyes is not None and (shape.chin is None or not profile.below(shape.chin, up, eyes)):
        height = profile.head_height(vertices_of(head.data), up, front_of(rig, view_layer, up), eyes)
    found = {HEIGHT: height or 0.0, EYES: 0.0 if eyes is None else float(np.linalg.norm(eyes[0] - eyes[1]))}
    wished = str(kept.get(WISHED, ""))
    value = float(kept.get(wished, 0.0)) if wished else 0.0
    for key, now in found.items():
        if now > 0:
            kept[key] = now
        elif key == EYES and key in kept and wished != key:
            del kept[key]
    if found.get(wished, 0.0) > 0 and value > 0:
        factor, about = value / found[wished], vertices_of(head.data).mean(0).astype(float)
        shift = about - factor * about
        change(rig, view_layer, Matrix.Translation(shift) @ Matrix.Scale(factor, 4))
        plane = plane and (plane[0], factor * plane[1] + float(plane[0] @ shift))
    if centred and plane is not None:
        centre(view_layer, rig, head, plane)


def centre(
    view_layer: bpy.types.ViewLayer, rig: rigs.Rig, head: bpy.types.Object, plane: tuple[np.ndarray, float]
) -> tuple[float, float]:
    """Move and turn the rig so that a plane (normal [3] unit, distance) becomes X = 0: by how many units, radians."""
    normal, distance = plane
    middle = vertices_of(head.data).mean(0).astype(float)
    turn = Matrix(upright.rotation_between(normal, np.array([1.0, 0.0, 0.0])).tolist()).to_4x4()
    point, on_plane = Vector(middle), Vector(middle - normal * (middle @ normal - distance))
    matrix = Matrix.Translation(point) @ turn @ Matrix.Translation(-point)
    matrix = Matrix.Translation((-(matrix @ on_plane).x, 0, 0)) @ matrix
    change(rig, view_layer, matrix)
    return abs((matrix @ on_plane - on_plane).x), upright.angle(normal, [1.0, 0.0, 0.0])


def vertices_of(mesh: bpy.types.Mesh) -> np.ndarray:  # [V, 3] float32
    co = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", co)
    return co.reshape(-1, 3)


def _middle(rig: rigs.Rig, view_layer: bpy.types.ViewLayer) -> Vector:
    """Where the rig's head is, or where its cameras look."""
    heads = result.of_rig(rig, view_layer)
    if heads and len(heads[0].data.vertices):
        return Vector(vertices_of(heads[0].data).mean(0))
    rays = [(ob.matrix_world.translation, -ob.matrix_world.col[2].to_3d().normalized()) for ob in
            cameras_of(rig, view_layer)]  # fmt: skip
    if not rays:
        return Vector((0.0, 0.0, 0.0))
    # the point nearest to all optical axes
    across = [np.eye(3) - np.outer(ray, ray) for _, ray in rays]
    middle, *_ = np.linalg.lstsq(sum(across), sum(a @ np.array(eye) for a, (eye, _) in zip(across, rays)), rcond=None)
    return Vector(middle)


def front_of(rig: rigs.Rig, view_layer: bpy.types.ViewLayer, up: np.ndarray) -> np.ndarray:  # [3] unit
    """Where the face looks, about: to -Y in an upright rig, else to where most cameras stand."""
    ahead = np.array([0.0, -1.0, 0.0])
    if rigs.empty(rig) is not None:
        return ahead
    middle = np.array(_middle(rig, view_layer))
    away = [np.array(ob.matrix_world.translation) - middle for ob in cameras_of(rig, view_layer)]
    front = np.sum([a / max(np.linalg.norm(a), 1e-12) for a in away], axis=0) if away else ahead
    front = front - up * (front @ up)
    return front / np.linalg.norm(front) if np.linalg.norm(front) > 1e-6 else ahead


def _move(root: bpy.types.Object, matrix: Matrix, factor: float) -> None:
    """A camera has no size of its own; all else that holds others takes the scale on."""
    if root.type == "CAMERA":
        if abs(factor - 1) < 1e-9:
            root.matrix_world = matrix @ root.matrix_world
        else:
            turn = (matrix @ root.matrix_world).normalized()
            turn.translation = matrix @ root.matrix_world.translation
            root.matrix_world = turn
        root.data.display_size *= factor
    else:
        root.matrix_world = matrix @ root.matrix_world


def _move_mesh(mesh: bpy.types.Mesh, matrix: Matrix) -> None:
    """Heads keep the identity as their object's transform: their vertices are the world's."""
    if mesh.is_editmode:
        edited = bmesh.from_edit_mesh(mesh)
        bmesh.ops.transform(edited, matrix=matrix, verts=edited.verts)
        bmesh.update_edit_mesh(mesh)
        return
    numbers = np.array(matrix)
    co = vertices_of(mesh) @ numbers[:3, :3].T + numbers[:3, 3]
    mesh.vertices.foreach_set("co", co.astype(np.float32).ravel())
    mesh.update()
