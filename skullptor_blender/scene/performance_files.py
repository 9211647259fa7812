"""An animated performance -> Alembic, USD or FBX, by Blender's own exporters, its own frames alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import bpy

KINDS = (".abc", ".usd", ".usda", ".usdc", ".fbx")


def export(context: bpy.types.Context, ob: bpy.types.Object, path: Path, first: int, last: int) -> None:
    """Every vertex of every frame; FBX instead, which knows no point caches, the shape keys' curves.

    Raises ValueError for an ending that is none of KINDS, RuntimeError where Blender cannot write.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"'{path.name}' is no Alembic (.abc), USD (.usd, .usda, .usdc) or FBX (.fbx) file.")
    with _alone(context, ob, first, last):
        if kind == ".abc":
            bpy.ops.wm.alembic_export(
                filepath=str(path), start=first, end=last, selected=True, as_background_job=False, uvs=True
            )
        elif kind == ".fbx":
            bpy.ops.export_scene.fbx(
                filepath=str(path), use_selection=True, object_types={"MESH"}, bake_anim=True, bake_anim_step=1.0,
                bake_anim_simplify_factor=0.0, bake_anim_use_nla_strips=False, bake_anim_use_all_actions=False,
                use_mesh_modifiers=False,  # the cache in its place would take the shape keys away
                add_leaf_bones=False,
            )  # fmt: skip
        else:
            bpy.ops.wm.usd_export(
                filepath=str(path), selected_objects_only=True, export_animation=True, export_shapekeys=False,
                export_armatures=False, export_uvmaps=True, evaluation_mode="RENDER",
            )  # fmt: skip
    if not path.is_file():
        raise RuntimeError(f"Blender did not write '{path}'.")


@contextlib.contextmanager
def _alone(context: bpy.types.Context, ob: bpy.types.Object, first: int, last: int) -> Iterator[None]:
    """The object alone is selected, and the scene lasts as long as it plays."""
    scene, view_layer = context.scene, context.view_layer
    selected, active = list(view_layer.objects.selected), view_layer.objects.active
    were = scene.frame_start, scene.frame_end, scene.frame_current
    try:
        for other in selected:
            other.select_set(False, view_layer=view_layer)
        ob.select_set(True, view_layer=view_layer)
        view_layer.objects.active = ob
        scene.frame_start, scene.frame_end = first, last
        yield
    finally:
        scene.frame_start, scene.frame_end = were[:2]
        scene.frame_set(were[2])
        ob.select_set(ob in selected, view_layer=view_layer)
        for other in selected:
            other.select_set(True, view_layer=view_layer)
        view_layer.objects.active = active
