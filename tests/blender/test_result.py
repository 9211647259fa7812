"""A result in the artist's hands: heat map and back, Run Again from its own settings, its panel."""

from __future__ import annotations

import json

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import session
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.ui import heat_map, panels

from .helpers import counts, texts

ARRAYS = {
    "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "faces": np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32),
    "color": np.array([[255, 0, 0], [0, 128, 0], [0, 0, 255], [10, 20, 30]], np.uint8),
    "confidence": np.array([1.0, 0.5, 0.01, 0.0], np.float32),
    "normal_error": np.array([0.0, 15.0, 90.0, np.nan], np.float32),
}


@pytest.fixture
def head():
    scene, layer = bpy.context.scene, bpy.context.view_layer
    made = scene_result.create(scene, layer, ARRAYS, "Head", {scene_result.MARK: "1"})
    layer.objects.active = made
    return made


LOOKS = ["Clay", "Photographs", "Confidence", "Error"]


def worn(ob) -> tuple[str, str, list[str]]:
    mesh = ob.data
    materials = [material.name for material in mesh.materials if material]
    return heat_map.shown(mesh), mesh.color_attributes.active_color.name, materials


def painted(ob) -> np.ndarray:
    stored = np.empty(16, np.float32)
    ob.data.color_attributes["heat_map"].data.foreach_get("color_srgb", stored)
    return stored.reshape(4, 4)[:, :3]


def test_one_row_of_looks_in_solid_and_in_material_preview(head):
    shading = next(a for a in bpy.context.screen.areas if a.type == "VIEW_3D").spaces.active.shading
    bpy.ops.skullptor.show_confidence(show="clay")
    assert worn(head) == ("clay", "color", ["Skullptor Clay"])
    assert shading.color_type == "MATERIAL"
    base = head.data.materials[0].node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    assert not base.links  # one colour in Material Preview as well
    bpy.ops.skullptor.show_confidence(show="normal_error")
    assert worn(head) == ("normal_error", "heat_map", ["Skullptor Heat Map"])
    assert shading.color_type == "VERTEX"
    bpy.ops.skullptor.show_confidence(show="clay")
    bpy.ops.skullptor.show_confidence(show="photographs")
    assert worn(head) == ("photographs", "color", ["Skullptor Photographs"])
    assert shading.color_type == "VERTEX"


def test_one_click_there_and_one_back(head):
    assert bpy.ops.skullptor.show_confidence() == {"FINISHED"}
    assert worn(head) == ("confidence", "heat_map", ["Skullptor Heat Map"])
    sure, middle, unsure, unseen = painted(head)
    assert sure[2] > sure[0]  # blue
    assert unsure[0] > unsure[2]  # red
    assert middle.min() > 0.7  # pale
    np.testing.assert_allclose(unseen, 0.5, atol=0.01)
    base = head.data.materials[0].node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    assert base.links[0].from_node.layer_name == "heat_map"
    assert bpy.ops.skullptor.show_confidence() == {"FINISHED"}
    assert worn(head) == ("photographs", "color", ["Skullptor Photographs"])
    assert "heat_map" not in head.data.attributes
    assert heat_map.can_show(head.data, "confidence")


def test_from_one_heat_map_to_the_other(head):
    bpy.ops.skullptor.show_confidence()
    bpy.context.scene.skullptor.heat_map = "normal_error"
    bpy.ops.skullptor.show_confidence()
    assert worn(head) == ("normal_error", "heat_map", ["Skullptor Heat Map"])
    small, _, large, unseen = painted(head)
    assert small[2] > small[0]
    assert large[0] > large[2]
    np.testing.assert_allclose(unseen, 0.5, atol=0.01)
    bpy.ops.skullptor.show_confidence(show="photographs")
    assert worn(head) == ("photographs", "color", ["Skullptor Photographs"])
    bpy.ops.skullptor.show_confidence(show="confidence")
    bpy.ops.skullptor.show_confidence(show="confidence")  # said, not toggled
    assert worn(head)[0] == "confidence"


def test_the_artists_own_materials_come_back(head):
    own, other = (bpy.data.materials.new(name) for name in ("Skin", "Hair"))
    head.data.materials[0] = own
    head.data.materials.append(other)
    bpy.ops.skullptor.show_confidence()
    assert worn(head)[2] == ["Skullptor Heat Map", "Hair"]
    bpy.ops.skullptor.show_confidence()
    assert worn(head)[2] == ["Skin", "Hair"]


def test_a_result_without_colours():
    plain = {key: value for key, value in ARRAYS.items() if key != "color"}
    scene, layer = bpy.context.scene, bpy.context.view_layer
    made = layer.objects.active = scene_result.create(scene, layer, plain, "Head", {scene_result.MARK: "1"})
    bpy.ops.skullptor.show_confidence()
    bpy.ops.skullptor.show_confidence()
    assert not made.data.materials
    assert not made.data.color_attributes


def test_one_undo_step(head):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.skullptor.show_confidence("EXEC_DEFAULT", True)
    bpy.ops.ed.undo()
    head = bpy.data.objects["Head"]
    assert worn(head) == ("photographs", "color", ["Skullptor Photographs"])
    bpy.ops.ed.redo()
    assert worn(bpy.data.objects["Head"])[0] == "confidence"


def test_what_cannot_be_shown_is_told(head):
    head.data.attributes.remove(head.data.attributes["confidence"])
    with pytest.raises(RuntimeError, match="'Head' has no attribute 'confidence'"):
        bpy.ops.skullptor.show_confidence()
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="being edited"):
        bpy.ops.skullptor.show_confidence(show="normal_error")
    bpy.ops.object.mode_set(mode="OBJECT")
    head.select_set(True)
    bpy.ops.object.delete()
    assert not bpy.ops.skullptor.show_confidence.poll()
    assert not bpy.ops.skullptor.run_again.poll()


def test_the_solid_view_shows_the_colours(head):
    (area,) = [area for area in bpy.context.screen.areas if area.type == "VIEW_3D"] or [None]
    if area is None:
        pytest.skip("this file has no 3D view")
    space = area.spaces.active
    space.shading.type = "SOLID"
    with bpy.context.temp_override(area=area, space_data=space):
        bpy.ops.skullptor.show_confidence()
    assert space.shading.color_type == "VERTEX"


def test_run_again_takes_the_heads_own_settings(rig):
    bpy.ops.skullptor.reconstruct_head(preset="draft", seed=7, steps=50)
    first = bpy.data.objects["Head"]
    settings = bpy.context.scene.skullptor
    settings.preset, settings.seed = "fine", 1
    settings.use_smoothness, settings.smoothness = True, 0.9  # the head was made with the preset's
    bpy.context.view_layer.objects.active = first
    before = counts()["objects"]
    assert bpy.ops.skullptor.run_again() == {"FINISHED"}
    assert counts()["objects"] == before + 1
    again = next(ob for ob in bpy.data.objects if scene_result.is_result(ob) and ob != first)
    assert again["skullptor_settings"] == first["skullptor_settings"]
    # keywords still win, and nothing sticks
    bpy.ops.skullptor.reconstruct_head(stored=first["skullptor_settings"], seed=9)
    newest = bpy.data.objects[session.outcome.object_name]
    assert json.loads(newest["skullptor_settings"]) == json.loads(first["skullptor_settings"]) | {"seed": 9}
    bpy.ops.skullptor.reconstruct_head()
    assert json.loads(bpy.data.objects[session.outcome.object_name]["skullptor_settings"])["preset"] == "fine"


@pytest.mark.parametrize("damage", ["", "{", '{"preset": "best"}', '{"steps": "many"}', "[1]"])
def test_settings_that_anyone_has_changed(rig, damage):
    bpy.ops.skullptor.reconstruct_head()
    head = bpy.data.objects["Head"]
    head["skullptor_settings"] = damage
    bpy.context.view_layer.objects.active = head
    if damage:
        with pytest.raises(RuntimeError, match="settings stored on the head cannot be read.*Reconstruct Head instead"):
            bpy.ops.skullptor.run_again()
    assert not session.running()


def test_the_panel_is_about_the_active_head_also_in_a_new_session(draw, rig):
    bpy.ops.skullptor.reconstruct_head(preset="draft")
    assert panels.SKULLPTOR_PT_result.poll(bpy.context)
    session.reset()
    head = bpy.data.objects["Head"]
    assert panels.SKULLPTOR_PT_result.poll(bpy.context)  # a reopened file: the head that shows
    head.hide_set(True)
    assert panels.SKULLPTOR_PT_result.poll(bpy.context)  # it belongs to the rig
    assert not [text for text in texts(draw(panels.SKULLPTOR_PT_reconstruct)) if text in LOOKS]  # of nothing seen
    assert bpy.ops.skullptor.show_head() == {"FINISHED"}
    assert head.visible_get() and bpy.context.view_layer.objects.active == head
    head.name = "Zoë"
    bpy.context.view_layer.objects.active = head
    said = texts(draw(panels.SKULLPTOR_PT_result))
    assert "Zoë" in said
    assert "Draft, network normals" in said
    assert any(text.endswith(" vertices") for text in said)
    assert "Report" in said
    bpy.ops.skullptor.show_confidence()
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert [text for text in said if text in LOOKS] == LOOKS
    assert any("Blue" in text for text in said)
    head["skullptor_settings"] = head["skullptor_run"] = "damaged"
    draw(panels.SKULLPTOR_PT_result)


@pytest.mark.parametrize("key", scene_result.MADE_OF)
def test_the_panels_stay_with_the_head_when_what_was_made_of_it_is_selected(head, draw, key):
    layer = bpy.context.view_layer
    other = scene_result.create(bpy.context.scene, layer, ARRAYS, "Other", {scene_result.MARK: "1"})
    made = bpy.data.objects.new("Made", head.data.copy())
    made[key] = head.name
    bpy.context.scene.collection.objects.link(made)
    layer.objects.active = made
    made.select_set(True)
    head.hide_set(True)
    assert panels.SKULLPTOR_PT_result.poll(bpy.context)
    assert head.name in texts(draw(panels.SKULLPTOR_PT_result))
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert "Head hidden" in said and "Show" in said
    bpy.ops.skullptor.show_head()
    assert head.visible_get() and head.select_get() and not made.visible_get()
    layer.objects.active = None
    assert scene_result.chosen(bpy.context) in (head, other)


def test_the_new_head_takes_the_place_of_the_hidden_one(draw, rig):
    bpy.ops.skullptor.reconstruct_head()
    first = bpy.context.view_layer.objects.active = bpy.data.objects["Head"]
    bpy.ops.skullptor.run_again()
    assert not first.visible_get()
    assert session.outcome.object_name != first.name
    assert bpy.context.view_layer.objects.active == first
    assert session.outcome.object_name in texts(draw(panels.SKULLPTOR_PT_result))
    session.reset()
    assert first.name in texts(draw(panels.SKULLPTOR_PT_result))
