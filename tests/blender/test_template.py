"""A wrapped template in the scene: quads, UVs, groups, materials, shape keys; and what is told when it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import job, worker
from skullptor_extension.skullptor_blender.scene import landmarks
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.scene import template as scene_template
from skullptor_extension.skullptor_blender.ui import disk_cache, heat_map, panels

from .helpers import texts
from .test_result import ARRAYS

WRAPPED = {
    "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 0, 1.5]]),
    "faces": np.array([[0, 1, 2, 3], [1, 4, 5, -1]], np.int32),
    "uv": np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.25]], np.float32),
    "faces_uv": np.array([[0, 1, 2, 3], [4, 1, 2, -1]], np.int32),
    "part": np.array([0, 1, 0, 0, 1, 1], np.uint8),
    "part_names": np.array(["skin", "eye_left"]),
    "shapes": np.array([[[0, 0, 0.25]] + [[0, 0, 0]] * 5, [[0, 0, 0]] * 5 + [[0.5, 0, 0]]], np.float32),
    "shape_names": np.array(["jawOpen", "eyeBlinkLeft"]),
    "distance": np.array([0.1, 0.2, 0.3, 0.4, np.nan, np.nan], np.float32),
    "region_lips": np.array([True, False, True, False, False, False]),
}
BODY = {"landmarks": {"1": [0.0, 0, 0], "152": [0.0, 0, -2]}, "sigma": {"1": 0.25, "152": 0.5}}
PROPERTIES = {
    scene_template.KEY: "hm08",
    scene_template.OF: "Head",
    scene_template.ASKED: json.dumps({"template": "ict", "file": ""}),
    scene_template.LANDMARKS: json.dumps(BODY),
}


@pytest.fixture
def head():
    made = scene_result.create(bpy.context.scene, bpy.context.view_layer, ARRAYS, "Head", {scene_result.MARK: "1"})
    bpy.context.view_layer.objects.active = made
    return made


def test_everything_of_the_template_arrives(head):
    ob = scene_template.create(head, WRAPPED, "Head hm08", {scene_template.KEY: "hm08"})
    mesh = ob.data
    assert [list(p.vertices) for p in mesh.polygons] == [[0, 1, 2, 3], [1, 4, 5]]
    assert [tuple(mesh.uv_layers[0].uv[i].vector) for i in range(7)] == [
        (0, 0),
        (1, 0),
        (1, 1),
        (0, 1),
        (0.5, 0.25),
        (1, 0),
        (1, 1),
    ]
    keys = mesh.shape_keys.key_blocks
    assert [key.name for key in keys] == ["Basis", "jawOpen", "eyeBlinkLeft"]
    assert all((key.slider_min, key.slider_max, key.value) == (0, 1, 0) for key in keys[1:])
    assert keys["jawOpen"].data[0].co.z == pytest.approx(0.25) and keys["eyeBlinkLeft"].data[5].co.x == 2.5
    members = {
        g.name: [v.index for v in mesh.vertices if g.index in [x.group for x in v.groups]] for g in ob.vertex_groups
    }
    assert members == {"skin": [0, 2, 3], "eye_left": [1, 4, 5], "lips": [0, 2]}
    assert [m.name for m in mesh.materials] == ["Head Skin", "Head Eye Left"]
    assert [p.material_index for p in mesh.polygons] == [0, 1]
    assert mesh.attributes["distance"].data[5].value == -1
    assert ob.users_collection == head.users_collection
    assert not scene_result.is_result(ob)  # Run Again and the neck's knife are for the dense head
    again = scene_template.create(head, WRAPPED, "Head hm08", {})
    assert [m.name for m in again.data.materials] == ["Head Skin", "Head Eye Left"]  # shared


def test_the_head_goes_to_the_bridge_where_it_stands(head, tmp_path):
    head.location = (1, 2, 3)
    head.scale = (2, 2, 2)
    bpy.context.view_layer.update()
    vertices, triangles = scene_template.triangles_of(head)
    np.testing.assert_allclose(vertices, ARRAYS["vertices"] * 2 + [1, 2, 3])
    scene_template.write_ply(tmp_path / "head.ply", vertices, triangles)
    data = (tmp_path / "head.ply").read_bytes()
    body = data.index(b"end_header\n") + 11
    assert np.frombuffer(data, "<f8", 12, body).reshape(4, 3) == pytest.approx(vertices)
    assert len(data) == body + 4 * 24 + 4 * 13


def test_without_photographs_the_cure_is_told(head, unchanged):
    unchanged()
    with pytest.raises(RuntimeError, match=r"no longer in the cache.*Reconstruct the head again"):
        bpy.ops.skullptor.wrap_template()


def test_what_cannot_be_read_leaves_nothing(head, tmp_path, monkeypatch, unchanged):
    """The dummy bridge ends well without files."""
    folder = tmp_path / "capture"
    folder.mkdir()
    (folder / "capture.json").write_text("{}")
    head["skullptor_run"] = json.dumps({"capture": str(folder)})
    from skullptor_extension.skullptor_blender.operators import wrap

    class Nothing:
        state, running, cancelled_at, error, title = job.FINISHED, False, None, None, "Wrap Template"

        def __init__(self, *arguments, **keywords): ...

    monkeypatch.setattr(wrap, "BridgeCommand", Nothing)
    monkeypatch.setattr(wrap.preferences, "interpreter", lambda *_: tmp_path)
    unchanged()
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.skullptor.wrap_template()


@pytest.fixture
def wrapped(head):
    disk_cache.forget()
    made = scene_template.create(head, WRAPPED, "Head hm08", PROPERTIES)
    head.hide_set(True)
    bpy.context.view_layer.objects.active = made
    return made


def buttons(log) -> list[str]:
    return [args[0] for call, args, _ in log if call == "operator"]


def test_the_panel_offers_the_wrap_on_a_head(head, draw):
    assert panels.SKULLPTOR_PT_template.poll(bpy.context)
    log = draw(panels.SKULLPTOR_PT_template)
    assert buttons(log) == ["skullptor.wrap_template", "skullptor.edit_landmarks"]
    assert not bpy.ops.skullptor.edit_landmarks.poll() and not bpy.ops.skullptor.show_distance.poll()
    bpy.context.scene.skullptor_wrap.template = "own"
    log = draw(panels.SKULLPTOR_PT_template)
    assert ("set", ("enabled", False), {}) in log  # there is no file yet


def test_a_wrapped_template_can_be_run_again_and_shows_its_distance(wrapped, draw):
    log = draw(panels.SKULLPTOR_PT_template)
    assert buttons(log) == [
        "skullptor.wrap_template",
        "skullptor.wrap_template",
        "skullptor.edit_landmarks",
        "skullptor.show_distance",
        "skullptor.add_armature",
        "skullptor.add_relief",
    ]
    assert ("property", ("template", "ict"), {}) in log  # as this one was asked for
    wrapped.data[heat_map.MILLIMETRE] = 0.4
    materials = list(wrapped.data.materials)
    bpy.ops.skullptor.show_distance()
    color = wrapped.data.color_attributes[heat_map.ATTRIBUTE].data
    blue, red, grey = (np.array(color[i].color_srgb[:3]) for i in (0, 3, 5))
    assert blue[2] > blue[0] and red[0] > 0.6 > 0.2 > red[1] and np.ptp(grey) < 0.01  # 0.25 mm, 1 mm, not known
    assert any("red: 1 mm" in text for text in texts(draw(panels.SKULLPTOR_PT_template)))
    bpy.ops.skullptor.show_distance()
    assert list(wrapped.data.materials) == materials and heat_map.ATTRIBUTE not in wrapped.data.color_attributes


def test_landmarks_are_dragged_on_the_head_and_go_to_the_next_wrap(wrapped, head, tmp_path, monkeypatch):
    """In the run's world: the rig was scaled since. What a hand has moved is exact, the rest as sure as it was."""
    assert bpy.ops.skullptor.edit_landmarks() == {"FINISHED"}
    points = landmarks.of_head(bpy.context.view_layer, head)
    assert points.mode == "EDIT" and points.show_in_front and not head.hide_get() and wrapped.hide_get()
    bpy.ops.object.mode_set(mode="OBJECT")
    points.data.vertices[1].co.z = -3
    bpy.ops.object.mode_set(mode="EDIT")  # where the artist presses Wrap Template
    assert scene_result.chosen(bpy.context) == head  # while the landmarks are active
    head["skullptor_moved"] = [2.0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]
    capture = tmp_path / "capture"
    capture.mkdir()
    (capture / "capture.json").write_text("{}")
    head["skullptor_run"] = json.dumps({"capture": str(capture)})
    from skullptor_extension.skullptor_blender.operators import wrap

    asked = {}

    class Caught:
        state, running, cancelled_at, error, title = job.FINISHED, False, None, None, "Wrap Template"

        def __init__(self, *arguments, prepare, **keywords):
            prepare()
            given = arguments[3]
            asked.update(json.loads(Path(given[given.index("--landmarks") + 1]).read_text()))

    monkeypatch.setattr(wrap, "BridgeCommand", Caught)
    monkeypatch.setattr(wrap.preferences, "interpreter", lambda *_: tmp_path)
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.skullptor.wrap_template()
    assert asked["landmarks"] == {"1": [0, 0, 0], "152": [0, 0, -1.5]}
    assert asked["sigma"] == {"1": pytest.approx(0.125), "152": 0.0}


def test_missing_data_is_one_click_away(head, tmp_path, monkeypatch, draw):
    """The engine's words, as bridge/model/package.py has them, get their button."""
    from skullptor_extension.skullptor_blender.operators import wrap

    capture = tmp_path / "capture"
    capture.mkdir()
    (capture / "capture.json").write_text("{}")
    head["skullptor_run"] = json.dumps({"capture": str(capture)})
    said = "'hm08' is not on this machine: it. Run `python -m bridge weights hm08`, or in Blender Get Template Data."

    class Missing:
        state, running, cancelled_at, title = job.FAILED, False, None, "Wrap Template"
        error = worker.WorkerError("bridge", said)

        def __init__(self, *arguments, **keywords): ...

    monkeypatch.setattr(wrap, "BridgeCommand", Missing)
    monkeypatch.setattr(wrap.preferences, "interpreter", lambda *_: tmp_path)
    with pytest.raises(RuntimeError, match="not on this machine"):
        bpy.ops.skullptor.wrap_template()
    assert "skullptor.get_template_data" in buttons(draw(panels.SKULLPTOR_PT_reconstruct))
    if not bpy.app.online_access:
        with pytest.raises(RuntimeError, match="may not use the network.*Allow Online Access"):
            bpy.ops.skullptor.get_template_data()
