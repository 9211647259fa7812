"""Whole captures: written by the command line, exported and read again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

cv2 = pytest.importorskip("cv2")

import numpy as np  # noqa: E402

from bridge import importers  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.cameras import Distortion  # noqa: E402
from bridge.capture.record import Capture, View  # noqa: E402
from bridge.importers import cli, export  # noqa: E402
from tests.support import ROOT, cameras  # noqa: E402

TURN = cv2.Rodrigues(np.array([0.3, -1.1, 0.7]))[0]


@pytest.fixture
def rig():
    return cameras.rig()


@pytest.fixture
def folder(tmp_path, rig):
    cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in rig])
    return tmp_path


def write_capture(folder, rig):
    views = tuple(View(camera, folder / "images" / f"{camera.name}.png") for camera in rig)
    capture = Capture("round", views, unit_mm=140.0)
    captures.save(capture, folder)
    return capture


@pytest.mark.parametrize("name", ["colmap", "transforms"])
@pytest.mark.parametrize("terms", [{}, {"k1": 0.1, "p2": 0.01}, {"k1": 0.1, "k3": -0.02}, {"k1": 0.1, "k4": 0.02}])
def test_round_trip(folder, rig, name, terms):
    if name == "transforms" and "k4" in terms:
        pytest.skip("transforms.json cannot hold it; refused")
    turned = [c.transformed(1.0, TURN, np.array([10.0, -3.0, 5.0])) for c in rig]  # rotations of every kind
    distortion = Distortion(**terms) if terms else None
    rig = [replace(c, distortion=distortion) for c in turned]
    place = export.WRITERS[name](write_capture(folder, rig), folder / "out")
    found = [view.camera for view in importers.read(name, place, images=folder / "images").views]
    world = cameras.points() @ TURN.T + [10.0, -3.0, 5.0]
    worst = max(cameras.error(a, b, world) for a, b in zip(rig, found))
    assert worst <= 1e-6, worst
    if name == "transforms":
        assert importers.read(name, place).unit_mm == 140.0  # finds the images by the file's own relative paths


def test_the_command_line_writes_a_capture_that_loads(folder, rig, capsys):
    cameras.colmap_text(folder / "sparse", rig)
    cameras.photos(folder / "mattes", [f"{camera.name}.png.png" for camera in rig[:3]])
    target = folder / "capture 頭"
    options = [str(folder / "sparse"), "-o", str(target), "--images", str(folder / "images"), "--unit-mm", "140"]
    assert cli.import_main(["colmap", *options, "--masks", str(folder / "mattes")]) == 0
    capture = captures.load(target)
    assert max(cameras.error(a, b) for a, b in zip(rig, capture.cameras)) < 1e-6
    assert capture.unit_mm == 140 and [bool(view.mask) for view in capture.views] == [True, True, True, False]
    assert "1 views have no mask" in capsys.readouterr().err
    assert cli.import_main(["colmap", *options]) == 1
    assert "holds a capture already" in capsys.readouterr().err
    assert cli.import_main(["colmap", *options, "--replace", "--first-pixel", "0"]) == 0
    assert captures.load(target).cameras[0].K[0, 2] == pytest.approx(rig[0].K[0, 2] + 0.5)
    assert cli.export_main(["colmap", str(target), "-o", str(folder / "back")]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "import", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "realitycapture" in done.stdout


def test_a_new_capture_appears_whole_or_not_at_all(folder, rig, monkeypatch):
    from bridge.errors import BridgeError
    from bridge.importers import write as writing

    found = importers.read("colmap", cameras.colmap_text(folder / "sparse", rig), images=folder / "images")
    target = folder / "new"
    left = folder / ".new.partial" / "images"  # by a run that was killed
    left.mkdir(parents=True)
    (left / "cam00.png").write_text("half")

    def stop(*_):
        assert not target.exists()
        raise BridgeError("output", "The disk is full.", "Make room.")

    with pytest.raises(BridgeError, match="full"):
        writing.write(found, target, more=stop)
    assert not target.exists() and not list(folder.glob(".new*"))
    target.mkdir()  # an empty folder may be there
    assert len(writing.write(found, target).views) == len(rig)
    assert not list(folder.glob(".new*"))


def test_photographs_behind_links_end_up_in_the_capture(folder, rig):
    (folder / "links").mkdir()
    for camera in rig:
        (folder / "links" / f"{camera.name}.png").symlink_to(folder / "images" / f"{camera.name}.png")
    model = cameras.colmap_text(folder / "sparse", rig)
    assert cli.import_main(["colmap", str(model), "-o", str(folder / "new"), "--images", str(folder / "links")]) == 0
    assert not any(view.image.is_symlink() for view in captures.load(folder / "new").views)
