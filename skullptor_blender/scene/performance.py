"""A sequence's output folder -> one animated object: point cache, curves of its shapes, the head's motion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from . import template as scene_template

CACHE, CURVES, TEMPLATE = "point_cache.pc2", "curves.json", "template.npz"
MODIFIER = "Performance"
FRAMES = "skullptor_frames"  # custom property of the object: its first and last frame


def folder_of(path: Path) -> Path:
    """The output folder of a sequence, from itself or a file in it. Raises FileNotFoundError."""
    folder = path if path.is_dir() else path.parent
    for name in (CACHE, CURVES, TEMPLATE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"'{folder}' holds no {name}.")
    return folder


def create(scene: bpy.types.Scene, collection: bpy.types.Collection, folder: Path, name: str) -> bpy.types.Object:
    """The template at its first frame's time on, frame numbers kept. Raises OSError, ValueError, KeyError.

    The cache holds every vertex in the head's own frame; without the modifier the shape keys alone play.
    """
    curves = json.loads((folder / CURVES).read_text(encoding="utf-8"))
    ob = scene_template.make(scene_template.read(folder / TEMPLATE), name, {scene_template.KEY: "sequence"})
    collection.objects.link(ob)
    modifier = ob.modifiers.new(MODIFIER, "MESH_CACHE")
    modifier.cache_format = "PC2"
    modifier.filepath = str(folder / CACHE)
    modifier.frame_start = curves["first"]
    first, last = curves["first"], curves["first"] + curves["frames"] - 1
    _key_shapes(ob, curves["shapes"], first)
    unit = (curves["unit_mm"] or 1000.0) / 1000.0 / scene.unit_settings.scale_length
    _key_motion(ob, curves["head"], first, unit)
    ob[FRAMES] = [first, last]
    scene.frame_start, scene.frame_end = min(scene.frame_start, first), max(scene.frame_end, last)
    return ob


def frames_of(ob: bpy.types.Object) -> tuple[int, int]:
    """The first and the last frame that an object plays. Raises KeyError where it is no performance."""
    first, last = ob[FRAMES]
    return int(first), int(last)


def _key_shapes(ob: bpy.types.Object, shapes: Mapping[str, list[float]], first: int) -> None:
    """Keys of the shapes that are used; the others stay at 0."""
    for name, weights in shapes.items():
        if max(weights, default=0.0) <= 0:
            continue
        key = ob.data.shape_keys.key_blocks[name]
        for i, weight in enumerate(weights):
            key.value = weight
            key.keyframe_insert("value", frame=first + i)


def _key_motion(ob: bpy.types.Object, head: Mapping[str, list[list[float]]], first: int, unit: float) -> None:
    """x' = R (x - centre) + centre + shift of the capture's world, whose unit is so many of the scene's."""
    ob.rotation_mode = "QUATERNION"
    ob.scale = (unit, unit, unit)
    centre, before = Vector(head["centre"]), None
    for i, (turn, shift) in enumerate(zip(head["rotation"], head["shift"])):
        angle = float(np.linalg.norm(turn))
        axis = Vector(turn).normalized() if angle > 0 else Vector((0, 0, 1))
        rotation = Quaternion(axis, angle)
        if before is not None:
            rotation.make_compatible(before)
        before = rotation.copy()
        ob.rotation_quaternion = rotation
        ob.location = unit * (centre + Vector(shift) - rotation @ centre)
        for path in ("location", "rotation_quaternion"):
            ob.keyframe_insert(path, frame=first + i)
