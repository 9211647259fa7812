"""What the first stage keeps of large photographs: small enough to hold all, fine enough for every stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture import images, inputs  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.cameras import Distortion  # noqa: E402
from bridge.capture.record import Capture, View  # noqa: E402
from tests.support import synthetic  # noqa: E402


def spot(camera, point, radius):
    """A bright disc about where the camera sees the point."""
    (x, y), _ = camera.project(point[None])[0][0], None
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    return (np.hypot(columns - x, rows - y) < radius).astype(np.uint8) * 255


@pytest.fixture
def folder(tmp_path):
    """Three photographs larger than what the tests keep, of one bright spot; the third has a small mask."""
    views, point = [], np.array([0.2, -0.1, 0.3])
    for i, camera in enumerate(synthetic.ring(3, np.zeros(3), 1.0, 1500)):
        camera = replace(camera, height=1050)
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
            disc = spot(camera, point, 150)
            images.write(tmp_path / kind / f"{i}.png", np.repeat(disc[..., None], 3, 2) if kind == "images" else disc)
        views.append(
            View(camera, tmp_path / "images" / f"{i}.png", tmp_path / "masks" / f"{i}.png" if i == 2 else None)
        )
    captures.save(Capture("large", tuple(views)), tmp_path)
    return tmp_path, point


def read(folder):
    return inputs.read_inputs(folder)


def test_photographs_are_kept_at_the_size_that_the_stages_need(folder, monkeypatch):
    folder, point = folder
    monkeypatch.setattr(inputs, "LONGER_SIDE", 500)
    monkeypatch.setattr(inputs, "HEAD_SIDE", 200)
    found = read(folder)
    assert [photo.pixels.shape for photo in found.photos] == [(350, 500, 3)] * 2 + [(700, 1000, 3)]
    assert found.given_masks[0] is None and found.given_masks[2].shape == (700, 1000)
    for photo in found.photos:
        (expected,), _ = photo.camera.project(point[None])
        rows, columns = np.nonzero(photo.pixels[..., 1] > 0.5)
        assert np.abs([columns.mean() + 0.5, rows.mean() + 0.5] - expected).max() < 0.1


def test_photographs_and_masks_take_half_the_room_and_lose_an_eighth_of_a_grey_step(folder):
    folder, _ = folder
    found, views = read(folder), captures.load(folder).views
    assert all(photo.pixels.dtype == np.float16 for photo in found.photos)
    for pixels, view in zip(found.pixels, views, strict=True):
        assert pixels.dtype == np.float32
        assert np.abs(pixels - images.read_photo(view).pixels).max() < 0.125 / 255
    assert found.packed_masks[2].dtype == np.float16 and found.given_masks[2].dtype == np.float32
    assert [mask is None for mask in found.given_masks[:3]] == [True, True, False]


def test_a_small_photograph_is_kept_as_it_is(folder, monkeypatch):
    monkeypatch.setattr(inputs, "LONGER_SIDE", 1500)
    assert read(folder[0]).photos[0].pixels.shape == (1050, 1500, 3)


def test_a_measured_map_of_a_bent_photograph_is_as_bent_as_it(folder):
    """Normals change with the pixel; after straightening, each stands where the straight camera sees it."""
    folder, _ = folder
    capture = captures.load(folder)
    camera = replace(capture.views[0].camera, distortion=Distortion(k1=-0.6))
    rows, columns = np.mgrid[:210, :300] + 0.5
    tilt = (columns - 150) / 300
    normals = np.stack([np.sin(tilt), np.zeros_like(tilt), np.cos(tilt)], -1).astype(np.float32)
    (folder / "normals").mkdir()
    images.write_normals(folder / "normals" / "0.png", normals)
    views = (replace(capture.views[0], camera=camera, normals=folder / "normals" / "0.png"), *capture.views[1:])
    captures.save(replace(capture, views=views), folder)
    found = inputs.measured_map(read(folder), 0)
    bent = np.array([[80.5, 105.5]])
    small = camera.resize(300, 210)
    ray = np.linalg.inv(small.K) @ [*images.undistort_points(bent, small)[0], 1.0]
    straight = (images.undistorted_camera(small).K @ ray)[:2]
    assert abs(straight[0] - bent[0, 0]) > 1.5
    x, y = (straight - 0.5).round().astype(int)
    expected = np.sin((bent[0, 0] - 150) / 300)
    assert found.normals[y, x, 0] == pytest.approx(expected, abs=0.5 / 300 + 1e-3)
    assert np.allclose(np.linalg.norm(found.normals[y, x]), 1, atol=1e-5)
