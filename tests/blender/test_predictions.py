"""Preview Normals on its own, masks of each view, pictures, and what the panel says of them."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import session, worker
from skullptor_extension.skullptor_blender.operators import predictions
from skullptor_extension.skullptor_blender.ui import disk_cache, panels, pictures

from tests.support import ROOT

from .helpers import BRIDGE, counts, needs_bridge, photo, read_cameras, texts


@pytest.fixture(autouse=True)
def no_memory():
    disk_cache.forget()


def test_predict_normals_gives_every_camera_its_pictures(rig, draw):
    before = counts()
    assert bpy.ops.skullptor.predict_normals() == {"FINISHED"}
    assert "Head" not in bpy.data.objects
    assert counts()["images"] - before["images"] == 2 * len(rig) + 1
    for ob in rig:
        ours = ob.data.skullptor
        assert ours.predicted_normals.name == f"{ob.name} normals"
        assert tuple(ours.predicted_normals.size) == (8, 6)
        assert Path(ours.predicted_mask.filepath).is_file()
    assert bpy.context.scene.skullptor.contact_sheet.name == predictions.CONTACT
    assert session.outcome.ok
    assert "4 cameras" in session.outcome.text
    log = draw(panels.SKULLPTOR_PT_look)
    assert sum(call == "template_icon" for call, _, _ in log) == 4
    assert "Show Contact Sheet" in texts(log)


def test_predicting_again_makes_no_second_set(rig):
    bpy.ops.skullptor.predict_normals()
    before = counts()
    first = rig[0].data.skullptor.predicted_normals.filepath
    bpy.ops.skullptor.predict_normals()
    assert counts() == before
    assert rig[0].data.skullptor.predicted_normals.filepath != first


def test_predict_normals_is_one_undo_step(rig):
    bpy.ops.ed.undo_push(message="before")
    before = counts()
    bpy.ops.skullptor.predict_normals("EXEC_DEFAULT", True)
    assert bpy.data.objects["cam00"].data.skullptor.predicted_mask
    bpy.ops.ed.undo()
    assert counts() == before
    assert bpy.data.objects["cam00"].data.skullptor.predicted_mask is None


def test_a_failed_prediction_leaves_nothing(rig, monkeypatch, unchanged, tmp_path):
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --fail")
    unchanged()
    with pytest.raises(RuntimeError, match="told to fail"):
        bpy.ops.skullptor.predict_normals()
    assert not [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]


def test_a_camera_that_is_gone_by_then_is_passed_over(rig, monkeypatch):
    complete = predictions.SKULLPTOR_OT_predict_normals.complete

    def meanwhile(self, context):
        bpy.data.objects.remove(bpy.data.objects["cam02"])
        return complete(self, context)

    monkeypatch.setattr(predictions.SKULLPTOR_OT_predict_normals, "complete", meanwhile)
    bpy.ops.skullptor.predict_normals()
    assert "3 cameras" in session.outcome.text


def test_masks_are_shown_and_edited_per_camera(rig, draw):
    assert not bpy.ops.skullptor.show_masks.poll()
    with pytest.raises(RuntimeError, match="no predicted mask"):
        bpy.ops.skullptor.edit_mask(camera="cam01")
    bpy.ops.skullptor.predict_normals()
    bpy.ops.skullptor.show_masks()
    assert bpy.context.scene.skullptor.look == "masks"
    bpy.ops.skullptor.edit_mask(camera="cam01")
    own = rig[1].data.skullptor.mask
    assert tuple(own.size) == (64, 48)  # of the photograph, not of the map
    assert own.packed_file is not None
    assert own != rig[1].data.skullptor.predicted_mask
    drawn = [args[1] for call, args, _ in draw(panels.SKULLPTOR_PT_look) if call == "prop"]
    assert drawn.count("mask") == 4
    # another prediction leaves the artist's mask alone
    bpy.ops.skullptor.predict_normals()
    assert rig[1].data.skullptor.mask == own


def stored_masks() -> dict[str, bytes | None]:
    """The masks of the last run's capture by camera."""
    capture = Path(json.loads(bpy.data.objects["Head"]["skullptor_run"])["capture"])
    views = json.loads((capture / "capture.json").read_text())["views"]
    return {view["name"]: view["mask"] and (capture / view["mask"]).read_bytes() for view in views}


def test_a_cameras_own_mask_wins_over_the_folders(rig, tmp_path):
    folder = tmp_path / "masks"
    for ob in rig[:3]:
        photo(folder / f"{ob.name}.png", 64, 48, 10)
    bpy.context.scene.skullptor.mask_folder = str(folder)
    own = photo(tmp_path / "mine.png", 64, 48, 200)
    rig[1].data.skullptor.mask = bpy.data.images.load(str(own))
    painted = bpy.data.images.new("painted", 64, 48)
    painted.pixels.foreach_set(np.ones(64 * 48 * 4, np.float32))
    rig[2].data.skullptor.mask = painted
    bpy.ops.skullptor.reconstruct_head()
    stored = stored_masks()
    assert stored["cam00"] == (folder / "cam00.png").read_bytes()
    assert stored["cam01"] == own.read_bytes()
    assert stored["cam02"].startswith(b"\x89PNG")
    assert stored["cam02"] != (folder / "cam02.png").read_bytes()
    assert stored["cam03"] is None


def test_a_lost_own_mask_is_named(rig, tmp_path):
    own = photo(tmp_path / "mine.png", 64, 48)
    rig[1].data.skullptor.mask = bpy.data.images.load(str(own))
    own.unlink()
    found = read_cameras().errors
    assert [(f.code, f.view) for f in found] == [("mask-missing", "cam01")]


def test_a_click_selects_the_camera(rig):
    rig[0].select_set(True)
    bpy.ops.skullptor.select_camera(camera="cam02", look_through=True)
    assert bpy.context.view_layer.objects.active.name == "cam02"
    assert [ob.name for ob in bpy.context.selected_objects] == ["cam02"]
    assert bpy.context.scene.camera.name == "cam02"
    with pytest.raises(RuntimeError, match="no camera 'cam09'"):
        bpy.ops.skullptor.select_camera(camera="cam09")


def test_pictures_are_image_datablocks(rig, monkeypatch):
    with pytest.raises(RuntimeError, match="no contact sheet"):
        bpy.ops.skullptor.show_picture(kind="contact")
    with pytest.raises(RuntimeError, match="no such picture"):
        bpy.ops.skullptor.show_picture(kind="report")
    bpy.ops.skullptor.predict_normals()
    assert bpy.ops.skullptor.show_picture(kind="contact") == {"FINISHED"}
    assert bpy.ops.skullptor.show_picture(camera="cam01") == {"FINISHED"}
    bpy.ops.skullptor.reconstruct_head()
    head = bpy.data.objects["Head"]
    run = json.loads(head["skullptor_run"])
    picture = photo(Path(run["capture"]).parent / "report.png", 32, 16)
    head["skullptor_run"] = json.dumps(run | {"picture": str(picture)})
    for _ in range(2):
        bpy.ops.skullptor.show_picture(kind="report")
    assert [image.name for image in bpy.data.images if image.get(pictures.KIND) == predictions.REPORT] == [
        predictions.REPORT
    ]


def test_the_table_of_views_has_the_worst_first(rig, draw):
    bpy.ops.skullptor.reconstruct_head()
    assert panels.SKULLPTOR_PT_views.poll(bpy.context)
    said = texts(draw(panels.SKULLPTOR_PT_views))
    assert said[:5] == ["Camera", "Error", "Edge", "Seen", "Sure"]
    assert said[5:10] == ["cam03", "8.0°", "95.0%", "98%", "50%"]
    head = bpy.data.objects["Head"]
    Path(head["skullptor_report"]).unlink()
    disk_cache.forget()
    assert not panels.SKULLPTOR_PT_views.poll(bpy.context)


@pytest.mark.slow
@needs_bridge
def test_the_real_bridge_predicts_and_checks(monkeypatch, tmp_path):
    """The demo's ten photographs: normals and masks of all; nothing is wrong, then a turned camera is."""
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "serve")
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(BRIDGE))
    bpy.ops.skullptor.import_capture(filepath=str(ROOT / "demo" / "capture"))
    cameras = [ob for ob in bpy.data.objects if ob.type == "CAMERA"]
    bpy.ops.skullptor.predict_normals()
    for ob in cameras:
        ours = ob.data.skullptor
        assert max(ours.predicted_normals.size) == 512
        values = np.empty(ours.predicted_mask.size[0] * ours.predicted_mask.size[1] * 4, np.float32)
        ours.predicted_mask.pixels.foreach_get(values)
        assert 0.05 < (values[::4] > 0.5).mean() < 0.9
    bpy.ops.skullptor.check_cameras()
    assert [f for f in session.findings if f.severity == "ERROR"] == []
    assert Path(session.check_picture).is_file()
    cameras[3].rotation_euler.rotate_axis("Y", 0.17)
    bpy.context.view_layer.update()
    bpy.ops.skullptor.check_cameras()
    assert {f.view for f in session.findings if f.severity == "ERROR"} == {cameras[3].name}
