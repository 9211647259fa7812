"""Lens models of other programs as OpenCV's: against OpenCV's own fisheye and formulas written out here."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge.capture import images  # noqa: E402
from bridge.capture.cameras import Camera, Distortion  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.importers import lens  # noqa: E402
from tests.support import cameras  # noqa: E402

SIZE = (4000, 3000)


def camera_of(K, distortion):
    return Camera("c", K, np.eye(3), np.zeros(3), *SIZE, distortion)


def intrinsics(f):
    return np.array([[f, 0, 2010.0], [0, f, 1480.0], [0, 0, 1]])


def rays(K, widest):
    """Points before the camera up to an angle, spread over the whole image."""
    angle = np.linspace(0, np.radians(widest), 60)[:, None]
    turn = np.linspace(0, 2 * np.pi, 40)[None]
    x, y = np.tan(angle) * np.cos(turn), np.tan(angle) * np.sin(turn)
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)


@pytest.mark.parametrize("k", [(), (0.03, -0.01, 0.004, -0.001)])
@pytest.mark.parametrize("corner", [30, 50, 54, 70])  # at 54 the highest order of the fit has a pole
def test_fisheye_is_opencvs(k, corner):
    K = intrinsics(2500 / np.radians(corner))
    found = camera_of(K, lens.fisheye(k, K, SIZE, "camera 1", "OPENCV_FISHEYE"))
    world = rays(K, corner + 5)
    coefficients = np.array((*k, 0.0, 0, 0, 0)[:4])
    expected = cv2.fisheye.projectPoints(world[:, None], np.zeros(3), np.zeros(3), K, coefficients)[0].reshape(-1, 2)
    inside = ((expected > 0) & (expected < SIZE)).all(1)
    assert np.abs(cameras.project(found, world) - expected)[inside].max() < 0.011


@pytest.mark.parametrize("k", [-0.3, -0.05, 0.05])
def test_division(k):
    K = intrinsics(3000)
    found = camera_of(K, lens.division(k, K, SIZE, "camera 1", "DIVISION"))
    x, y = np.meshgrid(np.linspace(0, 4000, 41), np.linspace(0, 3000, 31))
    bent = np.stack([(x.ravel() - 2010) / 3000, (y.ravel() - 1480) / 3000], 1)
    straight = bent / (1 + k * (bent**2).sum(1, keepdims=True))
    pixels = cameras.project(found, np.column_stack([straight, np.ones(len(straight))]))
    assert np.abs(pixels - np.stack([x.ravel(), y.ravel()], 1)).max() < 0.011
    assert lens.division(0.0, K, SIZE, "camera 1", "DIVISION") is None


def test_a_polynomial_without_k4_is_exact():
    found = lens.polynomial((0.1, -0.2, 0.3), (0.01, 0.02), intrinsics(3000), SIZE, "camera 1")
    assert found.coefficients().tolist() == [0.1, -0.2, 0.01, 0.02, 0.3, 0, 0, 0]
    assert lens.polynomial((), (0, 0), intrinsics(3000), SIZE, "camera 1") is None


def test_what_cannot_be_followed_is_refused_by_name():
    for corner in (80, 120):
        K = intrinsics(2500 / np.radians(corner))
        with pytest.raises(BridgeError, match="camera 1 has the lens model OPENCV_FISHEYE, which bends") as raised:
            lens.fisheye((), K, SIZE, "camera 1", "OPENCV_FISHEYE")
        assert raised.value.code == "camera-model" and "Undistort" in raised.value.cure
    with pytest.raises(BridgeError, match="radial polynomial with k4"):
        lens.polynomial((0, 0, 0, -0.5), (0, 0), intrinsics(2000), SIZE, "camera 1")


@pytest.mark.parametrize("corner", [35, 55])
def test_a_fisheyes_photograph_is_straightened_as_opencv_does(corner):
    """The picture itself: OpenCV's own fisheye undistortion of it into the same straight camera."""
    k = (0.03, -0.01, 0.004, -0.001)
    size = (400, 300)
    f = 250 / np.radians(corner)
    K = np.array([[f, 0, 205.0], [0, f, 148.0], [0, 0, 1]])
    found = lens.fisheye(k, K, size, "camera 1", "OPENCV_FISHEYE")
    camera = Camera("c", K, np.eye(3), np.zeros(3), *size, found)
    y, x = np.mgrid[:300, :400].astype(np.float32)
    picture = np.dstack([np.sin(x / 9), np.cos(y / 11), np.sin((x + y) / 17)]).astype(np.float32)
    straight = images.undistorted_camera(camera)
    assert straight.K[0, 0] < K[0, 0]
    shift = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    expected = cv2.fisheye.undistortImage(picture, K - shift, np.array(k), Knew=straight.K - shift)
    ours = images.undistort(picture, camera)
    assert np.abs(ours - expected)[2:-2, 2:-2].max() < 0.01


def test_undistorting_keeps_the_skew_of_metashapes_b2():
    K = np.array([[300, 4.0, 160], [0, 300, 120], [0, 0, 1]])
    camera = Camera("c", K, np.eye(3), np.zeros(3), 320, 240, Distortion(k1=1e-9))
    ramp = np.tile(np.arange(320, dtype=np.float32), (240, 1))
    assert np.abs(images.undistort(ramp, camera) - ramp)[:, 10:-10].max() < 0.01
