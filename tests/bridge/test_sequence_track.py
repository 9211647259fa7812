"""A frame of a known person is followed: head, jaw, smile and lids, from photographs of another exposure."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from bench import performance  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.model import head_model  # noqa: E402
from bridge.sequence.identity import identity_of, load_identity  # noqa: E402
from bridge.sequence.track import Marks, Tracker, bounded, placed  # noqa: E402
from bridge.wrap.regions import find_regions  # noqa: E402

SIZE, FRAMES, TAKEN = 400, 9, 3


@pytest.fixture(scope="module")
def take():
    """Template, cameras, truth, and the photographs of the neutral key frame and of one other frame."""
    template = head_model.load().template
    truth = performance.act(template, FRAMES, seed=2)
    head = truth.vertices[0]
    cameras = performance.rig(6, np.array([0, head[:, 1].max() - 130, head[:, 2].max() - 90]), SIZE)
    studio = performance.Studio(template, head, cameras, seed=2)
    pictures = [[p.astype(np.float32) / 255 for p in studio.photograph(truth.vertices[f])] for f in (0, TAKEN)]
    return template, cameras, truth, pictures


class Marked(Tracker):
    """The landmark model's answers are the true ones with 2 mm of noise: its files are not on every machine."""

    truth: np.ndarray

    def _landmarks(self, cameras, pictures, check):
        marks = np.einsum("nk,nkd->nd", self.identity.weights, self.truth[self.identity.corners])
        return Marks(marks + np.random.default_rng(0).normal(0, 2, marks.shape), np.full(len(marks), 2.0))


@pytest.fixture(scope="module")
def tracked(take, tmp_path_factory):
    template, cameras, truth, pictures = take
    regions = find_regions(template)
    wrapped = {
        "vertices": truth.vertices[0], "faces": template.faces, "part": template.part, "shapes": template.expressions,
        "shape_names": np.array(template.expression_names), "landmarks_sigma": np.ones(468), "uv": template.uv,
        "faces_uv": template.faces_uv, "landmarks": template.landmarks.points(truth.vertices[0]),
    }  # fmt: skip
    marked = {name: getattr(regions, name) for name in regions.__dataclass_fields__}
    made = identity_of(wrapped, template.landmarks, marked).with_look(cameras, pictures[0])
    path = tmp_path_factory.mktemp("identity") / "identity.npz"
    made.save(path)
    tracker = Marked(load_identity(path), None)
    tracker.truth = truth.vertices[TAKEN]
    darker = [0.75 * picture for picture in pictures[1]]
    return tracker, tracker.track(cameras, darker)


def test_the_face_is_where_it_is_and_the_shapes_are_those_of_the_performance(take, tracked):
    template, _, truth, _ = take
    tracker, found = tracked
    moved = np.linalg.norm(truth.vertices[TAKEN] - truth.vertices[0], axis=1)[tracker.identity.face]
    error = np.linalg.norm(
        placed(tracker.identity, found.pose, found.detail) - truth.vertices[TAKEN], axis=1
    )[tracker.identity.face]  # fmt: skip
    assert moved.mean() > 5 and error.mean() < 0.6
    wanted = truth.expression[TAKEN]
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "mouthPucker"):
        i = template.expression_names.index(name)
        assert found.pose.expression[i] == pytest.approx(wanted[i], abs=0.15), name


def test_the_same_photographs_give_the_same_bytes(take, tracked):
    tracker, found = tracked
    again = tracker.track(take[1], [0.75 * picture for picture in take[3][1]])
    assert again.detail.tobytes() == found.detail.tobytes() and again.pose.R.tobytes() == found.pose.R.tobytes()


def test_a_frame_without_a_face_is_told_as_one(take, tracked):
    class Blind:
        def find(self, picture, region=None):
            return None

    tracker = Tracker(tracked[0].identity, Blind())
    with pytest.raises(BridgeError) as caught:
        tracker.track(take[1], take[3][0])
    assert caught.value.code == "face-none" and caught.value.cure


def test_weights_stay_between_0_and_1_at_the_least_square():
    A, b = np.eye(8) * 2.0, np.zeros(8)
    b[6:] = [-4.0, 1.0]  # free minimum: weights + (2, -0.5)
    step = bounded(A, b, np.array([0.5, 0.2]), np.array([False, False]))
    np.testing.assert_allclose(step[6:], [0.5, -0.2])
    assert bounded(A, b, np.array([0.5, 0.2]), np.array([False, True]))[7] == 0
