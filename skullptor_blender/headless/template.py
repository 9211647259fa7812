"""The batch's task "wrap": a template on a head, bones and relief on request, and files for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import bpy

from ..scene import result as scene_result
from .trouble import Trouble

KINDS = (".fbx", ".glb", ".usd", ".usda", ".usdc")


def head_there(view_layer: bpy.types.ViewLayer) -> bpy.types.Object | None:
    """The head that is active, or else the last one of the scene; None where there is none yet."""
    active = view_layer.objects.active
    if scene_result.is_result(active):
        return active
    found = [ob for ob in view_layer.objects if scene_result.is_result(ob)]
    return found[-1] if found else None


def lay(options: argparse.Namespace, head: bpy.types.Object, call: Callable) -> tuple[bpy.types.Object, str]:
    """The template on the head, and what was done. Raises Trouble."""
    bpy.context.view_layer.objects.active = head
    known = ("hm08", "hm08-body", "ict", "gnm")
    keywords = {"template": options.template, "density": options.density, "rigid": options.rigid}
    if options.outside:
        keywords["outside"] = True
    if options.template in bpy.context.view_layer.objects:
        keywords |= {"template": "mesh", "mesh": options.template}
    elif options.template not in known:
        keywords |= {"template": "own", "file": str(Path(options.template).resolve())}
    if options.bridge_python:
        keywords["bridge_python"] = options.bridge_python
    outcome = call(bpy.ops.skullptor.wrap_template, **keywords)
    made = bpy.data.objects[outcome.object_name]
    bpy.context.view_layer.objects.active = made
    for wanted, operator in (
        (options.armature, bpy.ops.skullptor.add_armature),
        (options.relief, bpy.ops.skullptor.add_relief),
    ):
        if wanted:
            try:
                operator("EXEC_DEFAULT")
            except RuntimeError as error:
                raise Trouble(str(error).strip()) from None
    for path in options.export or ():
        export(made, path.resolve())
        print(f"Wrote {path}", flush=True)
    return made, outcome.text


def export(made: bpy.types.Object, path: Path) -> None:
    """The template with its shapes, UVs and bones by Blender's own exporters. Raises Trouble."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise Trouble(f"'{path.name}' is no FBX (.fbx), glTF (.glb) or USD (.usd, .usda, .usdc) file.")
    chosen = [made, *([made.parent] if made.parent is not None and made.parent.type == "ARMATURE" else [])]
    for ob in bpy.context.view_layer.objects:
        ob.select_set(ob in chosen)
    try:
        if kind == ".fbx":
            bpy.ops.export_scene.fbx(
                filepath=str(path), use_selection=True, add_leaf_bones=False, use_mesh_modifiers=False
            )
        elif kind == ".glb":
            bpy.ops.export_scene.gltf(filepath=str(path), use_selection=True, export_morph=True)
        else:
            bpy.ops.wm.usd_export(
                filepath=str(path), selected_objects_only=True, export_shapekeys=True, export_armatures=True,
                export_uvmaps=True,
            )  # fmt: skip
    except RuntimeError as error:
        raise Trouble(str(error).strip()) from None
    if not path.is_file():
        raise Trouble(f"Blender did not write '{path}'.")
