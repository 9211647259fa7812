"""Straight photographs of a bent capture: points stay where a straight camera of the same K sees them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge.capture import images, undistort  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.cameras import Camera, Distortion  # noqa: E402

LENS = Distortion(k1=-0.15, k2=0.04, p1=0.002, p2=-0.001)
K = np.array([[300.0, 4.0, 161.3], [0, 296.0, 118.2], [0, 0, 1]])  # with skew, and no square pixels
POINTS = np.array([[-0.42, -0.3, 1.0], [0.4, -0.25, 1.0], [0.02, 0.01, 1.0], [-0.38, 0.29, 1.0], [0.35, 0.3, 1.0]])


def bent_pixels(points):
    """Where the bent camera sees them (first pixel's centre at 0.5)."""
    straight = K.copy()
    straight[0, 1] = 0  # OpenCV's projection has no skew: apply K ourselves
    found, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), LENS.coefficients())
    return found[:, 0] @ K[:2, :2].T + K[:2, 2]


@pytest.fixture
def folder(tmp_path):
    picture = np.full((240, 320), 20, np.uint8)
    rows, columns = np.mgrid[:240, :320] + 0.5
    for x, y in bent_pixels(POINTS):
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
        picture = np.maximum(picture, (20 + 200 * spot).astype(np.uint8))
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        images.write(tmp_path / "images" / f"{name}.png", np.repeat(picture[..., None], 3, 2))
    images.write(tmp_path / "a_mask.png", picture)
    camera = Camera("a", K, np.eye(3), np.zeros(3), 320, 240, LENS)
    plain = np.array(K)
    plain[0, 1] = 0
    views = (
        captures.View(camera, tmp_path / "images" / "a.png", tmp_path / "a_mask.png"),
        captures.View(replace(camera, name="b", K=plain, distortion=None), tmp_path / "images" / "b.png"),
    )
    captures.save(captures.Capture("bent", views, 5.0), tmp_path)
    return tmp_path


def test_points_come_to_lie_where_the_straight_camera_sees_them(folder, tmp_path, capsys):
    out = tmp_path / "straight ü"
    assert undistort.main([str(folder), "-o", str(out)]) == 0
    assert "Straightened 1 of 2 views" in capsys.readouterr().out
    capture = captures.load(out)
    assert capture.unit_mm == 5.0 and [view.name for view in capture.views] == ["a", "b"]
    camera = capture.views[0].camera
    assert not undistort.needs_undistortion(camera) and camera.K[0, 1] == 0
    for values in (images.read_photo(capture.views[0]).pixels[..., 1], images.read_mask(capture.views[0].mask, camera)):
        expected, _ = camera.project(POINTS)
        rows, columns = np.mgrid[:240, :320] + 0.5
        for x, y in expected:
            weight = np.where((columns - x) ** 2 + (rows - y) ** 2 < 64, np.clip(values - 0.1, 0, None), 0)
            centre = [(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()]
            np.testing.assert_allclose(centre, [x, y], atol=0.12)


def test_a_straight_view_keeps_its_file_and_nothing_is_overwritten(folder, tmp_path, capsys):
    out = tmp_path / "straight"
    assert undistort.main([str(folder), "-o", str(out)]) == 0
    assert (out / "images" / "b.png").read_bytes() == (folder / "images" / "b.png").read_bytes()
    assert undistort.main([str(folder), "-o", str(out)]) == 1
    assert "holds a capture already" in capsys.readouterr().err


def test_a_damaged_photograph_is_named(folder, tmp_path, capsys):
    (folder / "images" / "a.png").write_bytes(b"no picture")
    body = json.loads((folder / "capture.json").read_text())
    assert body["views"][0]["distortion"]["k1"] == LENS.k1
    assert undistort.main([str(folder), "-o", str(tmp_path / "o")]) == 1
    problem = capsys.readouterr().err
    assert problem.startswith("Error: ") and "a.png" in problem and problem.count("\n") == 1
