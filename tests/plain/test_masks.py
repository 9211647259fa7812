"""Cutting the head out of the photographs from rough mattes, with colours shared by all views."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge.capture.cameras import Camera  # noqa: E402
from bridge.mattes import cut_out as masks  # noqa: E402


def scene(seed: int, shape=(360, 300), shift=(0, 0)):
    """A striped head with a grey shirt before a slightly different grey wall; truth, photograph, rough matte."""
    h, w = shape
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    head = ((x - w * 0.5 - shift[0]) / (0.25 * w)) ** 2 + ((y - h * 0.4 - shift[1]) / (0.3 * h)) ** 2 < 1
    shirt = (y > 0.62 * h) & (np.abs(x - w * 0.5) < 0.45 * w)
    photo = np.full((h, w, 3), 0.45)
    photo[head] = [0.7, 0.45, 0.35]
    photo[head & (y % 27 < 9)] = [0.3, 0.2, 0.15]
    photo[shirt & ~head] = [0.60, 0.62, 0.60]
    photo += rng.normal(0, 0.015, photo.shape)
    truth = head | shirt
    rough = cv2.GaussianBlur(cv2.erode(truth.astype(np.float32), np.ones((11, 11))), (0, 0), 9)
    return truth, photo.astype(np.float32), rough


def cut_out(photos, mattes, given):
    """With cameras that say nothing about each other: all look in parallel."""
    K = np.array([[500.0, 0, 100], [0, 500, 100], [0, 0, 1]])
    cameras = [Camera(str(i), K, np.eye(3), np.zeros(3), 200, 200) for i in range(len(photos))]
    return masks.cut_out(photos, mattes, cameras, given)


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()


def test_a_rough_matte_takes_the_photographs_outline():
    truth, photo, rough = scene(0)
    (cut,) = cut_out([photo], [rough], [False])
    assert iou(rough, truth) < 0.93 and iou(cut, truth) > 0.98


def test_what_one_view_missed_is_learnt_from_the_others():
    views = [scene(i, shift=(3 * i, 0)) for i in range(4)]
    truth, photo, rough = views[0]
    blind = rough.copy()
    blind[215:] *= 0.5  # this view's matte doubts the shirt
    mattes = [blind] + [view[2] for view in views[1:]]
    alone = cut_out([photo], [blind], [False])[0]
    together = cut_out([view[1] for view in views], mattes, [False] * 4)[0]
    assert iou(together, truth) > 0.97 > iou(alone, truth)


def test_given_masks_are_returned_untouched_and_sizes_may_differ():
    (truth_a, photo_a, _), (truth_b, photo_b, rough_b) = scene(1), scene(2, shape=(480, 640))
    mine = truth_a.astype(np.float32)
    mine[:3, :3] = 1  # odd, but the user's
    first, second = cut_out([photo_a, photo_b], [mine, rough_b], [True, False])
    assert first is mine and second.shape == (480, 640) and iou(second, truth_b) > 0.95
    assert cut_out([photo_a], [mine], [True])[0] is mine


def test_the_work_is_told_piece_by_piece():
    """A bar that goes by it neither stands still for a view nor ends early."""
    views, calls = [scene(i, shift=(3 * i, 0)) for i in range(3)], []
    given = [False, True, False]
    K = np.array([[500.0, 0, 100], [0, 500, 100], [0, 0, 1]])
    cameras = [Camera(str(i), K, np.eye(3), np.zeros(3), 200, 200) for i in range(3)]
    masks.cut_out(*zip(*[view[1:] for view in views]), cameras, given, lambda: calls.append(0))
    assert len(calls) >= masks.pieces_of(given) > 2 * len(views)
    assert masks.pieces_of([True, True]) == 0


def test_hopeless_mattes_stay_as_they_are():
    _, photo, rough = scene(3)
    for matte in (np.zeros_like(rough), np.full_like(rough, 0.5), np.ones_like(rough)):
        np.testing.assert_array_equal(cut_out([photo], [matte], [False])[0], matte)


def test_the_same_photographs_give_the_same_cut():
    _, photo, rough = scene(4)
    first, second = (cut_out([photo], [rough], [False])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
