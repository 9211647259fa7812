"""Camera arithmetic: crops, sizes and frames must not move a point by half a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.capture.cameras import Camera, Distortion
from bridge.capture.framing import head_frame, nearest_point, rig_up

pytest.importorskip("cv2")

from bridge.capture import images  # noqa: E402
from tests.support.synthetic import look_at, ring  # noqa: E402


@pytest.fixture
def points():
    return np.random.default_rng(1).normal(size=(50, 3)) * 0.4


def test_project_and_rays_are_inverse(points):
    camera = ring(5, np.zeros(3), 1.0, 200)[3]
    pixels, depth = camera.project(points)
    rays = camera.rays(pixels)
    along = (points - camera.center) / np.linalg.norm(points - camera.center, axis=1, keepdims=True)
    np.testing.assert_allclose(rays, along, atol=1e-12)
    assert (depth > 0).all()


def test_the_first_pixels_centre_is_at_one_half():
    camera = Camera("c", np.array([[100.0, 0, 0.5], [0, 100, 0.5], [0, 0, 1]]), np.eye(3), np.zeros(3), 4, 4)
    pixels, _ = camera.project(np.array([[0.0, 0, 1]]))
    np.testing.assert_allclose(pixels, [[0.5, 0.5]])


def test_crop_and_resize_follow_the_image(points):
    camera = ring(5, np.zeros(3), 1.0, 200)[1]
    pixels, _ = camera.project(points)
    np.testing.assert_allclose(camera.crop(-10, 25, 80, 60).project(points)[0], pixels - [-10, 25], atol=1e-9)
    # corners map to corners: x' = x * w' / w with no half pixel
    np.testing.assert_allclose(camera.resize(100, 400).project(points)[0], pixels * [0.5, 2.0], atol=1e-9)


def test_a_moved_world_shows_the_same_picture(points):
    camera = ring(5, np.zeros(3), 1.0, 200)[2]
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    offset = np.array([3.0, -2.0, 7.0])
    moved = camera.transformed(2.5, rotation, offset)
    there = 2.5 * points @ rotation.T + offset
    np.testing.assert_allclose(moved.project(there)[0], camera.project(points)[0], atol=1e-8)
    np.testing.assert_allclose(moved.project(there)[1], 2.5 * camera.project(points)[1])


def test_normal_maps_axes():
    """A surface that faces the camera is blue (z), one that faces the picture's top is green (y); there and back."""
    camera = look_at("c", np.zeros(3), np.array([4.0, -3.0, 1.0]), 100, roll=0.4)
    np.testing.assert_allclose(camera.normals_from_world(-camera.forward), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(camera.normals_from_world(camera.up), [0, 1, 0], atol=1e-12)
    normals = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    again = camera.normals_to_world(camera.normals_from_world(normals))
    assert again.dtype == np.float32
    np.testing.assert_allclose(again, normals, atol=1e-5)


def test_nearest_point_of_lines():
    target = np.array([0.3, -1.0, 2.0])
    origins = np.random.default_rng(0).normal(size=(6, 3)) * 5
    directions = (target - origins) / np.linalg.norm(target - origins, axis=1, keepdims=True)
    np.testing.assert_allclose(nearest_point(origins, directions), target, atol=1e-9)
    with pytest.raises(ValueError, match="parallel"):
        nearest_point(origins, np.tile([[0.0, 0, 1]], (6, 1)))


def test_head_frame_finds_place_size_and_up():
    center = np.array([10.0, 20.0, 30.0])
    cameras = ring(8, center, 2.0, 100)
    cameras[0] = look_at("rolled", center, center + [10.0, 0, 0.1], 100, 3.0, roll=np.pi / 2)
    boxes = []
    for camera in cameras:
        sphere = np.random.default_rng(0).normal(size=(4000, 3))
        sphere = center + 1.4 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
        pixels, _ = camera.project(sphere)
        boxes.append([*pixels.min(0), *pixels.max(0)])
    frame = head_frame(cameras, np.array(boxes))
    np.testing.assert_allclose(frame.center, center, atol=0.05)
    assert frame.radius == pytest.approx(1.4, rel=0.03)
    assert frame.up @ [0, 0, 1] > 0.95  # one camera on its side does not turn the rig
    assert rig_up(cameras) @ [0, 0, 1] > 0.95
    axes_only = head_frame(cameras)
    assert np.linalg.norm(axes_only.center - center) < 0.3


def test_undistortion_puts_points_where_the_pinhole_sees_them():
    """A white dot drawn where the distorted camera sees a point must move to where the straight one sees it."""
    K = np.array([[300.0, 0, 210.5], [0, 310.0, 190.25], [0, 0, 1]])
    lens = Distortion(k1=-0.25, k2=0.06, p1=0.003, p2=-0.002)
    camera = Camera("c", K, np.eye(3), np.zeros(3), 400, 400, lens)
    for x, y in ((-0.4, -0.35), (0.42, 0.3), (0.1, -0.45)):
        r2 = x * x + y * y
        radial = 1 + lens.k1 * r2 + lens.k2 * r2 * r2
        xd = x * radial + 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x * x)
        yd = y * radial + lens.p1 * (r2 + 2 * y * y) + 2 * lens.p2 * x * y
        px, py = K[0, 0] * xd + K[0, 2], K[1, 1] * yd + K[1, 2]
        v, u = np.mgrid[:400, :400] + 0.5
        picture = np.exp(-((u - px) ** 2 + (v - py) ** 2) / 8).astype(np.float32)
        moved = images.undistort(picture, camera)
        found = np.array([(moved * u).sum(), (moved * v).sum()]) / moved.sum()
        expected, _ = images.undistorted_camera(camera).project(np.array([[x, y, 1.0]]))
        np.testing.assert_allclose(found, expected[0], atol=0.06)


@pytest.mark.parametrize(
    ("lens", "grows"),
    [
        (Distortion(k1=-0.25, k2=0.06, p1=0.003, p2=-0.002), True),  # barrel: the frame would cut it off
        (Distortion(k1=0.2), False),  # pincushion: all of it is inside already
        (Distortion(k1=-0.2, k2=-3.0), False),  # folds over before its edges: nothing to reach for
    ],
)
def test_a_straight_frame_shows_the_middles_of_a_barrels_edges_and_nothing_unseen(lens, grows):
    K = np.array([[300.0, 2, 190.5], [0, 310.0, 150.25], [0, 0, 1]])
    camera = Camera("c", K, np.eye(3), np.zeros(3), 400, 300, lens)
    found = images.undistorted_camera(camera)
    assert (found.width, found.height) == (400, 300) and found.distortion is None
    assert (found.K[0, 0] < 300) == grows
    assert found.K[0, 0] / found.K[1, 1] == pytest.approx(300 / 310)
    if grows:
        white = images.undistort(np.ones((300, 400), np.float32), camera)
        assert white[1:-1, 1:-1].min() > 0.99
        ends = images.undistort_points(np.array([[0, 150.25], [400, 150.25], [190.5, 0], [190.5, 300.0]]), camera)
        ends = (np.column_stack([ends, np.ones(4)]) @ np.linalg.inv(K).T) @ found.K.T
        reached = max(np.ptp(ends[:2, 0]) / 400, np.ptp(ends[2:, 1]) / 300)
        assert min(np.ptp(ends[:2, 0]) / 400, np.ptp(ends[2:, 1]) / 300) == pytest.approx(1, abs=1e-6) and reached < 1.1
    else:
        assert np.array_equal(found.K, K)
