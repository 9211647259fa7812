"""Reading photographs, masks and normal maps; every bad file is one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")

from bridge.capture import (
    images,  # noqa: E402
    masks,  # noqa: E402
)
from bridge.capture.cameras import Camera  # noqa: E402
from bridge.capture.record import NormalsEncoding, View  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402


@pytest.fixture
def camera():
    return Camera("left ear", np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]), np.eye(3), np.zeros(3), 40, 30)


def picture(value=(10, 120, 250)):
    """A BGR image whose left half is darker: mirroring it shows."""
    pixels = np.full((30, 40, 3), value, np.uint8)
    pixels[:, :20] //= 2
    return pixels


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "äö 頭.png"])
def test_colour_order_and_sides(tmp_path, camera, name):
    images.write(tmp_path / name, picture())
    photo = images.read_photo(View(camera, tmp_path / name))
    np.testing.assert_allclose(photo.pixels[15, 35] * 255, [250, 120, 10], atol=4)
    np.testing.assert_allclose(photo.pixels[15, 5] * 255, [125, 60, 5], atol=6)
    assert photo.alpha is None


def test_16_bit_and_linear_float_agree_with_8_bit(tmp_path, camera):
    eight = picture()
    images.write(tmp_path / "a.png", eight.astype(np.uint16) * 257)
    sixteen = images.read_photo(View(camera, tmp_path / "a.png")).pixels
    np.testing.assert_allclose(sixteen, eight[..., ::-1] / 255, atol=1e-4)
    encoded = eight.astype(np.float32) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)
    exr = pytest.importorskip("OpenEXR")
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    with exr.File(header, {"RGB": np.ascontiguousarray(linear[..., ::-1])}) as file:
        file.write(str(tmp_path / "a.exr"))
    np.testing.assert_allclose(images.read_photo(View(camera, tmp_path / "a.exr")).pixels, sixteen, atol=2e-3)


def test_alpha_is_a_mask(tmp_path, camera):
    pixels = np.dstack([picture(), np.zeros((30, 40), np.uint8)])
    pixels[10:20, 25:35, 3] = 255
    images.write(tmp_path / "a.png", pixels)
    view = View(camera, tmp_path / "a.png")
    mask = masks.head_mask(view, images.read_photo(view))
    np.testing.assert_allclose(masks.boxes([mask, None]), [[25, 10, 35, 20], [np.nan] * 4])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_truncated_image_is_named(tmp_path, camera, name):
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    images.write(tmp_path / name, noise)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BridgeError) as raised:
        images.read_photo(View(camera, tmp_path / name))
    assert raised.value.code == "image-unreadable"
    assert name in raised.value.sentence and "left ear" in raised.value.sentence and raised.value.cure


def test_a_text_file_is_no_image(tmp_path, camera):
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(BridgeError, match="left ear"):
            images.read_photo(View(camera, tmp_path / name))


def test_a_wrong_size_is_named_with_both_sizes(tmp_path, camera):
    images.write(tmp_path / "a.png", picture())
    with pytest.raises(BridgeError) as raised:
        images.read_photo(View(replace(camera, width=30, height=40), tmp_path / "a.png"))
    assert raised.value.code == "image-size"
    assert "40 x 30" in raised.value.sentence and "30 x 40" in raised.value.sentence


def test_masks_are_checked(tmp_path, camera):
    images.write(tmp_path / "a.png", picture())
    view = View(camera, tmp_path / "a.png", tmp_path / "m.png")
    photo = images.read_photo(view)
    images.write(tmp_path / "m.png", np.zeros((30, 40), np.uint8))
    with pytest.raises(BridgeError) as raised:
        masks.head_mask(view, photo)
    assert raised.value.code == "mask-empty" and "left ear" in raised.value.sentence
    images.write(tmp_path / "m.png", np.full((15, 20), 255, np.uint8))
    with pytest.raises(BridgeError) as raised:
        masks.head_mask(view, photo)
    assert raised.value.code == "mask-size"


def test_normal_maps_in_both_axes_and_depths(tmp_path):
    rng = np.random.default_rng(3)
    normals = rng.normal(size=(20, 25, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[:3] = 0
    images.write_normals(tmp_path / "n.png", normals)
    again = images.read_normals(tmp_path / "n.png", NormalsEncoding(), "x")
    np.testing.assert_allclose(again, normals, atol=5e-5)
    flipped = images.read_normals(tmp_path / "n.png", NormalsEncoding(axes="opencv"), "x")
    np.testing.assert_allclose(flipped, normals * [1, -1, -1], atol=5e-5)
    # 8 bit values count in 255ths whatever the capture says of its 16 bit maps
    eight = np.rint((normals + 1) / 2 * 255).astype(np.uint8)
    eight[:3] = 0
    images.write(tmp_path / "e.png", eight[..., ::-1])
    np.testing.assert_allclose(images.read_normals(tmp_path / "e.png", NormalsEncoding(), "x"), normals, atol=0.01)
