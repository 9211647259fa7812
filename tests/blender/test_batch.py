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
from skullptor_extension.skullptor_blender import batch, scene_cameras

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
        "--preset", "draft", "--seed", 3, "--max-vertices", 9000,
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
    for keyword in batch.KEYWORDS:
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
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    code, _, complaint = run(path, "--output", tmp_path / "o.blend")
    assert code == 1
    assert "at least 3" in complaint
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
