"""What runs on two cores at once says the same as one after the other: order, a view, a map's gutter."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("numba")

from bench.subjects import rig, shape  # noqa: E402
from bridge.raster import make_rasteriser  # noqa: E402
from bridge.raster.look import look  # noqa: E402
from bridge.side_by_side import side_by_side  # noqa: E402
from bridge.texture import fill  # noqa: E402


def test_results_come_in_order_and_no_more_are_made_than_there_are_workers():
    lock, going, most, begun = threading.Lock(), set(), [0], []

    def work(number):
        with lock:
            going.add(number)
            begun.append(number)
            most[0] = max(most[0], len(going))
        time.sleep(0.02 if number % 2 else 0.001)
        with lock:
            going.discard(number)
        return number

    results = side_by_side(work, range(7), workers=2)
    assert next(results) == 0
    time.sleep(0.1)
    assert len(begun) <= 3  # one given out, two in the making: each may hold a photograph
    assert list(results) == [1, 2, 3, 4, 5, 6] and most[0] <= 2


def test_what_fails_is_heard_in_its_turn_and_nothing_new_begins():
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise ValueError("one")
        return number

    results = side_by_side(work, range(50))
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        list(results)
    assert len(begun) < 6


def test_a_look_is_what_the_rasteriser_renders():
    vertices, faces = shape(2562)
    values = np.random.default_rng(0).random((len(vertices), 2)).astype(np.float32)
    camera = rig(3, 96)[1]
    render = make_rasteriser("cpu", [camera]).render(vertices, faces, values)
    depth, image = look(camera, vertices, faces, values)
    seen = render.triangle[0] >= 0
    assert 0.1 < seen.mean() < 0.9
    np.testing.assert_array_equal(depth, np.where(seen, render.depth[0], 0))
    np.testing.assert_array_equal(image[seen], render.attributes[0][seen])
    assert not image[~seen].any()


@pytest.mark.parametrize("beyond", [None, (10, 200, 30)])
def test_a_gutter_in_strips_is_that_of_the_whole_map(monkeypatch, beyond):
    rng = np.random.default_rng(1)
    covered = np.zeros((300, 300), np.uint8)
    for x, y in rng.integers(0, 260, (5, 2)):
        covered[y : y + 30, x : x + 40] = 1
    covered[200:] = 0  # strips without an island, too
    image = rng.integers(0, 255, (300, 300, 3)).astype(np.uint8)
    whole, strips = image.copy(), image.copy()
    monkeypatch.setattr(fill, "STRIP", 300)
    fill.fill_gutter(whole, covered, beyond)
    monkeypatch.setattr(fill, "STRIP", 37)
    fill.fill_gutter(strips, covered, beyond)
    np.testing.assert_array_equal(strips, whole)
    np.testing.assert_array_equal(whole[covered > 0], image[covered > 0])
    assert (whole[covered == 0] != image[covered == 0]).any()
