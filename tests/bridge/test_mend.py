"""A fold in a mesh is found by depth maps that know nothing of it, and pulled out: a textured ball with a collar."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import Cancelled  # noqa: E402
from bridge.mesh.boxtree import BoxTree  # noqa: E402
from bridge.mesh.intersections import crossing_faces  # noqa: E402
from bridge.mesh.topology import build_twins  # noqa: E402
from bridge.photometric import Photographs  # noqa: E402
from bridge.photometric.evidence import partners_of  # noqa: E402
from bridge.photometric.mend import mended  # noqa: E402
from bridge.photometric.pictures import Pictures  # noqa: E402
from bridge.photometric.sight import Sights  # noqa: E402
from bridge.photometric.sweep import depth_maps  # noqa: E402
from tests.bridge import test_refine_surface  # noqa: E402
from tests.bridge.test_stereo import FRAME, RADIUS, photograph, rig  # noqa: E402

SIZE = RADIUS / FRAME.radius  # of the ball in the head's frame


def ball() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = test_refine_surface.ball()
    return SIZE * vertices, faces


@functools.cache
def pictures(flat: bool = False) -> Pictures:
    cameras = rig(14)
    photos = [photograph(camera, flat) for camera in cameras]
    return Pictures.of(Photographs(photos, [None] * len(photos), cameras), FRAME, 250, ball()[0])


def collared() -> tuple[np.ndarray, np.ndarray]:
    """The ball with a collar that stands off in front and hangs over what lies beside it."""
    vertices, faces = test_refine_surface.ball()
    middle = FRAME.local(rig()[0].center[None])[0]
    middle /= np.linalg.norm(middle)
    angle = np.arccos(np.clip(vertices @ middle, -1, 1))
    away = vertices - np.outer(vertices @ middle, middle)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    ridge = np.exp(-(((angle - 0.35) / 0.1) ** 2))[:, None]
    return SIZE * (vertices + 0.08 * ridge * vertices + 0.1 * ridge**4 * away), faces


def off(vertices: np.ndarray) -> np.ndarray:
    """Pixels from the ball, of what the ring of cameras sees well."""
    belt = np.abs(vertices[:, 1]) < 0.6 * SIZE
    return np.abs(np.linalg.norm(vertices[belt], axis=1) - SIZE) / (2 / 250)


def test_a_collar_that_the_photographs_do_not_show_is_pulled_back():
    vertices, faces = collared()
    shown = pictures()
    assert np.quantile(off(vertices), 0.99) > 9
    flat, triangles = mended(vertices, faces, shown, partners_of(shown))
    assert np.quantile(off(flat), 0.99) < 2.5 and off(flat).max() < 5
    assert (build_twins(triangles, len(flat)) >= 0).all()
    assert not crossing_faces(flat, triangles, BoxTree.of(flat, triangles)).any()


def test_a_mesh_that_is_right_is_left_alone():
    vertices, faces = ball()
    shown = pictures()
    same, triangles = mended(vertices, faces, shown, partners_of(shown))
    assert same is vertices and triangles is faces


def test_photographs_without_texture_move_nothing():
    vertices, faces = collared()
    shown = pictures(flat=True)
    assert mended(vertices, faces, shown, partners_of(shown))[0] is vertices


def test_depths_are_those_of_the_ball_though_the_mesh_has_a_collar():
    vertices, faces = collared()
    shown = pictures()
    true = Sights.of(*ball(), shown)
    folded = Sights.of(vertices, faces, shown)
    found = depth_maps(folded, partners_of(shown), lambda: None)[0]
    known = (found.agreeing >= 2) & (found.correlation > 0.6)
    whole = np.zeros(shown.grey[0].shape)
    (y, x), (h, w) = true.views[0].first, true.views[0].depth.shape
    whole[y : y + h, x : x + w] = true.views[0].depth
    right = folded.views[0].cut(whole)
    assert known.mean() > 0.4
    error = np.abs(found.depth - right)[known & (right > 0)] / shown.pixel
    assert np.median(error) < 0.3 and np.quantile(error, 0.95) < 2


def test_a_cancelled_run_leaves_at_once():
    def leave() -> None:
        raise Cancelled

    shown = pictures()
    with pytest.raises(Cancelled):
        mended(*collared(), shown, partners_of(shown), leave)
