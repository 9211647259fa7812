"""A solved sequence in the scene: one object, the cache plays, shapes and head move, frame numbers are kept."""

from __future__ import annotations

import json
import os
import shutil
import struct

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender import batch
from skullptor_extension.skullptor_blender.link import session
from skullptor_extension.skullptor_blender.link.job import FINISHED
from skullptor_extension.skullptor_blender.operators import solve_performance
from skullptor_extension.skullptor_blender.scene import performance, performance_files
from skullptor_extension.skullptor_blender.ui import panels

from .test_template import WRAPPED

FIRST, FRAMES = 101, 3
SHIFT = [[0, 0, 0], [0, 0, 0.5], [0, 0, 1.0]]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "take"
    made.mkdir()
    np.savez(made / "template.npz", **WRAPPED)
    points = WRAPPED["vertices"].astype("<f4")
    samples = [points + [0, 0.1 * i, 0] for i in range(FRAMES)]
    header = struct.pack("<12siiffi", b"POINTCACHE2\0", 1, len(points), float(FIRST), 1.0, FRAMES)
    (made / "point_cache.pc2").write_bytes(header + b"".join(sample.astype("<f4").tobytes() for sample in samples))
    body = {
        "first": FIRST, "frames": FRAMES, "interpolated": [], "unit_mm": 1000.0,
        "shapes": {"jawOpen": [0, 0.5, 1.0], "eyeBlinkLeft": [0, 0, 0]},
        "head": {"centre": [1, 0, 0], "rotation": [[0, 0, 0], [0, 0, 0], [0, 0, np.pi / 2]], "shift": SHIFT},
    }  # fmt: skip
    (made / "curves.json").write_text(json.dumps(body))
    return made


def evaluated(ob, frame):
    bpy.context.scene.frame_set(frame)
    found = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = found.to_mesh()
    points = np.array([found.matrix_world @ v.co for v in mesh.vertices])
    found.to_mesh_clear()
    return points


def test_the_object_plays_every_frame_where_it_was_taken(folder):
    before = set(bpy.data.objects)
    assert bpy.ops.skullptor.import_performance(filepath=str(folder / "point_cache.pc2")) == {"FINISHED"}
    (ob,) = set(bpy.data.objects) - before
    assert [len(p.vertices) for p in ob.data.polygons] == [4, 3]
    points = WRAPPED["vertices"]
    np.testing.assert_allclose(evaluated(ob, FIRST), points, atol=1e-5)
    np.testing.assert_allclose(evaluated(ob, FIRST + 1), points + [0, 0.1, 0.5], atol=1e-5)
    local = points + [0, 0.2, 0] - [1, 0, 0]
    turned = np.stack([-local[:, 1], local[:, 0], local[:, 2]], 1) + [1, 0, 1]
    np.testing.assert_allclose(evaluated(ob, FIRST + 2), turned, atol=1e-5)
    assert bpy.context.scene.frame_end >= FIRST + 2


def test_without_the_cache_the_shapes_play(folder):
    bpy.ops.skullptor.import_performance(filepath=str(folder))
    ob = bpy.context.view_layer.objects.active
    ob.modifiers[0].show_viewport = False
    bpy.context.scene.frame_set(FIRST + 1)
    keys = ob.data.shape_keys.key_blocks
    assert keys["jawOpen"].value == pytest.approx(0.5) and keys["eyeBlinkLeft"].value == 0
    assert evaluated(ob, FIRST + 1)[0, 2] == pytest.approx(0.125 + 0.5)  # half of the shape, and the head's shift


def test_a_folder_that_is_no_sequence_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="python -m bridge sequence"):
        bpy.ops.skullptor.import_performance(filepath=str(tmp_path))


def played(ob, frames):
    return np.stack([evaluated(ob, frame) for frame in frames])


@pytest.mark.parametrize("kind", ["abc", "usdc"])
def test_what_is_exported_plays_the_same_when_it_comes_back(folder, tmp_path, kind):
    """Every vertex of every frame, with Blender's own importers; the scene's range is as it was."""
    bpy.ops.skullptor.import_performance(filepath=str(folder))
    ob = bpy.context.view_layer.objects.active
    frames = range(FIRST, FIRST + FRAMES)
    wanted = played(ob, frames)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 500
    path = tmp_path / f"take.{kind}"
    performance_files.export(bpy.context, ob, path, *performance.frames_of(ob))
    assert (scene.frame_start, scene.frame_end) == (1, 500)
    before = set(bpy.data.objects)
    if kind == "abc":
        bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False, set_frame_range=True)
        assert (scene.frame_start, scene.frame_end) == (FIRST, FIRST + FRAMES - 1)
    else:
        bpy.ops.wm.usd_import(filepath=str(path))
    (back,) = (found for found in set(bpy.data.objects) - before if found.type == "MESH")
    found = played(back, frames)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_fbx_keeps_the_shape_keys_and_their_curves(folder, tmp_path):
    bpy.ops.skullptor.import_performance(filepath=str(folder))
    ob = bpy.context.view_layer.objects.active
    names = [key.name for key in ob.data.shape_keys.key_blocks]
    ob.modifiers[0].show_viewport = False  # FBX knows no point caches: it plays what the shapes play
    wanted = played(ob, range(FIRST, FIRST + FRAMES))
    performance_files.export(bpy.context, ob, tmp_path / "take.fbx", *performance.frames_of(ob))
    before = set(bpy.data.objects)
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "take.fbx"), anim_offset=0.0)
    (back,) = (found for found in set(bpy.data.objects) - before if found.type == "MESH")
    assert [key.name for key in back.data.shape_keys.key_blocks] == names
    weights = []
    for frame in range(FIRST, FIRST + FRAMES):
        bpy.context.scene.frame_set(frame)
        weights.append(back.data.shape_keys.key_blocks["jawOpen"].value)
    np.testing.assert_allclose(weights, [0, 0.5, 1.0], atol=1e-4)
    np.testing.assert_allclose(played(back, range(FIRST, FIRST + FRAMES)), wanted, atol=1e-3)


def test_an_unknown_ending_is_said(folder, tmp_path):
    bpy.ops.skullptor.import_performance(filepath=str(folder))
    ob = bpy.context.view_layer.objects.active
    with pytest.raises(ValueError, match=".usdc"):
        performance_files.export(bpy.context, ob, tmp_path / "take.xyz", 1, 2)


class Engine:
    """In the engine's place: keeps what it was told, and leaves a solved sequence."""

    solved = None
    told = None

    def __init__(self, title, interpreter, root, arguments, log, *, stage, read, prepare):
        assert list(read)[-1] == 1
        prepare()
        type(self).told = [str(argument) for argument in arguments]
        shutil.copytree(self.solved, arguments[arguments.index("-o") + 1])
        self.title, self.stage, self.fraction, self.eta_s = title, stage, 1.0, None
        self.state, self.running, self.warnings, self.elapsed, self.cancelled_at = FINISHED, False, [], 1.0, None


@pytest.fixture
def engine(folder, tmp_path, monkeypatch):
    Engine.solved, Engine.told = folder, None
    monkeypatch.setattr(solve_performance, "BridgeCommand", Engine)
    monkeypatch.setattr(solve_performance.preferences, "interpreter", lambda *_: tmp_path)
    return Engine


def test_the_scenes_frames_become_captures_and_their_performance_one_object(moving, engine, tmp_path):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 4
    scene.frame_set(2)
    before = set(bpy.data.objects)
    made = tmp_path / "made"
    assert bpy.ops.skullptor.solve_performance(directory=str(made), template="ict", key_frame=2) == {"FINISHED"}
    assert scene.frame_current == 2
    assert engine.told[:2] == ["sequence", str(made / "captures")]
    asked = " ".join(engine.told)
    assert "--wrap ict" in asked and "--resume" in asked and "--frames 1-4" in asked and "--key 2" in asked
    bodies = [json.loads((made / "captures" / f"frame_000{n}" / "capture.json").read_text()) for n in (1, 2, 3, 4)]
    assert [len(body["views"]) for body in bodies] == [4, 4, 3, 4]  # a camera that has dropped a frame is left out
    centres = [-np.array(body["views"][0]["R"]).T @ body["views"][0]["t"] for body in bodies]
    np.testing.assert_allclose(centres[3] - centres[0], [0, 0, 0.2], atol=1e-5)
    assert 0 < centres[1][2] - centres[0][2] < 0.2
    (ob,) = set(bpy.data.objects) - before
    assert performance.frames_of(ob) == (FIRST, FIRST + FRAMES - 1)


def test_the_panel_shows_where_a_camera_has_a_sequence_and_its_button_takes_the_template(moving, capture, draw):
    assert panels.SKULLPTOR_PT_performance.poll(bpy.context)
    bpy.context.scene.skullptor_wrap.template = "own"
    bpy.context.scene.skullptor_wrap.file = "//mine.obj"
    log = draw(panels.SKULLPTOR_PT_performance)
    assert ("skullptor.solve_performance",) in [args[:1] for call, args, _ in log if call == "operator"]
    for ob in moving:
        ob.data.background_images[0].image.source = "FILE"
    assert not panels.SKULLPTOR_PT_performance.poll(bpy.context)


def test_frames_that_too_few_cameras_show_are_said(moving, engine, tmp_path):
    for ob in moving[:2]:
        (tmp_path / "plates" / f"{ob.name}_0004.png").unlink()
    assert bpy.ops.skullptor.solve_performance(directory=str(tmp_path / "made"), frame_start=1, frame_end=4) == {
        "FINISHED"
    }
    assert "--frames 1-3" in " ".join(engine.told)
    assert any("4" in warning and "Too few cameras" in warning for warning in session.outcome.warnings)


def test_a_scene_without_sequences_of_its_frames_is_one_sentence(engine, tmp_path):
    with pytest.raises(RuntimeError, match="No frame is seen by 3 cameras"):
        bpy.ops.skullptor.solve_performance(directory=str(tmp_path / "made"), frame_start=1, frame_end=2)


def test_a_long_take_is_read_a_frame_at_a_time_and_the_present_stays(moving, engine, tmp_path, monkeypatch):
    """1,000 frames of moving cameras: the window gets its turn after each, and the scene is as it was."""
    frames, now = 1000, 7
    for ob in moving:
        ob.data.background_images[0].image_user.frame_duration = frames
        for number in range(5, frames + 1):
            os.link(tmp_path / "plates" / f"{ob.name}_0004.png", tmp_path / "plates" / f"{ob.name}_{number:04d}.png")
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, frames
    scene.frame_set(now)
    shares = []

    class Reading(Engine):
        def __init__(self, *arguments, read, **keywords):
            for share in read:
                assert scene.frame_current == now
                shares.append(share)
            super().__init__(*arguments, read=iter([1]), **keywords)

    monkeypatch.setattr(solve_performance, "BridgeCommand", Reading)
    assert bpy.ops.skullptor.solve_performance(directory=str(tmp_path / "made")) == {"FINISHED"}
    assert len(shares) == frames and shares == sorted(shares) and shares[-1] == 1
    assert f"--frames 1-{frames}" in " ".join(Reading.told)
    assert len(list((tmp_path / "made" / "captures").glob("frame_*/capture.json"))) == frames


def test_the_batch_imports_and_exports(folder, tmp_path, capsys):
    target = tmp_path / "out" / "take.usdc"
    code = batch.run(["--task", "performance", "--solved", str(folder), "--export", str(target)])
    assert code == 0 and target.is_file()
    assert f"Done: frames {FIRST} to {FIRST + FRAMES - 1} are imported" in capsys.readouterr().out
    assert batch.run(["--task", "reconstruct", "--export", str(target)]) != 0
