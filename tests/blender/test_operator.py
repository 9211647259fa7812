"""The operator against the dummy bridge: result, attributes, undo, errors, and a scene left as it was."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import bpy
import mathutils
import numpy as np
import pytest
import skullptor_extension
from skullptor_extension.bridge.service import protocol
from skullptor_extension.skullptor_blender.link import (
    capture_draft,
    preview_reader,
    result_file,
    run_files,
    session,
    worker,
)
from skullptor_extension.skullptor_blender.operators import reconstruct as operators
from skullptor_extension.skullptor_blender.operators import report
from skullptor_extension.skullptor_blender.scene import conventions
from skullptor_extension.skullptor_blender.scene import result as scene_result

from .helpers import counts, look_at, photo, read_cameras


def reconstruct(**keywords):
    return bpy.ops.skullptor.reconstruct_head(**keywords)


def refused(**keywords) -> str:
    """The sentence of a run that fails."""
    with pytest.raises(RuntimeError) as caught:
        reconstruct(**keywords)
    assert not session.running()
    return str(caught.value)


def sphere_radii(ob):
    co = np.empty(3 * len(ob.data.vertices), np.float32)
    ob.data.vertices.foreach_get("co", co)
    return np.linalg.norm(co.reshape(-1, 3), axis=1)


def test_refined_cameras_are_told_and_the_scenes_stay(rig):
    before = [ob.matrix_world.copy() for ob in bpy.data.objects if ob.type == "CAMERA"]
    reconstruct(preset="draft")
    assert json.loads(bpy.data.objects["Head"]["skullptor_settings"])["refine_cameras"] is None  # where it is needed
    bpy.data.objects.remove(bpy.data.objects["Head"])
    reconstruct(preset="draft", refine_cameras=True)
    assert json.loads(bpy.data.objects["Head"]["skullptor_settings"])["refine_cameras"] is True
    assert session.outcome.text.endswith("3 cameras were off by 0.50 degrees.")
    assert [ob.matrix_world for ob in bpy.data.objects if ob.type == "CAMERA"] == before
    reconstruct(preset="draft", refine_cameras=False)
    assert "off by" not in session.outcome.text


def test_refined_cameras_are_applied_where_nobody_moved_them(rig):
    reconstruct(preset="draft", refine_cameras=False)
    assert not bpy.ops.skullptor.apply_refined_cameras.poll()
    bpy.data.objects.remove(bpy.data.objects["Head"])
    reconstruct(preset="draft", refine_cameras=True)
    with pytest.raises(RuntimeError, match="left the cameras"):  # nothing is kept
        bpy.ops.skullptor.apply_refined_cameras()
    head = bpy.data.objects["Head"]
    capture = Path(json.loads(head["skullptor_run"])["capture"])
    refined = shutil.copytree(capture, Path(head["skullptor_report"]).parent / "refined")
    body = json.loads((refined / "capture.json").read_text())
    turn = np.array(mathutils.Euler((0.01, -0.004, 0.006)).to_matrix())
    poses = {}
    for view in body["views"]:
        R, t = turn @ np.array(view["R"]), turn @ np.array(view["t"]) + [0.001, 0.002, -0.003]
        view["R"], view["t"] = R.tolist(), t.tolist()
        poses[view["name"]] = R, t
    (refined / "capture.json").write_text(json.dumps(body))
    names = sorted(poses)
    touched, others = bpy.data.objects[names[0]], names[1:]
    touched.location.x += 0.1
    bpy.context.view_layer.update()
    before = touched.matrix_world.copy()
    assert bpy.ops.skullptor.apply_refined_cameras() == {"FINISHED"}
    bpy.context.view_layer.update()
    assert touched.matrix_world == before
    found = {view.camera: view.record for view in read_cameras().usable}
    for name in others:
        np.testing.assert_allclose(found[name].R, poses[name][0], atol=1e-5)
        np.testing.assert_allclose(found[name].t, poses[name][1], atol=1e-5)
    with pytest.raises(RuntimeError, match="nothing was changed"):  # a second time
        bpy.ops.skullptor.apply_refined_cameras()


def test_a_head_arrives(rig, tmp_path):
    before = counts()
    assert reconstruct(preset="draft", seed=7) == {"FINISHED"}
    head = bpy.data.objects["Head"]
    assert head.matrix_world.is_identity
    assert [c.name for c in head.users_collection] == ["Skullptor"]
    assert "Skullptor" in bpy.context.scene.collection.children
    # the dummy's sphere has a radius of 0.1 units: in the scene's world and scale
    np.testing.assert_allclose(sphere_radii(head), 0.1, atol=1e-6)
    assert head.data.polygons[0].use_smooth
    assert all(p.use_smooth for p in head.data.polygons)
    # outward: normals point away from the middle
    assert all(p.normal.dot(p.center) > 0 for p in head.data.polygons)
    types = {a.name: (a.data_type, a.domain) for a in head.data.attributes}
    assert types["view_count"] == ("INT", "POINT")
    assert types["confidence"] == ("FLOAT", "POINT")
    assert types["normal_error"] == ("FLOAT", "POINT")
    assert head.data.attributes["view_count"].data[0].value == 3
    assert head.data.attributes["confidence"].data[5].value == 0.5
    settings = json.loads(head["skullptor_settings"])
    assert (settings["preset"], settings["seed"], settings["steps"]) == ("draft", 7, None)
    assert head["skullptor_version"] == protocol.VERSION
    assert Path(head["skullptor_report"]).is_file()
    assert json.loads(head["skullptor_run"])["capture"].startswith(str(tmp_path))
    after = counts()
    assert {key: after[key] - before[key] for key in before if after[key] != before[key]} == {
        "objects": 1,
        "meshes": 1,
        "collections": 1,
    }
    assert not head.data.validate(verbose=True)


def test_selection_active_and_cameras_are_left_alone(rig):
    rig[2].select_set(True)
    bpy.context.view_layer.objects.active = rig[2]
    matrices = [ob.matrix_world.copy() for ob in rig]
    reconstruct()
    assert bpy.context.view_layer.objects.active == rig[2]
    assert [o.name for o in bpy.context.selected_objects] == ["cam02"]
    assert [ob.matrix_world for ob in rig] == matrices


def test_the_previous_head_is_hidden_not_deleted(rig):
    reconstruct()
    first = bpy.data.objects["Head"]
    reconstruct()
    heads = [ob for ob in bpy.data.objects if scene_result.MARK in ob]
    assert len(heads) == 2
    second = next(ob for ob in heads if ob != first)
    assert first.hide_get()
    assert first.hide_render
    assert second.visible_get()
    assert len([c for c in bpy.data.collections if c.get(scene_result.MARK)]) == 1


def test_one_undo_step(rig):
    bpy.ops.ed.undo_push(message="before")
    before = counts()
    assert bpy.ops.skullptor.reconstruct_head("EXEC_DEFAULT", True) == {"FINISHED"}
    assert "Head" in bpy.data.objects
    bpy.ops.ed.undo()
    assert "Head" not in bpy.data.objects
    assert counts() == before
    assert len(bpy.data.cameras) == 4
    bpy.ops.ed.redo()
    assert "Head" in bpy.data.objects
    assert bpy.data.objects["Head"].data.attributes["view_count"].data[0].value == 3


def sent_settings(monkeypatch, **keywords) -> protocol.JobSettings:
    """What a call asks the bridge for."""
    reconstruct(**keywords)
    head = max((ob for ob in bpy.data.objects if scene_result.MARK in ob), key=lambda ob: ob.name)
    return protocol.JobSettings(**json.loads(head["skullptor_settings"]))


def test_keywords_win_over_the_scene_and_do_not_stick(rig, monkeypatch):
    settings = bpy.context.scene.skullptor
    settings.preset = "fine"
    settings.steps = 33  # not ticked: the preset's
    settings.use_smoothness, settings.smoothness = True, 0.25
    first = sent_settings(monkeypatch)
    assert (first.preset, first.steps, first.max_vertices) == ("fine", None, None)
    assert first.smoothness == pytest.approx(0.25)
    second = sent_settings(monkeypatch, preset="draft", steps=5, max_vertices=700, device="cpu")
    assert (second.preset, second.steps, second.max_vertices, second.device) == ("draft", 5, 700, "cpu")
    third = sent_settings(monkeypatch)
    assert (third.preset, third.steps, third.device) == ("fine", None, "auto")
    keywords = bpy.ops.skullptor.reconstruct_head.get_rna_type().properties
    assert all(p.is_skip_save for p in keywords if p.identifier != "rna_type")


def test_a_warning_reaches_the_panel(rig):
    reconstruct()
    assert session.outcome.warnings == ["This head is a sphere: the dummy made it."]


def test_a_camera_that_looks_away_is_left_out_with_a_warning(rig, tmp_path):
    rig[3].matrix_world = mathutils.Matrix(conventions.matrix_from_pose(*look_at((2, 0, 0), (5, 1, 0))).tolist())
    bpy.context.view_layer.update()
    reconstruct()
    assert any("cam03" in warning for warning in session.outcome.warnings)
    capture = Path(json.loads(bpy.data.objects["Head"]["skullptor_run"])["capture"])
    names = [view["name"] for view in json.loads((capture / "capture.json").read_text())["views"]]
    assert names == ["cam00", "cam01", "cam02"]


# --- errors: one sentence, the culprit, a cure; the scene as it was; nobody left ---


def test_no_camera(rig, unchanged):
    for ob in rig:
        ob.hide_render = True
    unchanged()
    said = refused()
    assert "No camera can be used" in said
    assert "needs one at least" in said
    assert session.outcome.code == "too-few-views"


def test_a_missing_image(rig, capture, unchanged):
    (capture / "images" / "cam02.png").unlink()
    unchanged()
    said = refused()
    assert "cam02" in said
    assert "missing" in said
    assert session.outcome.code == "image-missing"


def test_a_truncated_image(rig, capture, unchanged):
    file = capture / "images" / "cam01.png"
    file.write_bytes(file.read_bytes()[:-20])
    unchanged()
    said = refused()
    assert "cam01" in said
    assert "cut off" in said


def test_a_file_that_is_no_image(rig, capture, unchanged):
    for ob in rig[:1]:
        file = capture / "images" / "cam00.tif"
        file.write_text("not a picture")
        ob.data.background_images[0].image.filepath = str(file)
    unchanged()
    assert "cam00" in refused()
    assert session.outcome.code == "image-unreadable"


def test_an_image_of_another_size(rig, capture, unchanged):
    photo(capture / "images" / "cam01.png", 100, 40)
    unchanged()
    said = refused()
    assert "cam01" in said
    assert "100 x 40" in said
    assert session.outcome.code == "image-size"


def test_cameras_that_look_away_from_each_other(rig, unchanged):
    for ob in rig:
        ob.matrix_world = ob.matrix_world @ mathutils.Matrix.Rotation(3.14159, 4, "Y")
    bpy.context.view_layer.update()
    unchanged()
    assert "away from each other" in refused()
    assert session.outcome.code == "cameras-apart"


def test_no_bridge(rig, monkeypatch, unchanged, tmp_path):
    unchanged()
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    said = refused()
    assert "nowhere" in said
    assert "Press Set Up" in said
    monkeypatch.setenv(worker.PYTHON_VARIABLE, sys.executable)
    assert "no such file" in refused(bridge_python=str(tmp_path / "python"))
    assert session.outcome.code == "no-bridge"


@pytest.mark.parametrize(
    ("how", "code"),
    [("--die", "bridge-died"), ("--fail", "dummy"), ("--garbage", "garbage"), ("--protocol 9", "no-bridge")],
)
def test_a_bridge_that_breaks(rig, monkeypatch, unchanged, how, code, tmp_path):
    monkeypatch.setenv(worker.COMMAND_VARIABLE, f"dummy --seconds 0.1 {how}")
    unchanged()
    refused()
    assert session.outcome.code == code
    assert session.outcome.text
    # no files of a run that gave nothing
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == []
    # and the next run works
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 0.1")


def test_a_failed_run_leaves_its_notes_and_copy_report_puts_them_on_the_clipboard(rig, monkeypatch, tmp_path):
    """The engine got as far as to write its notes: they stay, the copy of the photographs does not."""
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 0.1 --fail")
    write = capture_draft.CaptureDraft.write

    def with_notes(draft, folder):
        output = folder.parent / "output"
        output.mkdir(parents=True)
        (output / "run.json").write_text("{}")
        (output / "run.log").write_text("0.10 s  Carving the head\n")
        return write(draft, folder)

    monkeypatch.setattr(capture_draft.CaptureDraft, "write", with_notes)
    said = refused()
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert [path.name for path in run.iterdir()] == ["output"]
    text = report.report()
    assert f"Blender {bpy.app.version_string}" in text and session.outcome.text in said and session.outcome.text in text
    assert "[dummy]" in text and "Carving the head" in text
    assert bpy.ops.skullptor.copy_report() == {"FINISHED"}
    session.reset()
    assert not bpy.ops.skullptor.copy_report.poll()


def test_a_damaged_result(rig, monkeypatch, unchanged):
    def damaged(path):
        raise ValueError("its mesh is damaged")

    monkeypatch.setattr(result_file, "load", damaged)
    unchanged()
    assert "cannot be read" in refused()


def test_a_folder_for_runs_that_cannot_be_written(rig, monkeypatch, tmp_path, unchanged):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKULLPTOR_RUNS", str(tmp_path / "file" / "runs"))
    unchanged()
    said = refused()
    assert "cannot be written" in said
    assert session.outcome.code == "output"


def test_a_full_disk(rig, monkeypatch, tmp_path, unchanged):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(capture_draft, "place", full)
    unchanged()
    said = refused()
    assert "No space left" in said
    assert session.outcome.code == "output"
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == []


def test_measured_normals_that_are_not_there(rig, unchanged):
    unchanged()
    assert "no normal map" in refused(normals="measured")


def test_loading_another_file_ends_the_bridge(rig):
    reconstruct()
    (bridge,) = worker._warm
    assert bridge.running
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert not bridge.running
    assert not worker._warm
    assert session.outcome is None


class Event:
    def __init__(self, kind, value="NOTHING"):
        self.type, self.value = kind, value


class Modal:
    """The operator's own functions, driven as the window would (there is none here)."""

    def __init__(self, **keywords):
        cls = operators.SKULLPTOR_OT_reconstruct_head
        self.reports = []
        names = "begin start end complete rescue clean_up fail close modal follow_up cancel execute"
        for name in names.split():
            setattr(self, name, getattr(cls, name).__get__(self))
        self.job = self.timer = None
        self.shown, self.done_text = "", cls.done_text
        self.bridge_python = self.stored = ""
        self.put_away, self.reader = (), None
        self.properties = type("P", (), {"is_property_set": lambda self, name: False})()

    def report(self, kind, text):
        self.reports.append((kind, text))

    def until_done(self, seconds=20, each=lambda: None):
        import time

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.modal(bpy.context, Event("TIMER"))
            if result != {"PASS_THROUGH"}:
                return result
            each()
            time.sleep(0.01)
        raise AssertionError("it does not end")


def test_the_modal_run_gives_the_same_head(rig):
    modal = Modal()
    assert modal.begin(bpy.context)
    assert modal.modal(bpy.context, Event("MOUSEMOVE")) == {"PASS_THROUGH"}
    assert not bpy.ops.skullptor.reconstruct_head.poll()
    assert modal.until_done() == {"FINISHED"}
    assert "Head" in bpy.data.objects
    assert bpy.ops.skullptor.reconstruct_head.poll()


def test_earlier_heads_make_room_for_the_growing_one_and_come_back(rig, monkeypatch):
    reconstruct()
    first = bpy.data.objects["Head"]
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 20")
    modal = Modal()
    modal.begin(bpy.context)
    modal.reader.take = lambda: preview_reader.Shaded(*[None] * 3)
    assert modal.modal(bpy.context, Event("TIMER")) == {"PASS_THROUGH"}
    assert first.hide_get()
    bpy.ops.skullptor.cancel()
    assert modal.until_done() == {"CANCELLED"}
    assert first.visible_get()


def test_escape_and_the_buttons(rig, monkeypatch, unchanged):
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 20")
    unchanged()
    assert not bpy.ops.skullptor.cancel.poll()
    for stop in (lambda m: m.modal(bpy.context, Event("ESC", "PRESS")), lambda m: bpy.ops.skullptor.cancel()):
        modal = Modal()
        modal.begin(bpy.context)
        stop(modal)
        assert modal.until_done() == {"CANCELLED"}
        assert session.outcome.text == "Cancelled"


def test_finish_now(rig, monkeypatch):
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 20")
    modal = Modal()
    modal.begin(bpy.context)

    def press():
        if session.job and session.job.fraction > 0 and not session.job.finishing:
            bpy.ops.skullptor.finish_now()

    assert modal.until_done(each=press) == {"FINISHED"}
    assert "Head" in bpy.data.objects


def test_another_file_in_mid_run(rig, monkeypatch):
    """Blender cancels modal operators and calls load_pre: the child is gone, the runs folder is clean."""
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 20")
    modal = Modal()
    modal.begin(bpy.context)
    bridge = modal.job.worker
    bpy.ops.wm.read_factory_settings(use_empty=True)
    modal.cancel(bpy.context)
    assert not bridge.running
    assert not session.running()
    assert not modal.job.output.parent.exists()


def test_cameras_deleted_in_mid_run(rig):
    modal = Modal()
    modal.begin(bpy.context)
    for ob in rig:
        bpy.data.objects.remove(ob)
    assert modal.until_done() == {"FINISHED"}


def test_the_scene_deleted_in_mid_run(rig):
    other = bpy.data.scenes.new("other")
    modal = Modal()
    modal.begin(bpy.context)
    doomed = bpy.context.scene
    bpy.context.window.scene = other
    bpy.data.scenes.remove(doomed)
    assert modal.until_done() == {"FINISHED"}
    assert "Head" in other.objects


def test_check_cameras_and_import(capture, tmp_path):
    assert bpy.ops.skullptor.import_capture(filepath=str(capture / "capture.json")) == {"FINISHED"}
    assert len(bpy.data.cameras) == 4
    assert bpy.ops.skullptor.check_cameras() == {"FINISHED"}
    assert session.findings == []
    with pytest.raises(RuntimeError, match="There is no file"):
        bpy.ops.skullptor.import_capture(filepath=str(tmp_path / "no"))
    shutil.rmtree(capture / "images")
    before = counts()
    with pytest.raises(RuntimeError, match="cam00.*missing"):
        bpy.ops.skullptor.import_capture(filepath=str(capture))
    assert counts() == before


def test_old_runs_go(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "KEEP", 2)
    (tmp_path / "mine").mkdir()
    made = []
    for second in range(4):
        monkeypatch.setattr(run_files.time, "strftime", lambda _, s=second: f"20260101-00000{s}")
        made.append(run_files.new_run(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["mine", made[2].name, made[3].name])


def test_register_twice():
    for _ in range(2):
        skullptor_extension.unregister()
        assert not hasattr(bpy.types.Scene, "skullptor")
        assert not hasattr(bpy.types, "SKULLPTOR_PT_reconstruct")
        skullptor_extension.register()
    assert bpy.context.scene.skullptor.preset == "standard"
