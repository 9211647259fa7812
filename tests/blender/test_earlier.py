"""What users of earlier versions saved and typed still works: files, presets, operators, properties, the batch.

saved.blend was made by the add-on before its rooms were moved, in Blender 4.2: four imported cameras, settings, a head.
"""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import pytest
from skullptor_extension.skullptor_blender.headless import options
from skullptor_extension.skullptor_blender.operators import head_job
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.ui import heat_map, panels

from .helpers import read_cameras, texts

EARLIER = Path(__file__).resolve().parents[1] / "support" / "earlier"
NAMES = json.loads((EARLIER / "names.json").read_text(encoding="utf-8"))
PRESET = """import bpy

settings = bpy.context.scene.skullptor

settings.preset = 'draft'
settings.normals = 'measured'
settings.device = 'cpu'
settings.use_max_vertices = True
settings.max_vertices = 12345
settings.use_steps = True
settings.steps = 99
settings.use_smoothness = True
settings.smoothness = 0.75
settings.normals_axes = 'opencv'
settings.normals_max = 4095
"""


@pytest.fixture
def saved():
    bpy.ops.wm.open_mainfile(filepath=str(EARLIER / "saved.blend"))
    return bpy.context.scene


def lost(before: dict, struct: bpy.types.Struct) -> list[str]:
    """Properties, and choices of them, that a struct had and has no longer."""
    now = struct.properties
    gone = [name for name in before if name not in now]
    for name, choices in before.items():
        if name not in gone and isinstance(choices, list):
            gone += [f"{name}={choice}" for choice in choices if choice not in now[name].enum_items_static]
        elif name not in gone and now[name].type != choices:
            gone.append(f"{name} is {now[name].type}, was {choices}")
    return gone


@pytest.mark.parametrize("operator", NAMES["operators"])
def test_an_operator_and_its_keywords(operator):
    assert lost(NAMES["operators"][operator], getattr(bpy.ops.skullptor, operator).get_rna_type()) == []


@pytest.mark.parametrize(("owner", "group"), [(bpy.types.Scene, "scene"), (bpy.types.Camera, "camera")])
def test_the_properties_of_saved_scenes(owner, group):
    assert lost(NAMES[group], owner.bl_rna.properties["skullptor"].fixed_type) == []


def test_the_batchs_options():
    known = {name for action in options.parser()._actions for name in action.option_strings}
    assert set(NAMES["batch"]) <= known


def test_a_saved_files_settings_and_cameras(saved):
    settings = saved.skullptor
    assert (settings.preset, settings.use_steps, settings.steps, settings.seed) == ("fine", True, 123, 7)
    assert (settings.use_max_vertices, settings.max_vertices, settings.refine_cameras) == (True, 4321, True)
    assert (settings.heat_map, settings.look) == ("normal_error", "masks")
    assert bpy.data.objects["cam01"].data.skullptor.mask == bpy.data.images["own mask"]
    found = read_cameras()
    assert [view.camera for view in found.usable] == ["cam00", "cam01", "cam02", "cam03"]


def test_a_saved_head_is_known_shown_and_run_again(saved, draw):
    head = scene_result.chosen(bpy.context)
    assert head == bpy.data.objects["Head"] and scene_result.is_result(head)
    assert "Fine, network normals" in texts(draw(panels.SKULLPTOR_PT_result))
    assert head_job.stored_settings(head["skullptor_settings"])["steps"] == 123
    bpy.ops.skullptor.show_confidence(show="confidence")
    assert heat_map.shown(head.data) == "confidence"
    assert bpy.ops.skullptor.run_again() == {"FINISHED"}
    again = next(ob for ob in bpy.data.objects if scene_result.is_result(ob) and ob != head)
    before, after = (json.loads(ob["skullptor_settings"]) for ob in (head, again))
    assert {name: after[name] for name in before} == before


def test_a_saved_preset(tmp_path):
    (tmp_path / "Mine.py").write_text(PRESET)
    bpy.ops.script.execute_preset(filepath=str(tmp_path / "Mine.py"), menu_idname="SKULLPTOR_PT_presets")
    settings = bpy.context.scene.skullptor
    assert (settings.preset, settings.normals, settings.device, settings.steps) == ("draft", "measured", "cpu", 99)
    assert (settings.max_vertices, settings.smoothness, settings.normals_axes) == (12345, 0.75, "opencv")
