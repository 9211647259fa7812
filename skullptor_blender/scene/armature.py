"""Bones for a wrapped template: neck, head, jaw and two eyes, weighted by what its own shapes tell.

The jaw turns about the axis about which jawOpen turns the lower teeth or the chin, and a vertex goes with it as far as
jawOpen takes it along, so that the bone does what the shape does. Finding bones and weights is NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np

MODIFIER = "Skullptor Armature"
# a group of the template is called neck already
ROOT, NECK, HEAD, JAW, EYE_LEFT, EYE_RIGHT = "root", "neck_bone", "head", "jaw", "eye.L", "eye.R"
OPEN = "jawOpen"
FOLLOW = 0.8  # of the farthest motion of the chin: what moves so far is bone
LEAST_ANGLE = 0.03  # radians: a jaw that only slides has no axis
NECK_HEIGHT = 0.45  # of a head's height, where a template goes on to the feet
LEAST_WEIGHT = 1e-3


class NoBones(Exception):
    """The template lacks what bones are told by; the sentence says what."""


@dataclass(frozen=True, eq=False)
class Bone:
    """Where a bone lies."""

    head: np.ndarray  # [3]
    tail: np.ndarray  # [3]
    parent: str | None


@dataclass(frozen=True, eq=False)
class Rig:
    """Bones and how much of each vertex goes with them: weights of a vertex sum to 1."""

    bones: dict[str, Bone]
    weights: dict[str, np.ndarray]  # name -> [V]


def find(vertices: np.ndarray, opened: np.ndarray | None, groups: Mapping[str, np.ndarray]) -> Rig:
    """Bones and weights. Raises NoBones.

    vertices [V, 3]; opened [V, 3]: what jawOpen adds, where there is one; groups: name -> vertices.
    """
    missing = [name for name in ("eye_left", "eye_right", "skin", "face", "neck") if not len(groups.get(name, ()))]
    if missing:
        raise NoBones(f"The template has no vertices in the group '{missing[0]}', so bones cannot be placed in it.")
    left, right = (middle_of(vertices[groups[name]]) for name in ("eye_left", "eye_right"))
    face, skin, neck = (vertices[groups[name]] for name in ("face", "skin", "neck"))
    side = left - right
    side /= np.linalg.norm(side)
    up = (left + right) / 2 - face[np.argsort(face @ _below(left, right, face))[-20:]].mean(0)
    up -= (up @ side) * side
    up /= np.linalg.norm(up)
    forward = np.cross(side, up)
    height = vertices @ up
    crown, brink = float((skin @ up).max()), float((neck @ up).max())
    foot = max(float((neck @ up).min()), brink - NECK_HEIGHT * (crown - brink))
    ears = vertices[groups["ears"]] if len(groups.get("ears", ())) else skin[skin @ up > brink]
    centre = middle_of(ears)
    centre -= ((centre - (left + right) / 2) @ side) * side
    pivot, jaw = centre, np.zeros(len(vertices))
    if opened is not None and np.abs(opened).max() > 0:
        pivot, jaw = _jaw(vertices, opened, centre, groups.get("teeth_lower"))
    for name in ("teeth_lower", "tongue"):
        jaw[groups.get(name, [])] = 1.0
    chin = face[np.argsort(face @ up)[:20]].mean(0)
    among = neck[(neck @ up < foot + 0.3 * (brink - foot)) & (neck @ up >= foot)]
    bottom = middle_of(among if len(among) else neck)
    bottom += (foot - bottom @ up) * up
    joint = centre + (min(brink, centre @ up) - centre @ up) * up
    size = crown - foot
    bones = {
        ROOT: Bone(bottom - 0.25 * size * up, bottom, None),
        NECK: Bone(bottom, joint, ROOT),
        HEAD: Bone(joint, joint + (crown - joint @ up) * up, NECK),
        JAW: Bone(pivot, chin, HEAD),
        EYE_LEFT: Bone(left, left + 0.1 * size * forward, HEAD),
        EYE_RIGHT: Bone(right, right + 0.1 * size * forward, HEAD),
    }
    is_neck = np.zeros(len(vertices), bool)
    is_neck[groups["neck"]] = True
    place = np.where(is_neck, np.clip((height - foot) / max(brink - foot, 1e-12), 0, 1), 1.0)
    root, above = 1 - _smooth(2 * place), _smooth(2 * place - 1)
    weights = {ROOT: root, NECK: 1 - root - above, HEAD: above * (1 - jaw), JAW: above * jaw}
    for name, part in ((EYE_LEFT, "eye_left"), (EYE_RIGHT, "eye_right")):
        for other in weights.values():
            other[groups[part]] = 0.0
        weights[name] = np.zeros(len(vertices))
        weights[name][groups[part]] = 1.0
    return Rig(bones, weights)


def middle_of(points: np.ndarray) -> np.ndarray:  # [n, 3] -> [3]
    return (points.min(0) + points.max(0)) / 2


def _below(left: np.ndarray, right: np.ndarray, face: np.ndarray) -> np.ndarray:  # [3]
    """Roughly down: from the eyes to where most of the face is."""
    down = face.mean(0) - (left + right) / 2
    side = (left - right) / np.linalg.norm(left - right)
    return down - (down @ side) * side


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def turn(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [n, 3] twice -> [3, 3], [3]
    """The rigid motion x -> R x + t of points (Kabsch 1976)."""
    a, b = before.mean(0), after.mean(0)
    u, _, vt = np.linalg.svd((after - b).T @ (before - a))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation, b - rotation @ a


def _jaw(
    vertices: np.ndarray, opened: np.ndarray, centre: np.ndarray, teeth: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where the jaw's axis passes the head's middle, and how far each vertex goes with the jaw [V] 0..1."""
    moved = np.linalg.norm(opened, axis=1)
    bone = moved > FOLLOW * moved.max()
    if teeth is not None and len(teeth) > 3 and moved[teeth].max() > 0:
        bone = np.zeros(len(vertices), bool)
        bone[teeth] = True
    rotation, shift = turn(vertices[bone], (vertices + opened)[bone])
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    pivot = centre
    if angle > LEAST_ANGLE:
        pivot = centre + np.linalg.pinv(np.eye(3) - rotation, rcond=1e-6) @ (shift - (np.eye(3) - rotation) @ centre)
    rigid = vertices @ rotation.T + shift - vertices
    share = (opened * rigid).sum(1) / np.maximum((rigid**2).sum(1), 1e-18)
    return pivot, np.clip(np.where(moved > 1e-3 * moved.max(), share, 0), 0, 1)


def put_on(ob: bpy.types.Object) -> bpy.types.Object:
    """An armature for a wrapped template, in its collections, that the template is bound to. Raises NoBones."""
    mesh = ob.data
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    keys = mesh.shape_keys.key_blocks if mesh.shape_keys else {}
    opened = None
    (keys[0].data if keys else mesh.vertices).foreach_get("co", vertices)
    vertices = vertices.reshape(-1, 3).astype(np.float64)
    if OPEN in keys:
        shaped = np.empty(3 * len(vertices), np.float32)
        keys[OPEN].data.foreach_get("co", shaped)
        opened = shaped.reshape(-1, 3) - vertices
    rig = find(vertices, opened, _groups(ob))
    take_off(ob)
    armature = bpy.data.armatures.new(f"{ob.name} Armature")
    made = bpy.data.objects.new(armature.name, armature)
    for collection in ob.users_collection:
        collection.objects.link(made)
    made.matrix_world = ob.matrix_world
    made.show_in_front = True
    view_layer = bpy.context.view_layer
    active = view_layer.objects.active
    view_layer.objects.active = made
    bpy.ops.object.mode_set(mode="EDIT")
    for name, bone in rig.bones.items():
        edited = armature.edit_bones.new(name)
        edited.head, edited.tail = bone.head, bone.tail
        edited.parent = armature.edit_bones[bone.parent] if bone.parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    view_layer.objects.active = active
    for name, weights in rig.weights.items():
        group = ob.vertex_groups.new(name=name)
        for weight in np.unique(weights[weights > LEAST_WEIGHT].round(3)):
            group.add(np.flatnonzero(weights.round(3) == weight).tolist(), float(weight), "REPLACE")
    modifier = ob.modifiers.new(MODIFIER, "ARMATURE")
    modifier.object = made
    ob.modifiers.move(len(ob.modifiers) - 1, 0)  # bones turn what subdivision then smooths
    world = ob.matrix_world.copy()
    ob.parent = made
    ob.matrix_world = world
    return made


def take_off(ob: bpy.types.Object) -> None:
    """Without the bones that put_on made."""
    modifier = ob.modifiers.get(MODIFIER)
    if modifier is None:
        return
    bones = modifier.object
    ob.modifiers.remove(modifier)
    world = ob.matrix_world.copy()
    ob.parent = None
    ob.matrix_world = world
    for name in (ROOT, NECK, HEAD, JAW, EYE_LEFT, EYE_RIGHT):
        if (group := ob.vertex_groups.get(name)) is not None:
            ob.vertex_groups.remove(group)
    if bones is not None:
        bpy.data.armatures.remove(bones.data)


def _groups(ob: bpy.types.Object) -> dict[str, np.ndarray]:
    """Vertices of each group."""
    names = [group.name for group in ob.vertex_groups]
    found: dict[str, list[int]] = {name: [] for name in names}
    for vertex in ob.data.vertices:
        for element in vertex.groups:
            if element.weight > 0.5:
                found[names[element.group]].append(vertex.index)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}
