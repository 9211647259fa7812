"""Headless as a farm sees it: a child process, its exit code, its words, its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender import batch
from skullptor_extension.skullptor_blender.headless import options
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras

from tests.support import ROOT

from .helpers import write_capture

BATCH = ROOT / "skullptor_blender" / "batch.py"


@pytest.fixture
def scene_file(tmp_path, capture) -> Path:
    scene_cameras.build(bpy.context, capture)
    path = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def run(scene, *arguments, dummy="--seconds 0.1", **environment):
    """The batch under the bpy module. Gives code, stdout, stderr."""
    env = {
        **os.environ,
        "BLENDER_USER_RESOURCES": os.environ["BLENDER_USER_RESOURCES"],
        "SKULLPTOR_BRIDGE_PYTHON": sys.executable,
        "SKULLPTOR_BRIDGE_COMMAND": f"dummy {dummy}",
        **environment,
    }
    command = [sys.executable, str(BATCH), str(scene), "--", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def bridges(folder: Path) -> list[int]:
    """Processes that still write into the runs' folder's log."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in str((process / "fd" / "2").readlink()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_everything_that_was_asked_for_is_written(scene_file, tmp_path):
    out = tmp_path / "out folder ü"
    code, said, complaint = run(
        scene_file, "--output", out / "head.blend", "--ply", out / "head.ply", "--report", out / "r.json",
        "--preset", "draft", "--seed", 3, "--max-vertices", 9000, "--refine-cameras",
    )  # fmt: skip
    assert (code, complaint) == (0, "")
    lines = said.splitlines()
    assert any(line.startswith("Carving the head: ") for line in lines)
    assert lines.count("Warning: This head is a sphere: the dummy made it.") == 1
    assert lines[-1].startswith("Done: ")
    assert json.loads((out / "r.json").read_text())["dummy"]
    header, _, body = (out / "head.ply").read_bytes().partition(b"end_header\n")
    assert b"property int view_count" in header
    count = int(header.split(b"element vertex ")[1].split()[0])
    first = np.frombuffer(body[:24], "<f8")
    np.testing.assert_allclose(np.linalg.norm(first), 0.1)
    bpy.ops.wm.open_mainfile(filepath=str(out / "head.blend"))
    head = bpy.data.objects["Head"]
    assert len(head.data.vertices) == count
    settings = json.loads(head["skullptor_settings"])
    assert (settings["preset"], settings["seed"], settings["max_vertices"]) == ("draft", 3, 9000)
    assert settings["refine_cameras"] is True
    # the photographs are still found from where the new file lies
    image = bpy.data.objects["cam00"].data.background_images[0].image
    assert Path(bpy.path.abspath(image.filepath)).resolve().is_file()


@pytest.mark.parametrize(
    "arguments", [["--bogus"], ["--preset", "huge"], ["--steps", "0"], ["--smoothness", "x"], ["--max-vertices", "3"]]
)
def test_bad_usage_is_two(arguments, capsys):
    assert batch.run(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_bad_usage_of_the_script(tmp_path):
    assert run(tmp_path / "no.blend", "--bogus")[0] in (1, 2)
    done = subprocess.run([sys.executable, str(BATCH)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_help_is_zero(capsys):
    assert batch.run(["--help"]) == 0
    said = capsys.readouterr().out
    for keyword in options.KEYWORDS:
        assert f"--{keyword.replace('_', '-')}" in said


ERRORS = {
    "bridge killed": ("--die", {}, [], "stopped in mid-run"),
    "bridge fails": ("--fail", {}, [], "told to fail"),
    "no bridge": ("", {"SKULLPTOR_BRIDGE_PYTHON": "/nowhere/python"}, [], "no such file"),
    "no such scene": ("", {}, ["--scene", "Take 9"], "Take 9"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_sentence_exit_code_one_and_no_file(scene_file, tmp_path, case):
    dummy, environment, arguments, words = ERRORS[case]
    output = tmp_path / "head.blend"
    before = scene_file.read_bytes()
    code, _, complaint = run(scene_file, "--output", output, *arguments, dummy=dummy or "--seconds 0.1", **environment)
    assert code == 1
    (line,) = complaint.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert not output.exists()
    assert scene_file.read_bytes() == before
    assert bridges(tmp_path) == []


def test_too_few_cameras(tmp_path):
    scene_cameras.build(bpy.context, write_capture(tmp_path / "two", views=2))
    for ob in bpy.data.objects:
        ob.hide_render = True
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    code, _, complaint = run(path, "--output", tmp_path / "o.blend")
    assert code == 1
    assert "needs one at least" in complaint
    assert not (tmp_path / "o.blend").exists()


def test_an_output_that_cannot_be_written_is_found_before_the_work(scene_file, tmp_path):
    (tmp_path / "file").touch()
    code, said, complaint = run(scene_file, "--output", tmp_path / "file" / "o.blend")
    assert code == 1
    assert "cannot be written" in complaint
    assert "Carving" not in said


def test_no_scene_file(tmp_path):
    code, _, complaint = run(tmp_path / "none.blend", "--output", tmp_path / "o.blend")
    assert code == 1
    assert "cannot be opened" in complaint


def test_the_command_of_blender_is_registered():
    assert len(batch._commands) == 1


def test_another_scene_of_the_file(tmp_path, capture):
    bpy.data.scenes.new("Empty")
    scene_cameras.build(bpy.context, capture)
    bpy.context.scene.name = "Take"
    bpy.context.window.scene = bpy.data.scenes["Empty"]
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    code, _, complaint = run(path, "--scene", "Take", "--output", tmp_path / "o.blend")
    assert (code, complaint) == (0, "")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "o.blend"))
    assert "Head" in bpy.data.scenes["Take"].objects
    assert "Head" not in bpy.data.scenes["Empty"].objects


# --- frames ---


def test_frames_are_understood_or_refused(capsys):
    assert options.parse_frames("1-4,20, 3") == [1, 2, 3, 4, 20]
    assert options.parse_frames("10-30x10") == [10, 20, 30]
    assert options.parse_frames("-3--1") == [-3, -2, -1]
    for wrong in ("", "a", "5-1", "1-2x0", "1;2", "1-999999999"):
        assert batch.run(["--frames", wrong]) == 2, wrong
    capsys.readouterr()
    numbered = options.numbered
    assert numbered(Path("a/head.ply"), 7) == Path("a/head_0007.ply")
    assert numbered(Path("a/h_######_x.ply"), 12) == Path("a/h_000012_x.ply")
    assert numbered(Path("a/head.ply"), None) == Path("a/head.ply")


@pytest.fixture
def moving_file(moving, tmp_path) -> Path:
    path = tmp_path / "moving.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def test_a_head_for_each_frame(moving_file, tmp_path):
    """Heads by frame, each shown in its turn; a frame that fails is named and the others go on."""
    out = tmp_path / "out"
    code, said, complaint = run(
        moving_file,
        "--frames",
        "1-4",
        "--output",
        out / "heads.blend",
        "--ply",
        out / "head.ply",
        "--report",
        out / "r_##.json",
    )
    assert code == 1
    lines = complaint.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Error: frame 3: ") and "cam02" in lines[0]
    assert lines[1] == "Error: 1 of 4 frames failed: 3."
    assert "Done: 3 of 4 frames" in said
    assert sorted(path.name for path in out.iterdir()) == [
        "head_0001.ply",
        "head_0002.ply",
        "head_0004.ply",
        "heads.blend",
        "r_01.json",
        "r_02.json",
        "r_04.json",
    ]
    bpy.ops.wm.open_mainfile(filepath=str(out / "heads.blend"))
    heads = {name: bpy.data.objects[name] for name in ("Head_0001", "Head_0002", "Head_0004")}
    assert heads["Head_0002"].data.name == "Head_0002.mesh"
    for frame, expected in ((1, "Head_0001"), (2, "Head_0002"), (3, "Head_0002"), (4, "Head_0004"), (9, "Head_0004")):
        bpy.context.scene.frame_set(frame)
        assert [name for name, ob in heads.items() if not ob.hide_render] == [expected]
        assert [name for name, ob in heads.items() if not ob.hide_viewport and not ob.hide_get()] == [expected]
    captures = [json.loads(ob["skullptor_run"])["capture"] for ob in heads.values()]
    centres = []
    for capture in captures:
        view = json.loads((Path(capture) / "capture.json").read_text())["views"][0]
        centres.append(-np.array(view["R"]).T @ view["t"])
    np.testing.assert_allclose(centres[2] - centres[0], [0, 0, 0.2], atol=1e-5)


def test_stop_on_error_ends_at_the_first(moving_file, tmp_path):
    code, said, complaint = run(
        moving_file, "--frame-start", 2, "--frame-end", 4, "--ply", tmp_path / "h.ply", "--stop-on-error"
    )
    assert code == 1
    assert "frame 3" in complaint
    assert not (tmp_path / "h_0004.ply").exists()
    assert (tmp_path / "h_0002.ply").is_file()
    assert "Done: 1 of 3 frames" in said


# --- what else the panel does ---


def test_normals_only(moving_file, tmp_path):
    code, said, complaint = run(
        moving_file,
        "--task",
        "normals",
        "--frames",
        "1,2",
        "--maps",
        tmp_path / "maps",
        "--picture",
        tmp_path / "c.png",
    )
    assert (code, complaint) == (0, "")
    for frame in ("0001", "0002"):
        names = {path.name for path in (tmp_path / "maps" / frame).iterdir()}
        assert {"normals.json", "cam00.png", "cam00_mask.png", "contact.png"} <= names
        assert (tmp_path / f"c_{frame}.png").is_file()
    assert said.splitlines()[-1] == "Done: 2 of 2 frames"


def test_check_only(tmp_path, capture):
    cameras = scene_cameras.build(bpy.context, capture)
    cameras[1].scale.x = -1
    bpy.context.view_layer.update()
    path = tmp_path / "bad.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    code, said, complaint = run(path, "--task", "check", "--report", tmp_path / "c.json")
    assert code == 1
    assert complaint == "Error: The check found 1 error in the cameras.\n"
    assert "mirrored" in said
    (finding,) = json.loads((tmp_path / "c.json").read_text())["findings"]
    assert (finding["view"], finding["severity"]) == ("cam01", "ERROR")


def test_import_and_reconstruct_in_one_go(tmp_path, capture):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"), copy=True)
    code, said, complaint = run(
        tmp_path / "empty.blend", "--import", capture, "--keep-world", "--output", tmp_path / "o.blend"
    )
    assert (code, complaint) == (0, "")
    assert "4 cameras imported" in said
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "o.blend"))
    assert "Head" in bpy.data.objects
    assert "Rig" not in bpy.data.objects
    code, _, complaint = run(tmp_path / "empty.blend", "--import", tmp_path / "none.xml", "--task", "cameras")
    assert code == 1
    assert "There is no file" in complaint
    code, _, complaint = run(tmp_path / "empty.blend", "--import", capture, "--format", "tea", "--task", "cameras")
    assert code == 1
    assert "colmap" in complaint and "Traceback" not in complaint


@pytest.mark.parametrize(("views", "names"), [("1", ["cam00"]), ("cam03, cam01", ["cam01", "cam03"])])
def test_some_of_the_cameras(scene_file, tmp_path, views, names):
    """The others are left out for the run alone: the saved scene has them as before."""
    out = tmp_path / "out.blend"
    code, _, complaint = run(scene_file, "--views", views, "--report", tmp_path / "r.json", "--output", out)
    assert (code, complaint) == (0, "")
    assert [view["name"] for view in json.loads((tmp_path / "r.json").read_text())["views"]] == names
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert all(camera.skullptor.use for camera in bpy.data.cameras)


def test_cameras_that_are_not_there(scene_file, tmp_path):
    code, _, complaint = run(scene_file, "--views", "left", "--ply", tmp_path / "head.ply")
    assert code == 1
    assert complaint.startswith("Error: There is no camera 'left'; the rig has cam00, cam01")
    assert not (tmp_path / "head.ply").exists()
