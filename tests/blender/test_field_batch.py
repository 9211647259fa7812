"""The batch as render farms and shells really call it: from other folders, onto full disks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest
from skullptor_extension.skullptor_blender import batch
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras

from .helpers import photo, write_capture

BATCH = Path(batch.__file__)


@pytest.fixture
def scene_file(tmp_path, capture) -> Path:
    scene_cameras.build(bpy.context, capture)
    path = tmp_path / "elsewhere" / "scene.blend"
    path.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def run(scene, *arguments, folder, dummy="--seconds 0.1", **environment):
    """The batch under the bpy module, from a folder. Gives code, stdout, stderr."""
    env = {
        **os.environ,
        "SKULLPTOR_BRIDGE_PYTHON": sys.executable,
        "SKULLPTOR_BRIDGE_COMMAND": f"dummy {dummy}",
        **environment,
    }
    command = [sys.executable, str(BATCH), str(scene), "--", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL, cwd=folder
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def shell(tmp_path) -> Path:
    folder = tmp_path / "shell"
    folder.mkdir()
    return folder


def test_relative_folders_of_pictures_are_those_of_the_shell(scene_file, shell):
    for i in range(4):
        photo(shell / "masks" / f"cam{i:02d}_mask.png", 64, 48, 255)
        photo(shell / "photos" / f"cam{i:02d}.png", 64, 48)
    code, said, complaint = run(
        scene_file,
        "--mask-folder",
        "masks",
        "--image-folder",
        "photos",
        "--output",
        "o.blend",
        "--ply",
        "head.ply",
        folder=shell,
    )
    assert (code, complaint) == (0, "") and (shell / "head.ply").is_file() and (shell / "o.blend").is_file()
    code, _, complaint = run(scene_file, "--mask-folder", "nothing", folder=shell)
    assert code == 1 and str(shell / "nothing") in complaint and "does not exist" in complaint


def test_a_relative_import_and_capture_folder_are_those_of_the_shell(scene_file, shell):
    write_capture(shell / "rig two")
    code, said, complaint = run(scene_file, "--import", "rig two", "--task", "cameras", folder=shell)
    assert (code, complaint) == (0, "") and "4 cameras imported" in said
    code, _, complaint = run(scene_file, "--import", "none.xml", "--task", "cameras", folder=shell)
    assert code == 1 and f"There is no file '{shell / 'none.xml'}'" in complaint


def test_relative_photographs_and_images_reach_the_bridge_whole(scene_file, shell):
    """The bridge runs in a folder of its own: what it is told must not be relative."""
    for i in range(3):
        photo(shell / "photos" / f"{i}.png", 64, 48)
    (shell / "cameras.xml").write_text("<document/>")
    fake = shell / "fake.py"
    fake.write_text(
        "import json, sys; open(sys.argv[0] + '.said', 'a').write(json.dumps(sys.argv[1:]) + chr(10)); sys.exit(1)"
    )
    code = f"""
import sys
sys.argv = ["batch.py"]
import runpy
sys.path.insert(0, {str(BATCH.parent)!r})
import batch
package = batch.load_extension()
command = sys.modules[package.__name__ + ".skullptor_blender.link.command"]
command.ENTRY = ("-u", {str(fake)!r})
for words in (["--photos", "photos"], ["--import", "cameras.xml", "--images", "photos"]):
    batch.run([*words, "--task", "cameras", "--capture-folder", "kept"])
batch.leave(0)
"""
    subprocess.run([sys.executable, "-c", code], cwd=shell, timeout=60, check=True, capture_output=True)
    first, second = map(json.loads, (shell / "fake.py.said").read_text().splitlines())
    assert first[:2] == ["calibrate", str(shell / "photos")]
    assert str(shell / "cameras.xml") in second and second[second.index("--images") + 1] == str(shell / "photos")
    for words in (first, second):
        assert words[words.index("-o") + 1].startswith(str(shell / "kept"))


def test_blenders_own_relative_paths_stay_the_files(scene_file, shell):
    for i in range(4):
        photo(scene_file.parent / "masks" / f"cam{i:02d}.png", 64, 48, 255)
    code, _, complaint = run(scene_file, "--mask-folder", "//masks", folder=shell)
    assert (code, complaint) == (0, "")


def test_an_output_that_fails_leaves_the_earlier_file_and_says_where_the_head_is(scene_file, shell):
    """As on a disk that fills up while the PLY is copied: a limit on the size of files fails at the same place."""
    (shell / "head.ply").write_bytes(b"an earlier, good head")
    script = f"""
import resource, runpy, sys, shutil
real = shutil.copyfile
def full(source, target, **options):
    with open(target, "wb") as file:
        file.write(b"half of a h")
    raise OSError(28, "No space left on device")
shutil.copyfile = full
sys.argv = [{str(BATCH)!r}, {str(scene_file)!r}, "--", "--ply", "head.ply", "--output", "o.blend"]
runpy.run_path({str(BATCH)!r}, run_name="__main__")
"""
    env = {**os.environ, "SKULLPTOR_BRIDGE_PYTHON": sys.executable, "SKULLPTOR_BRIDGE_COMMAND": "dummy --seconds 0.1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=shell, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "No space left on device" in line and "Success" not in line
    assert (shell / "head.ply").read_bytes() == b"an earlier, good head"
    kept = Path(line.split("The head is kept as '")[1].split("'")[0])
    assert kept.is_file() and kept.read_bytes().startswith(b"ply")
    assert (shell / "o.blend").is_file()  # it holds the head too
    assert not list(shell.glob(".*.tmp"))


def test_a_disk_that_is_really_full_leaves_the_earlier_file_and_says_where_the_head_is(scene_file, shell):
    disk = shell / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root on Linux may mount a small disk here")
    try:
        earlier = disk / "kept"
        earlier.write_bytes(b"an earlier, good file")
        (disk / "filler").write_bytes(bytes(4096))
        with contextlib.suppress(OSError), (disk / "more").open("wb", buffering=0) as filler:
            while True:  # all but the 4 KB of the filler, which goes: the probe before the run fits, the head does not
                filler.write(bytes(4096))
        (disk / "filler").unlink()
        code, _, complaint = run(scene_file, "--ply", str(earlier), folder=shell)
        (line,) = [line for line in complaint.splitlines() if line.startswith("Error: ")]
        assert code == 1 and "No space left on device" in line and earlier.read_bytes() == b"an earlier, good file"
        kept = Path(line.split("The head is kept as '")[1].split("'")[0])
        assert kept.read_bytes().startswith(b"ply")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
