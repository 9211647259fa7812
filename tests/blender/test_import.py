"""Cameras from other programs' files through the bridge's own Python: in place, upright, to scale, one undo step."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from skullptor_extension.skullptor_blender.link import command, session, worker
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras
from skullptor_extension.skullptor_blender.scene import capture as scene_capture

from tests.support import ROOT, shared

from .helpers import BRIDGE, counts, needs_bridge, photo, project, read_cameras, write_capture

POINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (200, 3))


def bridge(*arguments) -> None:
    done = subprocess.run([BRIDGE, "-m", "bridge", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def real_bridge(monkeypatch):
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(BRIDGE))


def import_capture(path, **keywords):
    return bpy.ops.skullptor.import_capture(filepath=str(path), **keywords)


def worlds_of(cameras) -> list[np.ndarray]:
    return [np.array(ob.matrix_world) for ob in cameras]


# --- our own captures: no bridge, at once ---


def test_a_capture_stands_upright_and_its_empty_leads_back(capture):
    body = json.loads((capture / "capture.json").read_text())
    quarter = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # a y-up world, in units of 14 cm
    for view in body["views"]:
        view["R"] = (np.array(view["R"]) @ quarter.T).tolist()
    body["unit_mm"] = 140.0
    (capture / "capture.json").write_text(json.dumps(body))
    assert import_capture(capture) == {"FINISHED"}
    rig = bpy.data.objects["Rig"]
    assert rig[scene_cameras.SOURCE_KEY] == str(capture)
    cameras = [ob for ob in bpy.data.objects if ob.type == "CAMERA"]
    assert all(ob.parent == rig for ob in cameras)
    assert {c.name for ob in cameras for c in ob.users_collection} == {"rig"}
    np.testing.assert_allclose(rig.scale, 0.14, rtol=1e-6)
    # z is up again: the rig's own y
    assert (rig.matrix_world.to_3x3() @ Matrix.Identity(3).col[1]).normalized().z == pytest.approx(1, abs=1e-6)
    assert bpy.context.scene.unit_settings.scale_length == 1.0
    # what a run would read is the capture, moved by the empty
    to_scene = np.array(rig.matrix_world)
    for view, expected in zip(read_cameras().usable, body["views"], strict=True):
        world = POINTS @ to_scene[:3, :3].T + to_scene[:3, 3]
        there = (POINTS @ np.array(expected["R"]).T + expected["t"]) @ np.array(expected["K"]).T
        np.testing.assert_allclose(project(view.record, world), there[:, :2] / there[:, 2:], atol=2e-3)


def test_scenes_in_centimetres_get_centimetres(capture):
    bpy.context.scene.unit_settings.scale_length = 0.01
    import_capture(capture)
    np.testing.assert_allclose(bpy.data.objects["Rig"].scale, 100.0, rtol=1e-6)
    assert scene_capture.write(capture / "out", read_cameras().usable, bpy.context.scene)
    assert json.loads((capture / "out" / "capture.json").read_text())["unit_mm"] == pytest.approx(10.0)


def test_the_calibrations_own_world_on_request(capture):
    import_capture(capture, turn_upright=False)
    assert "Rig" not in bpy.data.objects
    assert len(bpy.data.cameras) == 4


def test_the_front_may_be_named(capture, unchanged):
    import_capture(capture, front="cam01")
    place = bpy.data.objects["cam01"].matrix_world.translation - bpy.data.objects["cam03"].matrix_world.translation
    assert place.y < -3.9 and abs(place.x) < 0.05  # opposite cameras of a ring
    unchanged()
    with pytest.raises(RuntimeError, match="cam17"):
        import_capture(capture, front="cam17")


def test_one_undo_step(capture):
    bpy.ops.ed.undo_push(message="before")
    before = counts()
    bpy.ops.skullptor.import_capture("EXEC_DEFAULT", True, filepath=str(capture))
    assert len(bpy.data.cameras) == 4
    bpy.ops.ed.undo()
    assert counts() == before
    bpy.ops.ed.redo()
    assert len(bpy.data.cameras) == 4


def test_masks_follow_cameras_that_blender_renames(capture):
    body = json.loads((capture / "capture.json").read_text())
    for view in body["views"]:
        view["mask"] = f"masks/{view['name']}.png"
        photo(capture / view["mask"], 64, 48, 255)
    (capture / "capture.json").write_text(json.dumps(body))
    import_capture(capture)
    import_capture(capture)  # cam00.001 and so on
    views = read_cameras().views
    assert [view.camera for view in views] == [f"cam{i:02d}.001" for i in range(4)]
    assert [view.mask.path.stem for view in views] == [f"cam{i:02d}" for i in range(4)]


# --- other programs: the bridge reads ---


def real_rig(folder: Path) -> Path:
    """Large, unequal photographs; pixels that are almost square; off-centre principal points."""
    write_capture(folder, views=6, size=(64, 48))
    body = json.loads((folder / "capture.json").read_text())
    sizes = [(2048, 1536)] * 4 + [(1536, 2048), (2000, 1500)]
    for i, (view, (width, height)) in enumerate(zip(body["views"], sizes)):
        photo(folder / view["image"], width, height)
        view["width"], view["height"] = width, height
        f = 4200.0 + 37 * i
        view["K"] = [[f, 0, width / 2 + 31.7 - 9 * i], [0, f * (1 + 2e-4 * i), height / 2 - 22.3 + 7 * i], [0, 0, 1]]
    (folder / "capture.json").write_text(json.dumps(body))
    return folder


def moving_scene() -> None:
    """The cameras as an artist may have them: under a turned and scaled parent, one tracked by a constraint."""
    empty = bpy.data.objects.new("Stage", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.location, empty.rotation_euler, empty.scale = (0.4, -1.3, 0.9), (0.3, -0.2, 1.1), (1.7, 1.7, 1.7)
    for ob in bpy.data.objects:
        if ob.type == "CAMERA":
            ob.parent = empty
    bpy.context.view_layer.update()


@needs_bridge
@pytest.mark.parametrize("upright", [False, True])
def test_blender_to_colmap_and_back_within_two_thousandths_of_a_pixel(tmp_path, real_bridge, upright):
    """Blender -> capture -> COLMAP -> capture -> Blender, seen at points of the head."""
    scene_cameras.build(bpy.context, real_rig(tmp_path / "in"))
    moving_scene()
    before = read_cameras().usable
    capture = scene_capture.write(tmp_path / "out", before, bpy.context.scene)
    bridge("export-cameras", "colmap", capture, "-o", tmp_path / "model")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert import_capture(
        tmp_path / "model" / "cameras.txt",
        images=str(capture / "images"),
        turn_upright=upright,
        capture_folder=str(tmp_path / "kept"),
        unit_mm=1000.0,
    ) == {"FINISHED"}
    after = read_cameras().usable
    assert [view.camera for view in after] == [view.camera for view in before]
    rig = bpy.data.objects.get("Rig")
    to_scene = np.array(rig.matrix_world, np.float64) if rig else np.eye(4)
    stage = np.array([0.4, -1.3, 0.9])  # where the head is after moving_scene
    points = stage + POINTS
    moved = points @ to_scene[:3, :3].T + to_scene[:3, 3]
    worst = max(
        np.abs(project(a.record, points) - project(b.record, moved)).max() for a, b in zip(before, after, strict=True)
    )
    print(f"round trip, upright {upright}: {worst:.6f} px")
    assert worst < 0.002
    assert (tmp_path / "kept" / "model" / "capture.json").is_file()
    assert not list((tmp_path / "kept").glob(".import-*"))
    image = bpy.data.objects["cam00"].data.background_images[0].image
    assert Path(image.filepath).is_relative_to(tmp_path / "kept")


@needs_bridge
def test_distorted_photographs_are_undistorted_before_they_are_shown(tmp_path, capture, real_bridge):
    body = json.loads((capture / "capture.json").read_text())
    body["views"][1]["distortion"] = {"model": "opencv", "k1": -0.1}
    (capture / "capture.json").write_text(json.dumps(body))
    assert import_capture(capture, capture_folder=str(tmp_path / "kept")) == {"FINISHED"}
    (kept,) = (tmp_path / "kept").iterdir()
    stored = json.loads((kept / "capture.json").read_text())["views"]
    assert all(not view["distortion"] for view in stored)
    distorted, undistorted = ((folder / "images" / "cam01.png").read_bytes() for folder in (capture, kept))
    assert distorted != undistorted
    image = bpy.data.objects["cam01"].data.background_images[0].image
    assert Path(image.filepath) == kept / "images" / "cam01.png"


@needs_bridge
def test_a_damaged_file_is_one_sentence_and_leaves_nothing(tmp_path, real_bridge, unchanged):
    unchanged()
    (tmp_path / "cameras.xml").write_text("<document><chunk>")
    with pytest.raises(RuntimeError, match="cameras.xml") as caught:
        import_capture(tmp_path / "cameras.xml", capture_folder=str(tmp_path / "kept"))
    assert "Traceback" not in str(caught.value)
    assert session.outcome.ok is False
    assert list((tmp_path / "kept").iterdir()) == []


def test_an_unknown_file_and_a_missing_bridge(tmp_path, monkeypatch, unchanged):
    unchanged()
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RuntimeError, match=r"notes.txt.*Format"):
        import_capture(tmp_path / "notes.txt")
    (tmp_path / "cameras.xml").write_text("<document/>")
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="nowhere"):
        import_capture(tmp_path / "cameras.xml", capture_folder=str(tmp_path / "kept"))
    assert not list(tmp_path.glob("kept/*"))


CALIBRATE = """
import json, pathlib, shutil, sys
photos, out = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
print(*sys.argv, "")
print(" 50%  Matching photographs  about 3 s left", flush=True)
if "fail" in photos.name:
    sys.exit("Error: Only 2 of 9 photographs match. Take more between them.")
shutil.copytree(photos.parent / "rig", out)
print("Note: cam09.jpg is blurred and was left out.", file=sys.stderr)
"""


def test_photos_to_cameras(tmp_path, capture, monkeypatch, unchanged):
    (tmp_path / "fake.py").write_text(CALIBRATE)
    monkeypatch.setattr(command, "ENTRY", ("-u", str(tmp_path / "fake.py")))
    for name in ("photos", "fail"):
        photo(tmp_path / name / "a.jpg", 8, 8)
    kept = tmp_path / "kept"
    photos_to_cameras = bpy.ops.skullptor.photos_to_cameras
    made = photos_to_cameras(directory=str(tmp_path / "photos"), capture_folder=str(kept), marker=0.05)
    assert made == {"FINISHED"}
    words = (tmp_path / "runs" / "captures.log").read_text()
    assert "--marker 50 " in words  # millimetres on the command line, metres in Blender
    assert len(bpy.data.cameras) == 4
    assert "Rig" in bpy.data.objects
    assert (kept / "photos" / "capture.json").is_file()
    assert session.outcome.warnings[0] == "cam09.jpg is blurred and was left out."
    unchanged()
    with pytest.raises(RuntimeError, match="Only 2 of 9"):
        photos_to_cameras(directory=str(tmp_path / "fail"), capture_folder=str(kept))
    with pytest.raises(RuntimeError, match="no photographs"):
        photos_to_cameras(directory=str(kept))
    assert [path.name for path in kept.iterdir()] == ["photos"]


CHECK = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--json") + 1])
assert (pathlib.Path(sys.argv[2]) / "capture.json").is_file()
pathlib.Path(sys.argv[sys.argv.index("--picture") + 1]).write_bytes(b"PNG")
sentence = "Cameras 'cam01' and 'cam02' show each other's photographs."
out.write_text(json.dumps({"findings": [
    {"code": "swapped", "severity": "error", "views": ["cam01", "cam02"], "sentence": sentence,
     "cure": "Exchange them."},
    {"code": "gap", "severity": "warning", "views": [], "sentence": "Nobody looks from the left.", "cure": "Add one."},
]}))
print("Error: " + sentence)
sys.exit(1)  # because of the error among the findings
"""


def test_the_bridges_findings_reach_the_panel(tmp_path, rig, monkeypatch, draw):
    from skullptor_extension.skullptor_blender.ui import camera_rows, disk_cache, panels

    (tmp_path / "fake.py").write_text(CHECK)
    monkeypatch.setattr(command, "ENTRY", ("-u", str(tmp_path / "fake.py")))
    assert bpy.ops.skullptor.check_cameras() == {"FINISHED"}
    assert [(f.code, f.view) for f in session.findings] == [("swapped", "cam01"), ("swapped", "cam02"), ("gap", "")]
    assert session.outcome.text == "2 problems found in the cameras"
    assert Path(session.check_picture).is_file()
    disk_cache.forget()
    log = draw(panels.SKULLPTOR_PT_cameras)
    said = [keywords["text"] for _, _, keywords in log if "text" in keywords]
    joined = " ".join(said)
    assert joined.count("show each other's photographs.") == 1
    assert "Exchange them." in said
    assert "Add one." in said
    assert "Show Rig and Coverage" in said
    # once in the list, once under the finding
    assert said.count("cam01") == 2 and said.count("cam00") == 1
    rows = {row.camera: row.severity for row in camera_rows.rows(bpy.context)}
    assert rows["cam01"] == "ERROR" and rows["cam03"] == ""


def test_without_a_bridge_the_numbers_are_checked_all_the_same(rig, monkeypatch, tmp_path):
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    assert bpy.ops.skullptor.check_cameras() == {"FINISHED"}
    assert session.findings == []
    assert "not compared" in session.outcome.warnings[0]
    rig[1].scale.x = -1
    bpy.context.view_layer.update()
    bpy.ops.skullptor.check_cameras(photographs=False)
    assert [f.code for f in session.findings] == ["camera-mirrored"]


# what each program's sample is, and the tolerance in pixels that its printed digits allow
SAMPLES = {
    "colmap/text/cameras.txt": 2e-3,
    "colmap/bin/images.bin": 2e-3,
    "transforms.json": 2e-3,
    "KRT": 2e-3,
    "metashape_cameras.xml": 2e-3,
    "cameras_idr_neus_h3ds.npz": 2e-3,
    "realitycapture_internal_external.csv": 2e-3,
    "realitycapture_xmp/cam00.xmp": 2e-3,
}


@pytest.mark.slow
@needs_bridge
@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_of_other_programs_become_the_same_cameras(sample, tmp_path, real_bridge):
    """The format is told by the file; through the rig's empty every camera sees what the original saw."""
    images = shared("data", "captures", "valid_wf2", "images_soft")
    truth = json.loads((images.parent / "capture.json").read_text())
    names = {Path(view["image"]).stem: view["name"] for view in truth["views"]}
    source = shared("data", "camera_formats") / sample
    if sample == "KRT":  # it calls the cameras by numbers
        numbers = [line.strip() for line in source.read_text().splitlines() if len(line.split()) == 1]
        names = dict(zip(numbers, (view["name"] for view in truth["views"]), strict=True))
        for number, view in zip(numbers, truth["views"]):
            target = tmp_path / "photos" / f"{number}.jpg"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((images / Path(view["image"]).name).read_bytes())
        images = target.parent
    assert import_capture(source, images=str(images), capture_folder=str(tmp_path / "kept")) == {"FINISHED"}
    found = {view.camera: view.record for view in read_cameras().usable}
    assert len(found) >= 3
    body = json.loads(next((tmp_path / "kept").glob("*/capture.json")).read_text())
    rig = np.array(bpy.data.objects["Rig"].matrix_world, np.float64)
    # the calibration's own world against the truth's: metres, millimetres or the head's own unit
    old = {view["name"]: view for view in truth["views"]}
    worst = 0.0
    scale = scale_between(body, old, names)
    for camera, record in found.items():
        view = old[names.get(camera, camera)]
        there = (POINTS @ np.array(view["R"]).T + view["t"]) @ np.array(view["K"]).T
        here = project(record, (scale * POINTS) @ rig[:3, :3].T + rig[:3, 3])
        worst = max(worst, float(np.abs(here - there[:, :2] / there[:, 2:]).max()))
    print(f"{sample}: {len(found)} cameras, {worst:.6f} px, unit {scale:g}")
    assert worst < SAMPLES[sample]


def scale_between(body: dict, old: dict, names: dict) -> float:
    """Units of the calibration's own world in one unit of the truth's, from two cameras' distance."""
    turned = body["upright"]

    def centre(view):
        return -np.array(view["R"]).T @ view["t"]

    a, b = body["views"][0], body["views"][2]
    truth = [centre(old[names.get(view["name"], view["name"])]) for view in (a, b)]
    return np.linalg.norm(centre(a) - centre(b)) / turned["scale"] / np.linalg.norm(truth[0] - truth[1])
