"""A take from end to end, in small pictures: key frames that choose themselves, and frames that something befalls."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.report.results import write_ply  # noqa: E402
from bridge.sequence import caches, cli, keys, solve  # noqa: E402
from bridge.sequence.frames import Frame  # noqa: E402
from bridge.sequence.identity import load_identity  # noqa: E402
from bridge.sequence.keys import Followed, extremes, identity_file, wanted  # noqa: E402
from bridge.sequence.plan import Plan  # noqa: E402
from bridge.sequence.store import Store  # noqa: E402
from bridge.service.protocol import JobSettings  # noqa: E402
from bridge.service.wire import Control  # noqa: E402
from tests.support.takes import Take  # noqa: E402

BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
SHOUT = {"jawOpen": 1.0, "browInnerUp": 0.8}
WEIGHTS = [{}, {"jawOpen": 0.3}, BLINK, {"jawOpen": 0.6}, SHOUT, {"eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.8}]


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    return Take(tmp_path_factory.mktemp("take"), WEIGHTS)


@pytest.fixture
def standing_in(take, monkeypatch, tmp_path):
    """The landmark model and the reconstructions are stand-ins; returns which frames were reconstructed."""
    tracker, asked = take.tracker(), []
    for module in (solve, keys):
        monkeypatch.setattr(module, "Tracker", tracker)
        monkeypatch.setattr(module, "Landmarker", lambda path: None)
        monkeypatch.setattr(module, "need", lambda package: None)

    class Rebuilt:
        def __init__(self, plan, source):
            assert plan.dense and not plan.settings.wrap

        def __call__(self, number, folder, control):
            asked.append(number)
            write_ply(folder / "head.ply", take.vertices[number - 1], take.template.triangles_of("skin"))
            return {}

    first = tmp_path / "first.npz"
    take.identity().save(first)
    monkeypatch.setattr(keys, "Reconstruction", Rebuilt)
    monkeypatch.setattr(keys, "load_template", lambda *_: take.template)
    monkeypatch.setattr(keys, "key_identity", lambda *_: first)
    return asked


def solved(take, output, text="auto"):
    """The identity of these key frames."""
    plan = Plan(str(take.rig), str(output), str(take.images), settings=JobSettings(wrap="hm08"))
    store = Store(output)
    store.claim()
    chosen = wanted(1, text, plan.open().frames)
    return load_identity(identity_file(plan, store, chosen, Control(), lambda what: None))


def test_extremes_choose_themselves_and_show_what_the_first_key_frame_hides(take, standing_in, tmp_path):
    identity = solved(take, tmp_path / "out")
    assert standing_in == [3, 5]  # the blink and the shout; half a shout is near to the whole one
    assert len(identity.look) == len(identity.shown) == len(identity.expression) == 3
    names = list(identity.shape_names)
    assert identity.expression[1, names.index("eyeBlinkLeft")] == 1
    assert identity.expression[2, names.index("jawOpen")] > 0.85
    solved(take, tmp_path / "out")
    assert standing_in == [3, 5]  # nothing again
    assert len(solved(take, tmp_path / "out", "5,").look) == 2 and standing_in == [3, 5]
    assert len(solved(take, tmp_path / "out", "1").look) == 1


def test_lids_that_a_key_frame_shows_are_measured_and_not_guessed(take, standing_in, tmp_path):
    from bridge.capture.inputs import read_inputs

    plan = Plan(str(take.rig), str(tmp_path / "out"), str(take.images))
    inputs = read_inputs(plan.open().place(6, tmp_path / "capture"))
    found = {}
    for text in ("1", "3,"):
        identity = solved(take, tmp_path / "out", text)
        pose = take.tracker()(identity, None).track(inputs.cameras, inputs.pixels).pose
        blinks = [list(identity.shape_names).index(f"eyeBlink{side}") for side in ("Left", "Right")]
        found[text] = np.abs(pose.expression[blinks] - 0.8).max()
    assert found["3,"] < 0.1 < found["1"]


def test_extremes_are_far_from_neutral_and_from_each_other_and_believed():
    def frame(number, *weights, unlike=0.15):
        return Followed(number, np.array(weights), unlike)

    found = [frame(1, 0, 0), frame(2, 1.2, 0), frame(3, 1.3, 0.1), frame(4, 0, 1.5), frame(5, 5, 5, unlike=0.5)]
    assert extremes(found, 4) == [3, 4]
    assert extremes(found, 1) == [4] and extremes(found, 0) == [] and extremes([], 3) == []


@pytest.mark.parametrize("text", ["none", "-1", "0", "2,x", "2,9"])
def test_key_frames_that_are_none_are_one_sentence(text):
    with pytest.raises(BridgeError) as caught:
        wanted(1, text, [Frame(1), Frame(2)])
    assert caught.value.code == "frames-range" and caught.value.cure


def test_broken_dropped_and_faceless_frames_are_skipped_interpolated_and_said(
    take, standing_in, tmp_path, monkeypatch, capsys
):
    copy, output = tmp_path / "images", tmp_path / "out"
    shutil.copytree(take.images, copy)
    names = [camera.name for camera in take.cameras]
    (copy / names[0] / "0002.png").unlink()  # five others go on
    whole = cv2.imencode(".jpg", cv2.imread(str(copy / names[2] / "0003.png")))[1].tobytes()
    (copy / names[2] / "0003.png").unlink()
    (copy / names[2] / "0003.jpg").write_bytes(whole[: len(whole) // 3])
    for name in names[:4]:
        (copy / name / "0004.png").unlink()
    for name in names:
        cv2.imwrite(str(copy / name / "0005.png"), np.full((400, 400, 3), 128, np.uint8))
    arguments = [str(take.rig), "--images", str(copy), "-o", str(output), "--wrap", "hm08", "--key-frames", "1"]
    assert cli.main(arguments) == 1
    store = Store(output)
    assert store.finished() == [1, 2, 6]
    assert [(failure.number, bool(failure.cure)) for failure in store.failures()] == [(3, True), (4, True), (5, True)]
    assert [failure.code for failure in store.failures()][1:] == ["frames-dropped", "face-none"]
    assert names[2] in store.failures()[0].sentence
    assert store.body(2)["views"] == 5
    said = capsys.readouterr()
    assert "Interpolated between their neighbours: 3-5" in said.out and "3 failed" in said.out
    for number in (3, 4, 5):
        assert f"Frame {number}: " in said.err
    assert f"Camera '{names[0]}' has dropped 2 frames: 2, 4." in said.err
    curves = json.loads((output / "curves.json").read_text())
    assert curves["interpolated"] == [3, 4, 5] and curves["frames"] == 6
    _, samples = caches.read_pc2(output / "point_cache.pc2")
    np.testing.assert_allclose(samples[3], (samples[1] + samples[5]) / 2, atol=1e-3)
