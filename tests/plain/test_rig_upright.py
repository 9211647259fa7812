"""Which way is up in a rig, and rigs stood upright: the pictures stay, the world turns, the way back is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge.capture import record as captures  # noqa: E402
from bridge.capture.cameras import Similarity  # noqa: E402
from bridge.capture.framing import rig_up  # noqa: E402
from bridge.capture.record import Capture, Evaluation, NormalsEncoding, View  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.head import upright  # noqa: E402
from bridge.head.canonical import Canonical  # noqa: E402
from bridge.importers import cli  # noqa: E402
from tests.support import cameras, shared  # noqa: E402
from tests.support.synthetic import look_at  # noqa: E402

AROUND = np.linspace(0, 2 * np.pi, 12, endpoint=False)
ARC = np.radians([-60.0, -30, 0, 30, 60])
QUARTER = np.pi / 2
SOME = np.random.default_rng(4)


def rig(angles, elevation, rolls):
    """Cameras that look at the origin, z up, from the elevation in radians (0: level)."""
    e = np.broadcast_to(elevation, len(angles))
    away = np.stack([np.sin(angles) * np.cos(e), -np.cos(angles) * np.cos(e), np.sin(e)], 1)
    rolls = np.broadcast_to(rolls, len(angles))
    return [look_at(f"c{i}", np.zeros(3), 5 * d, 64, roll=r) for i, (d, r) in enumerate(zip(away, rolls))]


@pytest.mark.parametrize(
    ("angles", "elevation", "rolls", "tolerance"),
    [
        (AROUND, 0.0, 0.0, 0.01),
        (AROUND, 0.9, 0.0, 0.01),  # all look down: their image ups point far from it, if they do not cancel
        (AROUND, 1.3, 0.0, 0.01),
        (AROUND, 0.1, QUARTER, 0.01),  # portraits stored on their side
        (AROUND, 0.5, SOME.choice([0, QUARTER, -QUARTER], 12), 0.01),
        (AROUND, 0.3, np.where(np.arange(12) % 3 == 0, SOME.uniform(-3, 3, 12), 0), 0.01),  # some rolled freely
        (AROUND, 0.3, SOME.normal(0, 0.05, 12), 3.0),  # held by hand
        (ARC, 0.2, 0.0, 0.01),
        (ARC, 0.7, 0.0, 0.5),  # the mean of the ups is 40 degrees off here
        (ARC[1:4], 0.2, SOME.normal(0, 0.04, 3), 4.0),
    ],
)
def test_up_is_what_the_horizons_are_level_with(angles, elevation, rolls, tolerance):
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.9]))[0]
    found = rig_up([camera.transformed(1.0, turn, np.zeros(3)) for camera in rig(angles, elevation, rolls)])
    assert np.degrees(np.arccos(np.clip(found @ turn[:, 2], -1, 1))) < tolerance
    assert np.linalg.norm(found) == pytest.approx(1)


def test_one_camera_and_two_side_by_side_have_an_up():
    one = rig(ARC[:1], 0.0, 0.0)
    assert np.allclose(rig_up(one), [0, 0, 1], atol=1e-6)
    assert np.allclose(rig_up([one[0], replace(one[0], t=one[0].t + 0.1)]), [0, 0, 1], atol=1e-6)


def test_up_of_real_photographs_that_look_down_and_lie_on_their_side():
    capture = captures.load(shared("data", "captures", "buddha_real", "capture.json"))
    assert rig_up(capture.cameras) @ [0, 1, 0] > np.cos(np.radians(3))


@pytest.fixture
def capture(tmp_path):
    found = rig(ARC, 0.3, 0.0)
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.9]))[0]
    views = []
    for camera in found:
        camera = camera.transformed(7.0, turn, np.array([30.0, -20, 5]))
        path = tmp_path / "images" / f"{camera.name}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
        views.append(View(camera, path))
    return Capture("tilted", tuple(views), 140.0)


def test_the_pictures_stay_and_the_way_back_is_kept(capture, tmp_path):
    turned = upright.apply(capture, upright.similarity(capture.cameras, unit_mm=capture.unit_mm))
    captures.save(turned, tmp_path)
    turned = captures.load(tmp_path)
    world = np.random.default_rng(0).normal(size=(50, 3)) * 3 + [30, -20, 5]
    for before, after in zip(capture.cameras, turned.cameras):
        assert np.abs(after.project(turned.upright.points(world))[0] - before.project(world)[0]).max() < 1e-9
    assert turned.unit_mm == pytest.approx(1000)  # metres
    middle = turned.cameras[2]
    assert np.degrees(np.arccos(rig_up(turned.cameras)[2])) < 0.5
    assert abs(middle.center[0]) < 0.02 and middle.center[1] < -4 and middle.center[2] > 1  # before the face, above it
    assert np.linalg.norm(middle.center) == pytest.approx(35 * 0.14, rel=1e-2)
    again = upright.apply(turned, Similarity(2.0, np.eye(3), np.ones(3)))
    assert np.allclose(again.upright.points(world), 2 * turned.upright.points(world) + 1)


def test_the_front_may_be_named_and_an_unknown_scale_gives_a_head_of_a_heads_size(capture):
    turn = upright.similarity(capture.cameras, front="c0")
    first = turn.camera(capture.cameras[0])
    assert abs(first.center[0]) < 1e-6 and first.center[1] < 0
    # 1.5 units either side of the middle are in each picture, 7 to a unit of the rig
    assert turn.scale == pytest.approx(0.15 / (0.45 * 1.5 * 7), rel=0.1)
    with pytest.raises(BridgeError, match="No view is called 'nobody'"):
        upright.similarity(capture.cameras, front="nobody")


def test_cameras_all_around_look_to_the_front_from_the_first():
    found = rig(AROUND, 0.2, 0.0)
    assert upright.similarity(found).camera(found[0]).center[1] < 0


def head_of(turn, scale=0.5, center=(3.0, -2.0, 1.0)):
    """A canonical head (+Y up, +Z out of the face) that looks to -Y with +Z up, in a world turned by turn."""
    stands = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])  # rows: its axes in the world that is not turned
    rotation = stands @ turn.T
    return Canonical(scale, rotation, -scale * rotation @ np.asarray(center), 0.6)


def test_the_face_that_the_network_sees_is_turned_to_the_front():
    """Also in an even ring, whose cameras say nothing of it; its place and, in unknown units, its size come along."""
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.9]))[0]
    found = [camera.transformed(1.0, turn, np.array([3.0, -2, 1])) for camera in rig(AROUND + 2.0, 0.2, 0.0)]
    head = head_of(turn)
    placed = upright.similarity(found, head=head)
    assert np.allclose(placed.rotation @ head.front, [0, -1, 0], atol=1e-2)
    assert np.allclose(placed.rotation @ head.up, [0, 0, 1], atol=1e-2)
    assert np.linalg.det(placed.rotation) == pytest.approx(1)
    assert np.allclose(placed.points(head.center[None]), 0, atol=1e-9)
    assert placed.scale == pytest.approx(0.5 * 0.140)
    assert upright.similarity(found, unit_mm=1000.0, head=head).scale == pytest.approx(1.0)
    named = upright.similarity(found, front="c4", head=head)  # the user knows better
    eye = named.camera(found[4]).center
    assert abs(eye[0]) < 0.01 and eye[1] < -0.3


def test_only_a_rig_rolled_at_will_takes_its_up_from_the_head():
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.9]))[0]
    nearly = cv2.Rodrigues(np.radians([6.0, 0, 0]))[0]
    level = [camera.transformed(1.0, turn, np.zeros(3)) for camera in rig(AROUND, 0.2, 0.0)]
    placed = upright.similarity(level, head=head_of(turn @ nearly))  # the network is off by 6 degrees, horizons are not
    assert placed.rotation[2] @ turn[:, 2] > np.cos(np.radians(0.1))
    placed = upright.similarity(level, head=head_of(turn @ cv2.Rodrigues(np.radians([70.0, 0, 0]))[0]))
    assert placed.rotation[2] @ turn[:, 2] == pytest.approx(np.cos(np.radians(70)), abs=1e-6)


def test_import_asks_where_the_face_is_unless_it_is_told(capture, tmp_path, monkeypatch):
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.9]))[0]
    about = cv2.Rodrigues(np.radians([0.0, 0, 40]))[0]
    head, asked = head_of(turn @ about, center=(30.0, -20, 5)), []
    monkeypatch.setattr(cli, "find_head", lambda views, predictor: asked.append(len(views)) or head)
    model = cameras.colmap_text(tmp_path / "sparse", capture.cameras)
    options = ["colmap", str(model), "--images", str(tmp_path / "images"), "--unit-mm", "140", "--upright", "-o"]
    assert cli.import_main([*options, str(tmp_path / "asked")]) == 0
    assert np.allclose(captures.load(tmp_path / "asked").upright.rotation @ head.front, [0, -1, 0], atol=1e-2)
    assert cli.import_main([*options, str(tmp_path / "told"), "--front", "c2"]) == 0
    assert asked == [5]


def test_ground_truth_is_not_turned(capture):
    truth = replace(capture, evaluation=Evaluation((), (0.1, 1.0), NormalsEncoding()))
    with pytest.raises(BridgeError, match="ground truth"):
        upright.apply(truth, upright.similarity(capture.cameras))


def test_import_turns_upright_on_request(capture, tmp_path):
    model = cameras.colmap_text(tmp_path / "sparse", capture.cameras)
    options = ["colmap", str(model), "--images", str(tmp_path / "images"), "--unit-mm", "140", "-o"]
    assert cli.import_main([*options, str(tmp_path / "plain")]) == 0
    assert cli.import_main([*options, str(tmp_path / "turned"), "--upright"]) == 0
    plain, turned = captures.load(tmp_path / "plain"), captures.load(tmp_path / "turned")
    assert plain.upright is None and "upright" not in json.loads((tmp_path / "plain" / "capture.json").read_text())
    assert turned.unit_mm == pytest.approx(1000) and np.degrees(np.arccos(rig_up(turned.cameras)[2])) < 0.5
    assert np.allclose(turned.upright.points(plain.cameras[1].center[None])[0], turned.cameras[1].center)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (3, "must be an object"),
        ({"scale": -1, "rotation": np.eye(3).tolist(), "offset": [0, 0, 0]}, "scale as a positive number"),
        ({"scale": 1, "rotation": np.diag([1.0, 1, -1]).tolist(), "offset": [0, 0, 0]}, "mirrored rotation"),
        ({"scale": 1, "rotation": np.eye(3).tolist(), "offset": [0, "a", 0]}, "offset as 3 finite numbers"),
        ({"scale": 1, "rotation": np.eye(3).tolist(), "shift": [0, 0, 0]}, "unknown field 'shift'"),
    ],
)
def test_a_wrong_upright_is_refused_by_name(capture, tmp_path, value, says):
    file = captures.save(capture, tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"upright": value}))
    with pytest.raises(BridgeError, match=says):
        captures.load(tmp_path)
