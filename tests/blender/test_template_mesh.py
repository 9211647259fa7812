"""A mesh of the scene as a template: what the engine is given of it, and the landmarks that a hand has set on it."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from skullptor_extension.skullptor_blender.link import job
from skullptor_extension.skullptor_blender.operators import wrap
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.scene import template as scene_template
from skullptor_extension.skullptor_blender.scene import template_mesh
from skullptor_extension.skullptor_blender.ui import panels

from .test_result import ARRAYS


@pytest.fixture
def head():
    made = scene_result.create(bpy.context.scene, bpy.context.view_layer, ARRAYS, "Head", {scene_result.MARK: "1"})
    bpy.context.view_layer.objects.active = made
    return made


@pytest.fixture
def mine():
    """A plate of two quads and a triangle, in two materials, stood elsewhere."""
    mesh = bpy.data.meshes.new("mine")
    mesh.from_pydata(
        [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 0)],
        [],
        [(0, 1, 4, 3), (1, 2, 5, 4), (2, 6, 5)],
    )
    mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", np.linspace(0, 1, 22).astype(np.float32))
    for name in ("Skin", "Eye White"):
        mesh.materials.append(bpy.data.materials.new(name))
    mesh.polygons[2].material_index = 1
    ob = bpy.data.objects.new("Mine", mesh)
    bpy.context.scene.collection.objects.link(ob)
    ob.matrix_world = Matrix.Translation((0, 0, 5)) @ Matrix.Scale(0.1, 4)
    bpy.context.view_layer.update()
    return ob


def lines(text: str, word: str) -> list[list[str]]:
    return [line.split()[1:] for line in text.splitlines() if line.split()[0] == word]


def test_the_engine_reads_quads_uvs_and_parts_upright_in_the_world(mine):
    text = template_mesh.as_obj(mine)
    assert np.array(lines(text, "v"), float)[5] == pytest.approx([0.2, 5.1, 0.0])  # +Z of the scene is +Y
    assert [[int(corner.split("/")[0]) for corner in face] for face in lines(text, "f")] == [
        [1, 2, 5, 4], [2, 3, 6, 5], [3, 7, 6]
    ]  # fmt: skip
    assert [face[0].split("/")[1] for face in lines(text, "f")] == ["1", "5", "9"]  # each corner has its own
    assert len(lines(text, "vt")) == 11
    assert [name for (name,) in lines(text, "g")] == ["Skin", "Eye_White"]
    mine.vertex_groups.new(name="teeth_upper").add([0, 1, 3, 4], 1.0, "REPLACE")
    assert [name for (name,) in lines(template_mesh.as_obj(mine), "g")] == ["teeth_upper", "Skin", "Eye_White"]
    front = template_mesh.Y_UP @ Matrix.Identity(3)
    assert front.determinant() == pytest.approx(1)  # turned, not mirrored
    assert (front @ mine.matrix_world.translation.__class__((0, -1, 0))).z == pytest.approx(
        1
    )  # the face looks along +Z


def test_landmarks_are_empties_or_groups_by_their_names(mine):
    mine.vertex_groups.new(name="nose tip").add([1], 1.0, "REPLACE")
    mine.vertex_groups.new(name="Chin").add([0, 2], 0.5, "REPLACE")
    mine.vertex_groups.new(name="shoulders").add([0], 1.0, "REPLACE")
    found = template_mesh.picks(mine)
    assert found[1] == pytest.approx([0.1, 5, 0]) and found[152] == pytest.approx([0.1, 5, 0])
    assert set(found) == {1, 152}
    empty = bpy.data.objects.new("Nose Tip.001", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.parent, empty.location = mine, (2, 0, 1)
    bpy.context.view_layer.update()
    assert template_mesh.picks(mine)[1] == pytest.approx([0.2, 5.1, 0])  # before the group


def test_set_landmarks_puts_empties_on_the_mesh_once(mine):
    bpy.context.scene.skullptor_wrap.mesh = mine
    bpy.ops.skullptor.set_template_landmarks()
    bpy.context.view_layer.update()
    made = template_mesh.empties(mine)
    assert len(made) == len(template_mesh.PLACES)
    for empty in made:
        near = mine.closest_point_on_mesh(mine.matrix_world.inverted() @ empty.matrix_world.translation)[1]
        assert (mine.matrix_world @ near - empty.matrix_world.translation).length < 1e-5
    made[0].location.x += 0.05  # dragged in the scene's world
    bpy.context.view_layer.update()
    bpy.ops.skullptor.set_template_landmarks()
    assert len(template_mesh.empties(mine)) == len(made)  # not once more
    assert set(template_mesh.picks(mine)) == {number for number, _ in template_mesh.PLACES.values()}


def test_what_rendering_found_is_kept_with_the_mesh_until_it_changes(mine, tmp_path):
    assert template_mesh.remembered(mine) == ""
    file = tmp_path / "Mine.landmarks.json"
    template_mesh.remember(mine, file)  # not there: nothing happens
    file.write_text(json.dumps({"corners": [[0, 1, 2]]}))
    template_mesh.remember(mine, file)
    assert json.loads(template_mesh.remembered(mine)) == {"corners": [[0, 1, 2]]}
    mine.data.vertices.add(1)
    assert template_mesh.remembered(mine) == ""


def test_wrap_template_writes_the_mesh_and_its_landmarks_for_the_engine(head, mine, tmp_path, monkeypatch):
    (tmp_path / "capture.json").write_text("{}")
    head["skullptor_run"] = json.dumps({"capture": str(tmp_path)})
    mine.vertex_groups.new(name="Nose Tip").add([1], 1.0, "REPLACE")
    asked = {}

    class Written:
        state, running, cancelled_at, error, title = job.FINISHED, False, None, None, "Wrap Template"

        def __init__(self, _title, _python, _root, arguments, *_, prepare, **__):
            prepare()
            asked["arguments"] = arguments
            file = Path(arguments[arguments.index("--template") + 1])
            asked["obj"] = file.read_text(encoding="utf-8")
            asked["picked"] = file.with_suffix(".picked.json").read_text(encoding="utf-8")

    monkeypatch.setattr(wrap, "BridgeCommand", Written)
    monkeypatch.setattr(wrap.preferences, "interpreter", lambda *_: tmp_path)
    with pytest.raises(RuntimeError, match="cannot be read"):  # the dummy makes nothing
        bpy.ops.skullptor.wrap_template(template="mesh", mesh="Mine", outside=True)
    assert asked["arguments"].count("--outside") == 1 and asked["obj"] == template_mesh.as_obj(mine)
    assert json.loads(asked["picked"])["landmarks"]["1"] == pytest.approx([0.1, 5, 0])
    for wrong in ("Head", "gone"):
        with pytest.raises(RuntimeError, match="no mesh of the scene that can be a template"):
            bpy.ops.skullptor.wrap_template(template="mesh", mesh=wrong)


def test_the_panel_asks_for_the_mesh(head, mine, draw):
    settings = bpy.context.scene.skullptor_wrap
    settings.template = scene_template.MESH
    log = draw(panels.SKULLPTOR_PT_template)
    assert "skullptor.set_template_landmarks" in [args[0] for call, args, _ in log if call == "operator"]
    settings.mesh = mine
    draw(panels.SKULLPTOR_PT_template)
    assert template_mesh.fits(mine) and not template_mesh.fits(head) and not template_mesh.fits(None)
