"""Frames put together: the cache's bytes, gaps between neighbours, smoothing of motion and coefficients alone."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("numba")

from bridge.model import head_model  # noqa: E402
from bridge.report import results  # noqa: E402
from bridge.sequence import caches  # noqa: E402
from bridge.sequence import gather as gathering  # noqa: E402
from bridge.sequence.gather import gather, smoothed  # noqa: E402
from bridge.sequence.identity import Identity, identity_of  # noqa: E402
from bridge.sequence.look import LEVELS  # noqa: E402
from bridge.sequence.solve import TRACK, VERTICES, WRAPPED  # noqa: E402
from bridge.sequence.store import Store  # noqa: E402
from bridge.sequence.track import Pose, placed  # noqa: E402
from bridge.sequence.wrapped import pose_of  # noqa: E402
from bridge.wrap.regions import find_regions  # noqa: E402

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


def identity():
    marks = np.zeros((468, 3))
    return Identity(
        neutral=SQUARE, shapes=np.array([[[0, 0, 1.0]] * 4], np.float32), shape_names=("jawOpen",),
        faces=np.array([[0, 1, 2, 3]], np.int32), part=np.zeros(4, np.uint8), follows=np.ones(4, bool),
        face=np.ones(4, bool), corners=np.zeros((468, 3), np.int32), weights=np.full((468, 3), 1 / 3), marks=marks,
        sigma=np.ones(468), look=np.zeros((1, LEVELS, 4), np.float32), shown=np.ones((1, 4), np.float32), size=1.0,
        expression=np.zeros((1, 1)),
        uv=SQUARE[:, :2].astype(np.float32), faces_uv=np.array([[0, 1, 2, 3]], np.int32),
    )  # fmt: skip


def pose(weight, angle=0.0, shift=0.0):
    return Pose(Rotation.from_rotvec([0, 0, angle]).as_matrix(), np.array([shift, 0, 0]), np.array([weight]))


def test_a_missing_frame_lies_between_its_neighbours_and_is_told(tmp_path):
    store = Store(tmp_path)
    store.claim()
    identity().save(tmp_path / "identity.npz")
    for number, weight in ((7, 0.2), (10, 0.8)):
        with store.work(number, "key") as folder:
            found = pose(weight, angle=weight, shift=10 * weight)
            results.write_npz(folder / TRACK, R=found.R, t=found.t, expression=found.expression, detail=SQUARE * 0)
    gathered = gather(store, unit_mm=1.0)
    assert gathered is not None and list(gathered.missing) == [8, 9] and "8-9" in str(gathered)
    first, samples = caches.read_pc2(tmp_path / "point_cache.pc2")
    assert first == 7 and samples.shape == (4, 4, 3)
    np.testing.assert_allclose(samples[:, 0, 2], [0.2, 0.4, 0.6, 0.8], atol=1e-6)
    body = json.loads((tmp_path / "curves.json").read_text())
    assert body["interpolated"] == [8, 9] and body["first"] == 7 and body["unit_mm"] == 1.0
    np.testing.assert_allclose(body["shapes"]["jawOpen"], [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(np.array(body["head"]["rotation"])[:, 2], [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(np.array(body["head"]["shift"])[:, 0], [2, 4, 6, 8])


def test_the_caches_header_is_that_of_the_format(tmp_path):
    caches.write_pc2(tmp_path / "a.pc2", 3, [SQUARE], 4, 1)
    data = (tmp_path / "a.pc2").read_bytes()
    assert data[:12] == b"POINTCACHE2\0" and struct.unpack("<iiffi", data[12:32]) == (1, 4, 3.0, 1.0, 1)
    assert len(data) == 32 + 4 * 3 * 4


def test_smoothing_keeps_a_steady_change_and_lessens_noise_but_not_over_a_gap():
    rng = np.random.default_rng(0)
    steady = [pose(0.1 + 0.05 * i, 0.02 * i, i) for i in range(12)]
    for before, after in zip(steady, smoothed(range(12), steady, 100.0)):
        np.testing.assert_allclose(after.R, before.R, atol=1e-6)
        np.testing.assert_allclose([*after.t, *after.expression], [*before.t, *before.expression], atol=1e-6)
    noisy = [pose(0.5, shift=float(rng.normal())) for _ in range(60)]
    apart = [*range(30), *range(40, 70)]
    soft = smoothed(apart, noisy, 200.0)
    inner = [i for i in range(2, 58) if not 27 < i < 32]
    assert np.std([soft[i].t[0] for i in inner]) < 0.85 * np.std([noisy[i].t[0] for i in inner])
    assert all(soft[i].t[0] == noisy[i].t[0] for i in (28, 29, 30, 31))


def test_a_blink_of_one_frame_is_motion_and_stays():
    still = [pose(0.0, shift=0.0) for _ in range(9)]
    still[4] = pose(1.0, angle=0.3, shift=5.0)
    after = smoothed(range(9), still, 5.0)
    assert after[4].expression[0] > 0.99 and after[4].t[0] > 4.99 and after[3].expression[0] < 0.01


@pytest.fixture(scope="module")
def person():
    """Who performs in the shipped head model's shape."""
    template = head_model.load().template
    regions = find_regions(template)
    wrapped = {
        "vertices": template.vertices, "faces": template.faces, "part": template.part, "shapes": template.expressions,
        "shape_names": np.array(template.expression_names), "landmarks_sigma": np.ones(468), "uv": template.uv,
        "faces_uv": template.faces_uv, "landmarks": template.landmarks.points(template.vertices),
    }  # fmt: skip
    return identity_of(wrapped, template.landmarks, {k: getattr(regions, k) for k in regions.__dataclass_fields__})


def acted(person, jaw, smile, angle):
    weights = np.zeros(len(person.shapes))
    weights[person.shape_names.index("jawOpen")] = jaw
    weights[person.shape_names.index("mouthSmileLeft")] = smile
    return Pose(Rotation.from_rotvec([0, angle, 0.1]).as_matrix(), np.array([3.0, -5, angle]), weights)


def test_frames_that_were_each_wrapped_get_motion_curves_and_a_cache(person, tmp_path, monkeypatch):
    """Wrapped frames are world positions alone: the head's motion and the shapes are found in them."""
    store = Store(tmp_path)
    store.claim()
    rng = np.random.default_rng(0)
    true = {4: acted(person, 0, 0, 0), 5: acted(person, 0.7, 0.2, 0.2), 7: acted(person, 0.1, 0.9, 0.4)}
    world = {number: placed(person, pose) + rng.normal(0, 0.2, person.neutral.shape) for number, pose in true.items()}
    for number in true:
        with store.work(number, "key") as folder:
            np.save(folder / VERTICES, world[number].astype(np.float32))
            (folder / WRAPPED).touch()
    monkeypatch.setattr(gathering, "wrapped_in", lambda folder, template: person)
    gathered = gather(store, 1.0, smooth=False, template="any")
    assert gathered is not None and list(gathered.missing) == [6]
    body = json.loads((tmp_path / "curves.json").read_text())
    for i, number in ((0, 4), (1, 5), (3, 7)):
        for name in ("jawOpen", "mouthSmileLeft", "jawLeft"):
            wanted = true[number].expression[person.shape_names.index(name)]
            assert body["shapes"][name][i] == pytest.approx(wanted, abs=0.05), (number, name)
        turn = Rotation.from_rotvec(body["head"]["rotation"][i]) * Rotation.from_matrix(true[number].R).inv()
        assert turn.magnitude() < 0.002
    _, samples = caches.read_pc2(tmp_path / "point_cache.pc2")
    R = Rotation.from_rotvec(body["head"]["rotation"][1]).as_matrix()
    again = (samples[1] - person.centre) @ R.T + person.centre + body["head"]["shift"][1]
    np.testing.assert_allclose(again, world[5], atol=1e-3)  # every vertex is where its own frame's wrap put it


def test_an_open_jaw_is_no_turn_of_the_head(person):
    pose = acted(person, 1.0, 0.0, -0.3)
    found = pose_of(person, placed(person, pose))
    assert np.abs(placed(person, found) - placed(person, pose))[person.follows].max() < 0.5
