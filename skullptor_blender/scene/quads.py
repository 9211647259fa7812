"""A head's triangles -> quads that carry its detail in a Multires modifier, ready to sculpt.

Quads by Blender's QuadriFlow (Huang and others 2018), which takes from seconds to a minute and cannot be interrupted:
so this file is also a script for a Blender without a window, that works beside the artist's. It imports nothing of the
add-on:

    blender -b --factory-startup -P quads.py -- head.npz sculpt.blend 5000
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np

NAME = "Sculpt"  # of the object in the file
MODIFIER = "Multires"
COLOR = "color"
SIZE = 100.0  # units of the head while it is worked on: QuadriFlow takes edges below 1e-4 for points
REACH = 0.015  # share of the size that the detail may lie off the smooth surface of the quads
MOST_LEVELS = 4
DENSER = 2.0
NO_SURFACE = "The head's surface is not whole, so no quads can be laid on it. Run Reconstruct Head again."
Progress = Callable[[float, str], None]


class NoQuads(Exception):
    """The mesh cannot be laid out in quads; the sentence says why."""


def levels_for(vertices: int, faces: int) -> int:
    """How often quads are divided until they are twice as dense as the head, whose own vertices crowd at its folds."""
    return int(np.clip(np.ceil(np.log(max(DENSER * vertices / max(faces, 1), 1.0)) / np.log(4.0)), 1, MOST_LEVELS))


def lay(
    vertices: np.ndarray,
    triangles: np.ndarray,
    faces: int,
    colors: np.ndarray | None = None,
    progress: Progress = lambda share, stage: None,
) -> bpy.types.Object:
    """About so many quads in the scene, with a Multires modifier as dense as the head.

    vertices [V, 3]; triangles [T, 3]; colors [V, 3] uint8 sRGB. Raises NoQuads.
    """
    if not len(triangles):
        raise NoQuads(NO_SURFACE)
    centre = (vertices.max(0) + vertices.min(0)) / 2
    scale = SIZE / max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    source = _object("Source", (vertices - centre) * scale, triangles)
    progress(0.05, "Laying quads")
    quads = _remeshed(source, faces)
    levels = levels_for(len(vertices), len(quads.data.polygons))
    progress(0.5, "Carrying the detail")
    _place(quads.data, _positions(_on_surface(quads, source)))
    modifier = quads.modifiers.new(MODIFIER, "MULTIRES")
    for level in range(levels):
        _choose(quads)
        bpy.ops.object.multires_subdivide(modifier=MODIFIER, mode="CATMULL_CLARK")
        modifier.levels = modifier.sculpt_levels = modifier.render_levels = modifier.total_levels
        target = _on_surface(quads, source)
        _choose(quads, target)
        if bpy.ops.object.multires_reshape(modifier=MODIFIER) != {"FINISHED"}:
            raise NoQuads("The detail cannot be carried over to the quads.")
        bpy.data.objects.remove(target)
        progress(0.5 + 0.4 * 4.0 ** (level + 1 - levels), "Carrying the detail")
    if colors is not None:
        _paint(quads.data, source, colors)
    _to_world(quads, modifier, centre, scale)
    bpy.data.objects.remove(source)
    quads.name, quads.data.name = NAME, f"{NAME}.mesh"
    quads.data.shade_smooth()
    return quads


def _object(name: str, vertices: np.ndarray, faces: np.ndarray) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    mesh.validate()
    ob = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(ob)
    return ob


def _choose(ob: bpy.types.Object, *others: bpy.types.Object) -> None:
    for each in bpy.context.scene.objects:
        each.select_set(each is ob or each in others)
    bpy.context.view_layer.objects.active = ob


def _remeshed(source: bpy.types.Object, faces: int) -> bpy.types.Object:
    """A copy in quads; where the surface is not whole, that of a skin of voxels around it."""
    for voxel in (0.0, SIZE / 250):
        quads = source.copy()
        quads.data = source.data.copy()
        bpy.context.scene.collection.objects.link(quads)
        _choose(quads)
        if voxel:
            quads.data.remesh_voxel_size = voxel
            bpy.ops.object.voxel_remesh()
        bpy.ops.object.quadriflow_remesh(mode="FACES", target_faces=faces, use_preserve_boundary=True, seed=0)
        if len(quads.data.polygons) and max(len(face.vertices) for face in quads.data.polygons) == 4:
            return quads
        bpy.data.objects.remove(quads)
    raise NoQuads(NO_SURFACE)


def _on_surface(ob: bpy.types.Object, source: bpy.types.Object) -> bpy.types.Object:
    """What a modifier makes of the object, moved along its normals onto the head."""
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    moved = bpy.data.objects.new("Target", bpy.data.meshes.new_from_object(evaluated))
    bpy.context.scene.collection.objects.link(moved)
    wrap = moved.modifiers.new("Wrap", "SHRINKWRAP")
    wrap.target, wrap.wrap_method = source, "PROJECT"
    wrap.use_positive_direction = wrap.use_negative_direction = True
    wrap.project_limit = REACH * SIZE
    evaluated = moved.evaluated_get(bpy.context.evaluated_depsgraph_get())
    before = moved.data
    mesh = bpy.data.meshes.new_from_object(evaluated)
    moved.modifiers.clear()
    moved.data = mesh
    bpy.data.meshes.remove(before)
    return moved


def _positions(ob: bpy.types.Object) -> np.ndarray:  # [3 V] float32
    co = np.empty(3 * len(ob.data.vertices), np.float32)
    ob.data.vertices.foreach_get("co", co)
    bpy.data.objects.remove(ob)
    return co


def _place(mesh: bpy.types.Mesh, positions: np.ndarray) -> None:
    mesh.vertices.foreach_set("co", positions)
    mesh.update()


def _paint(mesh: bpy.types.Mesh, source: bpy.types.Object, colors: np.ndarray) -> None:
    """The colour of the nearest place of the head on every vertex of the quads."""
    corners = np.array([triangle.vertices for triangle in source.data.polygons])
    rgba = np.ones((len(mesh.vertices), 4), np.float32)
    for i, vertex in enumerate(mesh.vertices):
        found, place, _, triangle = source.closest_point_on_mesh(vertex.co)
        if found:
            near = corners[triangle]
            away = [(source.data.vertices[k].co - place).length for k in near]
            weight = 1 / (np.array(away) + 1e-9)
            rgba[i, :3] = weight @ colors[near] / (255 * weight.sum())
    attribute = mesh.color_attributes.new(COLOR, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = attribute


def _to_world(ob: bpy.types.Object, modifier: bpy.types.MultiresModifier, centre: np.ndarray, scale: float) -> None:
    """Back to the head's own size and place. The detail is kept in lengths: it is taken over once more."""
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    dense = bpy.data.objects.new("Dense", bpy.data.meshes.new_from_object(evaluated))
    bpy.context.scene.collection.objects.link(dense)
    for mesh in (dense.data, ob.data):
        co = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", co)
        _place(mesh, (co.reshape(-1, 3) / scale + centre).astype(np.float32).ravel())
    _choose(ob, dense)
    bpy.ops.object.multires_reshape(modifier=MODIFIER)
    bpy.data.objects.remove(dense)


def main(arguments: list[str]) -> int:
    """head.npz sculpt.blend FACES: the exit code. Progress goes to stdout, one sentence about a failure to stderr."""
    source, target, faces = arguments

    def progress(share: float, stage: str) -> None:
        print(f"{share:4.0%} {stage}", flush=True)

    try:
        progress(0.0, "Reading the head")
        bpy.ops.wm.read_factory_settings(use_empty=True)
        with np.load(source) as arrays:
            colors = arrays.get("color")
            made = lay(arrays["vertices"], arrays["faces"], int(faces), colors, progress)
        progress(0.95, "Writing the quads")
        bpy.data.libraries.write(str(Path(target)), {made}, compress=False)
    except NoQuads as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return 1
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        print(f"Error: The quads could not be made: {error}.", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[sys.argv.index("--") + 1 :])
    sys.stdout.flush()
    os._exit(code)  # Blender as a module may hang at its end
