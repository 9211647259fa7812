"""Bones and relief of a wrapped template, on the head model that ships: 3,000 vertices with eyes and ARKit's shapes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.headless import options, tasks, template
from skullptor_extension.skullptor_blender.link import session
from skullptor_extension.skullptor_blender.scene import armature, relief
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.scene import template as scene_template
from skullptor_extension.skullptor_blender.ui import heat_map

from .helpers import BRIDGE, needs_bridge

MODEL = Path(__file__).resolve().parents[2] / "bridge" / "model" / "head" / "head_model.npz"
SHAPES = ("jawOpen", "eyeBlinkLeft")
UNIT = 0.01  # of the scene in a millimetre of the template


def arrays() -> dict[str, np.ndarray]:
    from bridge.model import PARTS, arkit

    with np.load(MODEL) as stored:
        model = {name: stored[name] for name in stored.files}
    chosen = [arkit.NAMES.index(name) for name in SHAPES]
    turned = np.array([[1, 0, 0], [0, 0, 1.0], [0, -1, 0]]) * UNIT  # Y up -> Z up
    return {
        "vertices": model["vertices"].astype(np.float64) @ turned,
        "faces": model["faces"], "uv": model["uv"], "faces_uv": model["faces_uv"], "part": model["part"],
        "part_names": np.array(PARTS), "shape_names": np.array(SHAPES),
        "shapes": (model["expressions"][chosen].astype(np.float64) @ turned).astype(np.float32),
        "distance": np.zeros(len(model["vertices"]), np.float32),
        **{name: model[name] for name in model if name.startswith("region_")},
    }  # fmt: skip


@pytest.fixture
def wrapped():
    """The template on a head of its own shape with furrows of 0.4 mm, four times as dense as two levels of it."""
    made = arrays()
    ball = scene_template.make(made, "Dense", {})
    ball.shape_key_clear()
    bpy.context.scene.collection.objects.link(ball)
    ball.modifiers.new("S", "SUBSURF").levels = 3
    mesh = bpy.data.meshes.new_from_object(ball.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(ball)
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    vertices = vertices.reshape(-1, 3).astype(np.float64)
    normals = np.array([vertex.normal for vertex in mesh.vertices])
    vertices += 0.4 * UNIT * np.sin(vertices[:, 2:] / UNIT / 1.5) * normals
    mesh.calc_loop_triangles()
    faces = np.array([triangle.vertices for triangle in mesh.loop_triangles], np.int32)
    dense = {"vertices": vertices, "faces": faces, "confidence": np.ones(len(vertices), np.float32)}
    head = scene_result.create(bpy.context.scene, bpy.context.view_layer, dense, "Head", {scene_result.MARK: "1"})
    properties = {scene_template.KEY: "hm08", scene_template.OF: head.name}
    ob = scene_template.create(head, made, "Head hm08", properties)
    ob.data[heat_map.MILLIMETRE] = UNIT
    for other in bpy.context.view_layer.objects:
        other.select_set(other == ob)
    bpy.context.view_layer.objects.active = ob
    return ob


def places(ob) -> np.ndarray:
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    world = np.array(ob.matrix_world)
    return flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def group(ob, name: str) -> np.ndarray:
    return armature._groups(ob)[name]


def test_the_jaws_bone_does_what_the_shape_does(wrapped):
    rest = places(wrapped)
    wrapped.data.shape_keys.key_blocks["jawOpen"].value = 1
    opened = places(wrapped)
    wrapped.data.shape_keys.key_blocks["jawOpen"].value = 0
    assert bpy.ops.skullptor.add_armature() == {"FINISHED"}
    bones = wrapped.modifiers[0].object
    assert {bone.name: bone.parent and bone.parent.name for bone in bones.data.bones} == {
        "root": None, "neck_bone": "root", "head": "neck_bone", "jaw": "head", "eye.L": "head", "eye.R": "head",
    }  # fmt: skip
    np.testing.assert_allclose(places(wrapped), rest, atol=1e-5)  # at rest nothing moves
    moved = np.linalg.norm(opened - rest, axis=1)
    chin = moved > 0.8 * moved.max()
    rotation, shift = armature.turn(rest[chin], opened[chin])
    jaw = bones.pose.bones["jaw"]
    from mathutils import Matrix

    motion = Matrix.Identity(4)
    for i in range(3):
        motion[i][3] = shift[i]
        for j in range(3):
            motion[i][j] = rotation[i, j]
    jaw.matrix = motion @ jaw.bone.matrix_local
    bpy.context.view_layer.update()
    error = np.linalg.norm(places(wrapped) - opened, axis=1) / UNIT  # millimetres
    face = group(wrapped, "face")
    assert moved.max() / UNIT > 30 and error[face].mean() < 1.5 and np.quantile(error[face], 0.95) < 6


def test_eyes_turn_about_their_middles_and_the_body_stays(wrapped):
    rest = places(wrapped)
    bpy.ops.skullptor.add_armature()
    bones = wrapped.modifiers[0].object
    eye = bones.pose.bones["eye.L"]
    eye.rotation_mode = "XYZ"
    eye.rotation_euler = (0.3, 0, 0)
    bpy.context.view_layer.update()
    off = np.linalg.norm(places(wrapped) - rest, axis=1)
    left = group(wrapped, "eye_left")
    others = np.setdiff1d(np.arange(len(rest)), left)
    assert off[left].max() > 2 * UNIT and off[others].max() < 1e-5
    middle = armature.middle_of(places(wrapped)[left])
    assert np.linalg.norm(middle - armature.middle_of(rest[left])) < UNIT
    eye.rotation_euler = (0, 0, 0)
    head = bones.pose.bones["head"]
    head.rotation_mode = "XYZ"
    head.rotation_euler = (0.2, 0, 0)
    bpy.context.view_layer.update()
    off = np.linalg.norm(places(wrapped) - rest, axis=1)
    neck = group(wrapped, "neck")
    lowest = neck[np.argsort(rest[neck, 2])[:10]]
    assert off[lowest].max() < 0.1 * UNIT and off[left].min() > 10 * UNIT


def test_bones_are_put_on_once_and_one_undo_takes_them(wrapped):
    bpy.ops.skullptor.add_armature()
    names = [one.name for one in wrapped.vertex_groups]
    bpy.ops.skullptor.add_armature()
    assert [one.name for one in wrapped.vertex_groups] == names
    assert len([ob for ob in bpy.data.objects if ob.type == "ARMATURE"]) == len(bpy.data.armatures) == 1
    wrapped.vertex_groups.remove(wrapped.vertex_groups["eye_left"])
    with pytest.raises(RuntimeError, match="no vertices in the group 'eye_left'.*Wrap the template again"):
        bpy.ops.skullptor.add_armature()


@needs_bridge
@pytest.mark.parametrize("kind", ["glb", "fbx", "usdc"])
def test_other_peoples_libraries_find_bones_shapes_and_names(wrapped, tmp_path, kind):
    """ufbx, OpenUSD and pygltflib read what leaves Blender; USD's names know neither dot nor space."""
    bpy.ops.skullptor.add_armature()
    path = tmp_path / f"head.{kind}"
    template.export(wrapped, path)
    script = Path(__file__).parents[1] / "support" / "read_export.py"
    run = subprocess.run([BRIDGE, str(script), str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["uv_sets"] == 1
    assert [name.replace(".", "_") for name in found["bones"]] == ["eye_L", "eye_R", "head", "jaw", "neck_bone", "root"]
    assert [name.replace(" ", "_") for name in found["materials"]] == ["Head_Eye_Left", "Head_Eye_Right", "Head_Skin"]
    rest = places(wrapped)
    for name in SHAPES if kind != "fbx" else ():
        key = np.empty(3 * len(rest), np.float32)
        wrapped.data.shape_keys.key_blocks[name].data.foreach_get("co", key)
        largest = np.linalg.norm(key.reshape(-1, 3) - rest, axis=1).max() / np.ptp(rest, axis=0).max()
        assert found["shapes"][name] == pytest.approx(largest, rel=1e-3)
    assert list(found["shapes"]) == list(SHAPES)
    if kind != "glb":  # glTF knows triangles only
        assert found["vertices"] == len(rest)
        assert found["quads"] == sum(len(polygon.vertices) == 4 for polygon in wrapped.data.polygons) > 0


def test_relief_lies_on_the_dense_head(wrapped):
    """p95 from the head's vertices over the face to the template of two levels: 0.2 mm at most; without it more."""
    from mathutils.bvhtree import BVHTree
    from mathutils.kdtree import KDTree

    head = bpy.data.objects[wrapped[scene_template.OF]]

    def off() -> np.ndarray:  # of points of the head near the face, millimetres
        evaluated = wrapped.evaluated_get(bpy.context.evaluated_depsgraph_get())
        mesh = evaluated.to_mesh()
        tree = BVHTree.FromPolygons([tuple(v.co) for v in mesh.vertices], [tuple(p.vertices) for p in mesh.polygons])
        kept = set(np.intersect1d(group(wrapped, "face"), group(wrapped, "exposed")).tolist())
        rest = KDTree(len(wrapped.data.vertices))
        for vertex in wrapped.data.vertices:
            rest.insert(vertex.co, vertex.index)
        rest.balance()
        near = [v.co for v in list(head.data.vertices)[::7] if rest.find(v.co)[1] in kept]
        return np.array([tree.find_nearest(point)[3] for point in near]) / UNIT

    before = off()
    assert bpy.ops.skullptor.add_relief() == {"FINISHED"}
    after = off()
    assert wrapped.modifiers[relief.NAME].total_levels == 2
    assert np.quantile(before, 0.95) > 0.35 and np.quantile(after, 0.95) < 0.2
    rest = np.array([v.co for v in wrapped.data.vertices])
    assert len(wrapped.data.shape_keys.key_blocks) == 3 and np.isfinite(rest).all()
    wrapped.data.shape_keys.key_blocks["jawOpen"].value = 0.5
    with pytest.raises(RuntimeError, match="'jawOpen' is not at 0. Set all shapes to 0"):
        bpy.ops.skullptor.add_relief()


def test_the_buttons_need_a_template(wrapped):
    bpy.context.view_layer.objects.active = bpy.data.objects[wrapped[scene_template.OF]]
    assert not bpy.ops.skullptor.add_armature.poll() and not bpy.ops.skullptor.add_relief.poll()


def test_the_batch_lays_a_template_on_the_head_that_is_there(wrapped, tmp_path, monkeypatch):
    """Its settings go to the operator; bones and relief are put on; the files are written, other endings refused."""
    asked = {}

    def call(operator, **words):
        asked.update(words, operator=operator.idname())
        return session.Outcome(ok=True, text="a template", object_name=wrapped.name)

    monkeypatch.setattr(tasks, "call", call)
    target = tmp_path / "head.glb"
    given = ["--task", "wrap", "--template", "ict", "--rigid", "ears", "--armature", "--export", str(target)]
    parsed = options.parser().parse_args(given)
    options.check_usage(parsed)
    made, said, trouble = tasks.one(parsed, None, 4)
    assert (made, said, trouble) == (wrapped, "a template", "")
    assert asked == {
        "operator": "SKULLPTOR_OT_wrap_template", "template": "ict", "density": "1", "rigid": "ears"
    }  # fmt: skip
    assert target.is_file() and wrapped.modifiers[0].type == "ARMATURE"
    parsed.export = [tmp_path / "head.stl"]
    assert "no FBX" in tasks.one(parsed, None, 4)[2]
    for wrong in (["--rigid", "ears"], ["--task", "check", "--armature"], ["--task", "normals", "--export", "a.fbx"]):
        with pytest.raises(tasks.Trouble, match="belong"):
            options.check_usage(options.parser().parse_args(wrong))


def test_the_batch_makes_a_head_where_there_is_none(tmp_path, monkeypatch):
    asked = []
    bpy.ops.wm.read_factory_settings(use_empty=True)

    def call(operator, **words):
        asked.append(operator.idname())
        if "reconstruct" in asked[-1]:
            dense = {"vertices": np.eye(3), "faces": np.array([[0, 1, 2]], np.int32)}
            dense["confidence"] = np.ones(3, np.float32)
            scene_result.create(bpy.context.scene, bpy.context.view_layer, dense, "Head", {scene_result.MARK: "1"})
        return session.Outcome(ok=True, text="done", object_name="Head", result=str(tmp_path / "run.npz"))

    monkeypatch.setattr(tasks, "call", call)
    monkeypatch.setattr(tasks, "write_files", lambda *_: None)
    head, said, trouble = tasks.one(options.parser().parse_args(["--task", "wrap"]), None, 4)
    assert trouble == "" and said == "done; done" and head.name == "Head"
    assert asked == ["SKULLPTOR_OT_reconstruct_head", "SKULLPTOR_OT_wrap_template"]
