"""Photo to Head: a photograph becomes a camera, and the run that makes a head of it follows."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import bpy
import pytest
from skullptor_extension.skullptor_blender.link import command, session, worker
from skullptor_extension.skullptor_blender.ui import disk_cache, panels

from tests.support import ROOT

from .helpers import BRIDGE, needs_bridge, photo, read_cameras, texts, write_capture

FRONT = ROOT / "demo" / "capture" / "images" / "cam01.jpg"
PHOTO = """
import json, pathlib, shutil, sys
assert sys.argv[1] == "photo"
photos, out = [pathlib.Path(path) for path in sys.argv[2:sys.argv.index("-o")]], pathlib.Path(sys.argv[-1])
if "wall" in photos[0].name:
    sys.exit("Error: The photograph 'wall' shows no face that can be recognised. Use a photograph from the front.")
shutil.copytree(photos[0].parent / "made", out)
body = json.loads((out / "capture.json").read_text())
body["views"] = body["views"][:len(photos)]
(out / "capture.json").write_text(json.dumps(body))
"""


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """A folder of photographs, and an engine that makes their cameras."""
    (tmp_path / "fake.py").write_text(PHOTO)
    monkeypatch.setattr(command, "ENTRY", ("-u", str(tmp_path / "fake.py")))
    folder = tmp_path / "faces"
    for name in ("anna", "left", "wall"):
        photo(folder / f"{name}.jpg", 64, 48)
    write_capture(folder / "made")
    return folder


def photo_to_head(path: Path, **keywords):
    return bpy.ops.skullptor.photo_to_head(filepath=str(path), capture_folder=str(path.parent / "kept"), **keywords)


def test_one_photograph_gets_a_camera_and_a_head(made):
    assert photo_to_head(made / "anna.jpg") == {"FINISHED"}
    assert [view.camera for view in read_cameras().usable] == ["cam00"]
    assert "Head" in bpy.data.objects  # the dummy's
    assert session.outcome.ok and "vertices" in session.outcome.text
    assert (made / "kept" / "anna" / "capture.json").is_file()


def test_only_the_camera_on_request(made):
    assert photo_to_head(made / "anna.jpg", reconstruct=False) == {"FINISHED"}
    assert len(read_cameras().usable) == 1
    assert "Head" not in bpy.data.objects
    assert session.outcome.text == "1 photograph has a camera now"


def test_several_photographs_of_one_head(made):
    files = [{"name": "anna.jpg"}, {"name": "left.jpg"}]
    photo_to_head(made / "anna.jpg", directory=str(made), files=files, reconstruct=False)
    assert len(read_cameras().usable) == 2
    assert session.outcome.text == "2 photographs have a camera now"


def test_no_face_is_one_sentence_and_leaves_nothing(made, unchanged):
    unchanged()
    with pytest.raises(RuntimeError, match="'wall' shows no face"):
        photo_to_head(made / "wall.jpg")
    assert list((made / "kept").iterdir()) == []
    with pytest.raises(RuntimeError, match=r"'made' is no photograph"):
        photo_to_head(made / "made")


def test_cameras_stay_where_the_head_fails(made, monkeypatch):
    """The run after it ends with its own sentence; the camera is there for the next try."""
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --fail")
    with pytest.raises(RuntimeError):
        photo_to_head(made / "anna.jpg")
    assert len(read_cameras().usable) == 1
    assert not session.outcome.ok and session.outcome.text


def test_the_button_stands_where_it_is_needed(draw, made):
    disk_cache.forget()

    def buttons(panel) -> list[str]:
        return [args[0] for call, args, _ in draw(panel) if call == "operator"]

    assert buttons(panels.SKULLPTOR_PT_reconstruct)[0] == "skullptor.photo_to_head"
    assert "One photograph of a face is enough" in " ".join(texts(draw(panels.SKULLPTOR_PT_reconstruct)))
    photo_to_head(made / "anna.jpg", reconstruct=False)
    disk_cache.forget()
    # now Reconstruct Head is the next thing to press; another photograph goes in from Cameras
    assert "skullptor.photo_to_head" not in buttons(panels.SKULLPTOR_PT_reconstruct)
    assert "skullptor.photo_to_head" in buttons(panels.SKULLPTOR_PT_cameras)


@needs_bridge
def test_a_real_photograph_gets_its_camera(tmp_path, monkeypatch):
    """The engine itself: the demo's frontal photograph, the camera before the face and upright."""
    ask = "from bridge.model.package import LANDMARKS, find; import ai_edge_litert; assert find(LANDMARKS)"
    if subprocess.run([BRIDGE, "-c", ask], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("the landmark models are not here: python -m bridge weights landmarks")
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(BRIDGE))
    shutil.copy(FRONT, tmp_path / "anna.jpg")
    assert photo_to_head(tmp_path / "anna.jpg", reconstruct=False) == {"FINISHED"}
    (view,) = read_cameras().usable
    body = json.loads((tmp_path / "kept" / "anna" / "capture.json").read_text())
    assert len(body["views"]) == 1
    camera = bpy.data.objects[view.camera]
    place = camera.matrix_world.translation
    assert 0.3 < place.length < 3 and place.y < -0.25 and abs(place.x) < 0.3 * place.length
    assert camera.matrix_world.col[1].z > 0.9
    assert not session.outcome.warnings
