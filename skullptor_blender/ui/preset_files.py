"""Presets as files: Draft, Standard and Fine come with the add-on, the artist saves more beside them."""

from __future__ import annotations

from pathlib import Path

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

FOLDER = Path(__file__).resolve().parents[1]  # holds presets/skullptor
SUBDIR = "skullptor"
# the head's density and how it is made; not the scene's folders, and not the seed
VALUES = (
    "preset", "normals", "device", "use_max_vertices", "max_vertices", "use_steps", "steps", "use_smoothness",
    "smoothness", "normals_axes", "normals_max",
)  # fmt: skip


class SKULLPTOR_PT_presets(PresetPanel, bpy.types.Panel):
    bl_label = "Reconstruction Presets"
    preset_subdir = SUBDIR
    preset_operator = "script.execute_preset"
    preset_add_operator = "skullptor.preset_add"


class SKULLPTOR_OT_preset_add(AddPresetBase, bpy.types.Operator):
    """Save these settings under a name, or delete a preset of your own"""

    bl_idname = "skullptor.preset_add"
    bl_label = "Save Reconstruction Preset"
    preset_menu = "SKULLPTOR_PT_presets"
    preset_subdir = SUBDIR
    preset_defines = ["settings = bpy.context.scene.skullptor"]
    preset_values = [f"settings.{name}" for name in VALUES]


CLASSES = (SKULLPTOR_PT_presets, SKULLPTOR_OT_preset_add)


def register() -> None:
    bpy.utils.register_preset_path(str(FOLDER))
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.unregister_preset_path(str(FOLDER))
