"""Photographs and masks as cameras and programs really write them."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from PIL import Image  # noqa: E402

from bridge.capture import images, inputs, masks, pillow  # noqa: E402
from bridge.capture.cameras import Camera  # noqa: E402
from bridge.capture.record import Capture, View, save  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from tests.support import ROOT, synthetic  # noqa: E402


@pytest.fixture
def camera():
    return Camera("left ear", np.array([[500.0, 0, 200], [0, 500, 150], [0, 0, 1]]), np.eye(3), np.zeros(3), 400, 300)


def noise(height=300, width=400):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def encoded(suffix, pixels):
    return cv2.imencode(suffix, pixels)[1].tobytes()


# by content


@pytest.mark.parametrize(
    ("suffix", "name"), [(".jpg", "a.png"), (".png", "a.jpg"), (".png", "a.tif"), (".jpg", "a.bmp")]
)
def test_an_image_is_read_by_what_it_holds_and_not_by_its_name(tmp_path, camera, suffix, name):
    (tmp_path / name).write_bytes(encoded(suffix, noise()))
    photo = images.read_photo(View(camera, tmp_path / name))
    np.testing.assert_allclose(photo.pixels[..., ::-1].mean(), noise().mean() / 255, atol=0.02)
    assert not photo.remark


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_bytes_after_an_images_end_do_not_matter(tmp_path, camera, suffix):
    whole = encoded(suffix, noise())
    (tmp_path / f"a{suffix}").write_bytes(whole)
    (tmp_path / f"b{suffix}").write_bytes(whole + b"appended by a telephone" * 1000)
    clean, longer = (images.read_photo(View(camera, tmp_path / f"{name}{suffix}")) for name in "ab")
    np.testing.assert_array_equal(clean.pixels, longer.pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_missing_end_marker_is_a_remark_when_all_rows_are_there(tmp_path, camera, suffix):
    whole = encoded(suffix, noise())
    (tmp_path / f"a{suffix}").write_bytes(whole)
    (tmp_path / f"b{suffix}").write_bytes(whole[: -12 if suffix == ".png" else -2])
    clean, cut = (images.read_photo(View(camera, tmp_path / f"{name}{suffix}")) for name in "ab")
    np.testing.assert_array_equal(clean.pixels, cut.pixels)
    assert "no end marker" in cut.remark and "left ear" in cut.remark and not clean.remark


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("lost", [16, 40, 300, 20_000])
def test_missing_rows_are_refused(tmp_path, camera, suffix, lost):
    (tmp_path / f"a{suffix}").write_bytes(encoded(suffix, noise())[:-lost])
    with pytest.raises(BridgeError) as raised:
        images.read_photo(View(camera, tmp_path / f"a{suffix}"))
    assert raised.value.code == "image-unreadable"


@pytest.mark.parametrize("kind", ["TGA", "DDS", "WEBP", "AVIF"])
def test_formats_of_pictures_are_read(tmp_path, camera, kind):
    flat = np.full((300, 400, 3), (250, 120, 10), np.uint8)
    Image.fromarray(flat).save(tmp_path / f"a.{kind.lower()}")
    photo = images.read_photo(View(camera, tmp_path / f"a.{kind.lower()}"))
    np.testing.assert_allclose(photo.pixels[150, 200] * 255, [250, 120, 10], atol=5)


def test_a_photoshop_file_is_read(tmp_path, camera):
    """Its flattened picture; Pillow writes none, so it is written by hand."""
    picture = noise()
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 300, 400, 8, 3)
    (tmp_path / "a.psd").write_bytes(head + bytes(14) + picture.transpose(2, 0, 1).tobytes())
    found = images.read_photo(View(camera, tmp_path / "a.psd")).pixels
    assert np.array_equal(np.round(found * 255).astype(np.uint8), picture)


def test_a_format_that_cannot_be_read_is_named(tmp_path, camera):
    (tmp_path / "a.dpx").write_bytes(b"SDPX" + bytes(4000))
    with pytest.raises(BridgeError, match="it is a DPX file; export it as JPEG, PNG or TIFF"):
        images.read_photo(View(camera, tmp_path / "a.dpx"))


def test_an_image_that_lies_on_its_side_is_turned_as_exif_says(tmp_path, camera):
    upright = noise(400, 300)
    exif = Image.Exif()
    for orientation, stored in ((6, np.rot90(upright)), (8, np.rot90(upright, -1))):
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
        photo = images.read_photo(View(replace(camera, width=300, height=400), tmp_path / "a.png"))
        np.testing.assert_allclose(photo.pixels * 255, upright, atol=0.01)
    with pytest.raises(BridgeError, match="300 x 300"):  # a camera of neither side
        images.read_photo(View(replace(camera, width=300, height=300), tmp_path / "a.png"))


# large


def test_photographs_up_to_a_gigapixel_are_read_within_bounded_memory(tmp_path):
    Image.new("L", (14_000, 13_000), 128).save(tmp_path / "a.jpg")  # 182 megapixels
    script = """
import resource, sys
import numpy as np
from pathlib import Path
from bridge.capture import inputs
from bridge.capture.cameras import Camera
from bridge.capture.record import View
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
camera = Camera("a", np.array([[9000.0, 0, 7000], [0, 9000, 6500], [0, 0, 1]]), np.eye(3), np.zeros(3), 14000, 13000)
photo, mask = inputs.read_view(View(camera, Path(sys.argv[1])))
assert photo.pixels.size / 3 <= inputs.MOST_PIXELS and abs(photo.pixels[99, 99, 0] - 0.5) < 0.01
assert abs(photo.camera.K[0, 2] / photo.camera.width - 0.5) < 1e-9
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.jpg"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2000  # megabytes; as floats at full size it would be 2200 for the pixels alone


@pytest.mark.slow
def test_26_tiffs_of_16_bits_and_24_megapixels_are_read_in_less_than_1500_megabytes(tmp_path):
    """Once 4.6 GB: the bytes of all files were kept."""
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 65535, (400, 600, 3), np.uint16)
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    assert cv2.imwrite(str(tmp_path / "a.tif"), np.tile(tile, (10, 10, 1)), flags)
    assert (tmp_path / "a.tif").stat().st_size > 140_000_000
    cameras = [camera.resize(6000, 4000) for camera in synthetic.ring(26, np.zeros(3), 1.0, 600)]
    save(Capture("c", tuple(View(camera, tmp_path / "a.tif") for camera in cameras)), tmp_path)
    script = """
import resource, sys
from pathlib import Path
from bridge.capture import inputs
from bridge.job.cache import parts_of
found = inputs.read_inputs(Path(sys.argv[1]))
for view in found.capture.views:
    parts_of(view)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1500


def test_more_than_a_gigapixel_is_refused_with_both_numbers(tmp_path, camera, monkeypatch):
    monkeypatch.setattr(pillow, "MOST_PIXELS", 400 * 300 - 1)
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg", noise()))
    with pytest.raises(BridgeError) as raised:
        images.read_photo(View(camera, tmp_path / "a.jpg"))
    assert "400 x 300 pixels" in raised.value.sentence and "gigapixel" in raised.value.sentence


@pytest.mark.parametrize("shape", [(40_000, 1), (1, 40_000), (3, 40_000), (40_000, 3), (7,), (70_000,)])
def test_no_number_of_places_is_too_many_to_look_up(shape):
    image = np.arange(48, dtype=np.float32).reshape(6, 8)
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, n, shape).astype(np.float32) for n in (8, 6))
    np.testing.assert_array_equal(images.remap(image, x, y), image[y.astype(int), x.astype(int)])


# masks


@pytest.fixture
def capture(tmp_path):
    """Four photographs with alpha; the test gives the alpha or the masks."""

    def write(alpha=None, mask=None, dtype=np.uint8):
        views = []
        for camera in synthetic.ring(4, np.zeros(3), 1.0, 160):
            pixels = noise(160, 160)
            if alpha is not None:
                pixels = np.dstack([pixels, alpha])
            images.write(tmp_path / "images" / f"{camera.name}.png", pixels)
            if mask is not None:
                images.write(tmp_path / "masks" / f"{camera.name}.png", mask.astype(dtype))
            masked = tmp_path / "masks" / f"{camera.name}.png" if mask is not None else None
            views.append(View(camera, tmp_path / "images" / f"{camera.name}.png", masked))
        save(Capture("c", tuple(views)), tmp_path)
        return inputs.read_inputs(tmp_path)

    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return write


def disc(value=1):
    y, x = np.mgrid[:160, :160]
    return (np.hypot(x - 80, y - 75) < 45).astype(np.uint8) * value


@pytest.mark.parametrize("rim", [1, 6, 14])
def test_an_alpha_that_leaves_out_only_a_rim_is_no_mask_of_the_head(capture, rim):
    alpha = np.zeros((160, 160), np.uint8)
    alpha[rim:-rim, rim:-rim] = 255
    found = capture(alpha)
    assert list(found.given_masks) == [None] * 4
    (said,) = found.remarks
    assert said.code == "mask-everything" and len(said.views) == 4 and "alpha" in said.sentence


def test_a_white_mask_is_none_and_said(capture):
    found = capture(mask=np.full((160, 160), 255))
    assert list(found.given_masks) == [None] * 4 and [said.code for said in found.remarks] == ["mask-everything"]


def test_a_head_that_fills_the_picture_keeps_its_mask(capture):
    y, x = np.mgrid[:160, :160]
    found = capture(mask=((x - 80) ** 2 / 72**2 + (y - 80) ** 2 / 90**2 < 1) * 255)
    assert all(mask is not None for mask in found.given_masks) and not found.remarks


@pytest.mark.parametrize(
    ("value", "dtype"), [(1, np.uint8), (255, np.uint8), (1, np.uint16), (255, np.uint16), (65535, np.uint16)]
)
def test_masks_of_labels_and_of_any_depth_are_read(capture, value, dtype):
    found = capture(mask=disc().astype(np.uint32) * value, dtype=dtype)
    assert all(np.array_equal(mask > 0.5, disc() > 0) for mask in found.given_masks) and not found.remarks


def test_masks_inverted_in_all_views_are_turned_over_and_said(capture):
    found = capture(mask=255 - disc(255))
    assert all(np.array_equal(mask > 0.5, disc() > 0) for mask in found.given_masks)
    (said,) = found.remarks
    assert said.code == "mask-inverted" and len(said.views) == 4


def test_one_odd_mask_is_not_taken_for_inverted(tmp_path):
    assert masks.is_inverted(1.0 - disc()) and not masks.is_inverted(disc() * 1.0)
    shoulders = disc() | (np.mgrid[:160, :160][0] > 110)  # cut off by the picture's foot
    assert not masks.is_inverted(shoulders * 1.0) and masks.is_inverted(1.0 - shoulders)


# rigs


def test_cameras_at_one_place_are_refused_in_one_sentence(tmp_path):
    views = []
    for i, camera in enumerate(synthetic.ring(3, np.zeros(3), 1.0, 64)):
        images.write(tmp_path / f"{i}.png", noise(64, 64))
        views.append(View(replace(camera, t=camera.R @ np.array([0.3, -2.0, 0.1])), tmp_path / f"{i}.png"))
    save(Capture("c", tuple(views)), tmp_path)
    with pytest.raises(BridgeError) as raised:
        inputs.read_inputs(tmp_path)
    assert raised.value.code == "cameras-together" and "3 cameras stand at one place" in raised.value.sentence


def test_an_image_of_one_pixel_is_refused_at_once(tmp_path):
    views = []
    for i, camera in enumerate(synthetic.ring(3, np.zeros(3), 1.0, 64)):
        images.write(tmp_path / f"{i}.png", noise(1, 1))
        views.append(View(camera.resize(1, 1), tmp_path / f"{i}.png"))
    save(Capture("c", tuple(views)), tmp_path)
    with pytest.raises(BridgeError, match="1 x 1 pixels is too small"):
        inputs.read_inputs(tmp_path)
