"""The capture folder: what is written is read, and every refusal names the view and the field."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("cv2")

from bridge import files  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from tests.support import shared, synthetic  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    synthetic.write(tmp_path, views=4, size=32)
    return tmp_path


def edit(folder, change):
    file = folder / "capture.json"
    body = json.loads(file.read_text())
    change(body)
    file.write_text(json.dumps(body))


def test_round_trip(tmp_path):
    written = synthetic.write(tmp_path / "grüße 頭", views=4, size=32)
    again = captures.load(tmp_path / "grüße 頭")
    assert [v.name for v in again.views] == [v.name for v in written.views]
    for a, b in zip(again.cameras, written.cameras):
        np.testing.assert_allclose(a.K, b.K)
        np.testing.assert_allclose(a.R, b.R, atol=1e-12)
        np.testing.assert_allclose(a.t, b.t)
    assert again.unit_mm == 120.0 and len(again.evaluation.views) == 3
    captures.save(again, tmp_path / "grüße 頭", "capture-2.json")
    assert captures.load(tmp_path / "grüße 頭" / "capture-2.json").views[0].mask.is_file()


def set_view(key, value):
    return lambda body: body["views"][1].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.update(schema=2), "schema 2"),
        (lambda b: b.update(unit_mm=-1), "unit_mm"),
        (lambda b: b.update(speed=1), "unknown field 'speed'"),
        (set_view("colour", 1), "view 1 has the unknown field 'colour'"),
        (set_view("name", "cam00"), "'cam00' exists twice"),
        (set_view("image", "images/nothing.png"), "view 'cam01': the image file 'images/nothing.png' is missing"),
        (set_view("mask", "../../etc/passwd"), "outside the capture folder"),
        (set_view("K", [[1, 0, 0], [0.5, 1, 0], [0, 0, 1]]), "'cam01' must give K as an upper triangular"),
        (set_view("K", [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), "positive focal"),
        (set_view("K", [[1, 0], [0, 1]]), "K as 3 x 3"),
        (set_view("R", [[1, 0, 0], [0, 1, 0], [0, 0, 1.1]]), "'cam01' must give R as a rotation"),
        (set_view("R", [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), "'cam01' has a mirrored R"),
        (set_view("t", [0, None, 0]), "t as 3 finite"),
        (set_view("width", 31.5), "width"),
        (set_view("distortion", {"model": "fisheye"}), "fisheye"),
        (lambda b: b.update(normals_encoding={"axes": "maya"}), "maya"),
    ],
)
def test_refusals(folder, change, says):
    edit(folder, change)
    with pytest.raises(BridgeError) as raised:
        captures.load(folder)
    assert says in raised.value.sentence and raised.value.cure


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\u2028"])
def test_a_refusal_is_one_line_whatever_the_names_hold(folder, end):
    edit(folder, lambda b: b["views"][0].update(name=f"left{end}ear", image=f"no{end}where.png"))
    with pytest.raises(BridgeError) as refused:
        captures.load(folder)
    assert len(str(refused.value).splitlines()) == 1 and len(refused.value.sentence.splitlines()) == 1


def test_a_slightly_bent_rotation_is_straightened(folder):
    edit(folder, lambda b: b["views"][0]["R"][0].__setitem__(0, b["views"][0]["R"][0][0] + 2e-4))
    R = captures.load(folder).cameras[0].R
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_no_capture_there(tmp_path):
    with pytest.raises(BridgeError, match="There is no capture"):
        captures.load(tmp_path)
    (tmp_path / "capture.json").write_text("{")
    with pytest.raises(BridgeError, match="cannot be read"):
        captures.load(tmp_path)


@pytest.mark.parametrize("name", ["valid_wf2", "marble_bust", "nefertiti", "buddha_real"])
def test_the_shared_captures_load(name):
    assert len(captures.load(shared("data", "captures", name)).views) >= 10


def test_file_names_differ_on_every_system():
    assert files.file_names(["a/b", "a:b", "Cam", "cam", " . ", "normals"], ("normals",)) == [
        "a_b",
        "a_b~2",
        "Cam",
        "cam~2",
        "view",
        "normals~2",
    ]
