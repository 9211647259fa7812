"""Presets as files: those that come with the add-on, and the artist's own."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest
from skullptor_extension.bridge.service import protocol
from skullptor_extension.skullptor_blender.ui import preset_files as presets


def path_of(name: str) -> str:
    return bpy.utils.preset_find(name, presets.SUBDIR)


@pytest.mark.parametrize("name", protocol.PRESETS)
def test_the_shipped_ones(name):
    settings = bpy.context.scene.skullptor
    settings.use_steps = True
    settings.seed = 5
    bpy.ops.script.execute_preset(filepath=path_of(name.title()), menu_idname="SKULLPTOR_PT_presets")
    assert (settings.preset, settings.use_steps, settings.seed) == (name, False, 5)


def test_an_own_one_is_saved_used_and_deleted():
    settings = bpy.context.scene.skullptor
    settings.use_steps, settings.steps, settings.smoothness, settings.image_folder = True, 77, 0.5, "/mine"
    assert bpy.ops.skullptor.preset_add(name="Zoë's Fast One") == {"FINISHED"}
    made = path_of("Zoë_s Fast One") or path_of("Zoë_s_Fast_One")
    assert Path(made).is_file()
    settings.use_steps, settings.steps, settings.image_folder = False, 10, "/other"
    bpy.ops.script.execute_preset(filepath=made, menu_idname="SKULLPTOR_PT_presets")
    assert (settings.use_steps, settings.steps, settings.image_folder) == (True, 77, "/other")
    bpy.ops.skullptor.preset_add(name=Path(made).stem, remove_name=True)
    assert not Path(made).exists()


def test_a_shipped_one_cannot_be_overwritten():
    before = Path(path_of("Draft")).read_text()
    bpy.ops.skullptor.preset_add(name="Draft")
    assert Path(path_of("Draft")).read_text() == before


def test_every_setting_of_the_run_is_in_a_preset_or_the_scenes_own():
    settings = bpy.context.scene.skullptor.bl_rna.properties
    names = {p.identifier for p in settings} - {"rna_type", "name"}
    assert names - set(presets.VALUES) == {
        "seed", "heat_map", "look", "contact_sheet", "image_folder", "mask_folder", "normals_folder",
        "refine_cameras", "head_height", "eye_distance", "active_rig", "show_photographs", "show_cameras",
        "photograph_blend",
    }  # fmt: skip
