"""Photographs that show no head among good ones: recognised, left out and said; heads are never taken for them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture import images  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.inputs import Inputs, read_inputs  # noqa: E402
from bridge.capture.normal_map import NormalMap  # noqa: E402
from bridge.check.findings import ERROR, WARNING, Finding  # noqa: E402
from bridge.job.leave_out import headless, leave_out_faulty  # noqa: E402
from bridge.job.record import Job, Tools  # noqa: E402
from bridge.job.stages import PREDICT  # noqa: E402
from bridge.mattes.headless import without_head  # noqa: E402
from bridge.service.protocol import JobSettings, Run  # noqa: E402
from tests.support import shared  # noqa: E402

SIDE = 256


def head(seed):
    """A face-like disc with features before a soft background; photograph and matte."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = np.hypot(x - 128 - seed, (y - 120) * 0.85) < 70
    features = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 3) * 2
    photo = np.where(inside, 0.6 + 0.2 * features, 0.25 + 0.1 * x / SIDE)[..., None] * [1.0, 0.8, 0.7]
    return np.clip(photo, 0, 1).astype(np.float32), inside.astype(np.float32)


def nothing(kind):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = {
        "grey": np.full((SIDE, SIDE), 0.5),
        "black": np.zeros((SIDE, SIDE)),
        "wall": 0.3 + 0.4 * x / SIDE + 0.01 * rng.normal(size=(SIDE, SIDE)),
        "noise": 0.5 + 0.1 * rng.normal(size=(SIDE, SIDE)),
        "chart": ((x // 20 + y // 20) % 2) * 0.8 + 0.1,
    }[kind]
    return np.clip(np.repeat(grey[..., None], 3, 2), 0, 1).astype(np.float32)


SURE, UNSURE = np.full((SIDE, SIDE), 0.6, np.float32), np.full((SIDE, SIDE), 0.45, np.float32)


@pytest.mark.parametrize("kind", ["grey", "black", "wall", "noise", "chart"])
def test_a_picture_without_a_head_is_found_although_it_has_a_matte(kind):
    photos, mattes = map(list, zip(*(head(i) for i in range(6))))
    assert without_head(photos, mattes, [SURE] * 6, [False] * 6) == []
    photos[2] = nothing(kind)
    sure = [SURE] * 6
    sure[2] = UNSURE if kind in ("noise", "chart") else SURE  # as the network is on three captures
    assert without_head(photos, mattes, sure, [False] * 6) == [2]
    assert without_head(photos, mattes, sure, [i == 2 for i in range(6)]) == []  # the user's mask says there is one


def test_dark_and_pale_photographs_of_heads_stay():
    photos, mattes = map(list, zip(*(head(i) for i in range(6))))
    photos[1], photos[4] = photos[1] * 0.35, 0.5 + 0.5 * photos[4]
    assert without_head(photos, mattes, [SURE] * 6, [False] * 6) == []


def test_where_many_show_none_they_are_no_measure():
    photos, mattes = map(list, zip(*(head(i) for i in range(6))))
    photos[:3] = [nothing("noise")] * 3
    assert without_head(photos, mattes, [UNSURE] * 3 + [SURE] * 3, [False] * 6) == []


def inputs_of(photos, mattes) -> Inputs:
    from tests.support import synthetic

    cameras = synthetic.ring(len(photos), np.zeros(3), 1.0, SIDE)
    views = tuple(captures.View(camera, None) for camera in cameras)
    shots = [images.Photo(camera, photo, None) for camera, photo in zip(cameras, photos)]
    maps = [
        NormalMap(camera, np.zeros((SIDE, SIDE, 3), np.float32), matte, SURE) for camera, matte in zip(cameras, mattes)
    ]
    return Inputs(captures.Capture("c", views), shots, [None] * len(photos), maps)


def test_it_is_left_out_of_everything_and_said():
    photos, mattes = map(list, zip(*(head(i) for i in range(4))))
    photos[1] = nothing("grey")
    inputs = inputs_of(photos, mattes)
    (finding,) = headless(inputs)
    assert finding.code == "no-head" and finding.sentence == "View 'cam01' shows no head: left out."
    assert [view.name for view in inputs.capture.views] == ["cam00", "cam02", "cam03"]
    assert len(inputs.photos) == len(inputs.maps) == len(inputs.given_masks) == 3


def test_given_masks_may_be_of_another_size_than_the_maps():
    photos, mattes = map(list, zip(*(head(i) for i in range(4))))
    inputs = inputs_of(photos, mattes)
    inputs.packed_masks = [cv2.resize(matte, (512, 512)) for matte in mattes]
    assert headless(inputs) == []


def test_two_others_are_enough():
    photos, mattes = map(list, zip(*(head(i) for i in range(3))))
    photos[1] = nothing("grey")
    inputs = inputs_of(photos, mattes)
    (found,) = headless(inputs)
    assert found.views == ("cam01",) and found.sentence == "View 'cam01' shows no head: left out."
    assert [view.name for view in inputs.capture.views] == ["cam00", "cam02"]


def checked(count, *found: Finding) -> Job:
    """A job of so many views after a check that found this."""
    job = Job(Run("t", "", "", JobSettings()))
    job.inputs = inputs_of(*map(list, zip(*(head(i) for i in range(count)))))
    job.checked = list(found)
    return job


def test_a_view_that_cannot_be_right_takes_no_part_and_is_named():
    wrong = Finding("camera-disagrees", ERROR, ("cam02",), "It does not fit.", "Solve it again.")
    doubted = Finding("photo-exposure", WARNING, ("cam01",), "It is dark.", "Light it.")
    job = checked(6, wrong, doubted)
    leave_out_faulty(job, None)
    assert [view.name for view in job.inputs.capture.views] == ["cam00", "cam01", "cam03", "cam04", "cam05"]
    (said,) = job.findings
    assert said.views == ("cam02",) and said.sentence == "'cam02' took no part in this head."


def test_where_more_than_a_quarter_is_accused_nobody_is_left_out():
    """Then it may be the accusers who are wrong, and a head of what remains is no better."""
    wrong = [Finding("camera-disagrees", ERROR, (f"cam0{i}",), "It does not fit.", "Solve it.") for i in (0, 2)]
    job = checked(6, *wrong)
    leave_out_faulty(job, None)
    assert len(job.inputs.photos) == 6 and not job.findings
    job = checked(3, wrong[0])
    leave_out_faulty(job, None)
    assert len(job.inputs.photos) == 3


def test_a_blurred_photograph_gives_no_detail_unless_nearly_all_are():
    blurred = [Finding("photo-blurred", WARNING, (f"cam0{i}",), "It is blurred.", "Focus.") for i in range(4)]
    assert checked(4, blurred[1]).sharp == [0, 2, 3]
    assert checked(4, *blurred[:3]).sharp == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grey", "black", "wall", "noise", "chart"])
@pytest.mark.parametrize("capture", ["valid_wf2", "marble_bust", "nefertiti"])
def test_with_the_real_network(tmp_path, capture, kind):
    from bridge.job.cache import Cache
    from bridge.job.predictors import Predictors
    from bridge.job.preview import Previews
    from bridge.service.reporter import Reporter
    from bridge.service.wire import Control

    inputs = read_inputs(shared("data", "captures", capture, "capture.json").parent)
    inputs.keep(list(range(0, len(inputs.photos), max(1, len(inputs.photos) // 8)))[:8])
    inputs.packed_masks = [None] * len(inputs.photos)
    blank = cv2.resize(nothing(kind), inputs.photos[2].pixels.shape[1::-1])
    inputs.photos[2] = images.Photo(inputs.photos[2].camera, blank, None)
    report = Reporter("t", lambda message: None, Control(), {PREDICT.name: 1.0})
    report.begin(PREDICT.name)
    job = Job(Run("t", "", str(tmp_path), JobSettings()), 256)
    job.inputs = inputs
    name = inputs.capture.views[2].name
    PREDICT.function(job, Tools(report, Cache(tmp_path), Predictors(), Previews(report, tmp_path)))
    assert [finding.views for finding in headless(inputs)] == [(name,)]
