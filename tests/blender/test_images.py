"""Which picture a camera has, and its copy in the capture: file, packed, generated, painted, sequence, clip, folder."""

from __future__ import annotations

import json

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import capture_draft
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras
from skullptor_extension.skullptor_blender.scene import capture as scene_capture
from skullptor_extension.skullptor_blender.scene import reference_image

from .helpers import photo, write_capture


def read_cameras(image_folder=""):
    context = bpy.context
    return scene_capture.read_cameras(
        context.scene, context.view_layer, context.evaluated_depsgraph_get(), image_folder=str(image_folder)
    )


def written(tmp_path, found):
    """The first camera's file in the capture, read by Blender: pixels [H, W, C], first row on top."""
    folder = scene_capture.write(tmp_path / "out", found.usable, bpy.context.scene)
    body = json.loads((folder / "capture.json").read_text())
    image = bpy.data.images.load(str(folder / body["views"][0]["image"]))
    width, height = image.size
    assert (width, height) == (body["views"][0]["width"], body["views"][0]["height"])
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, image.channels)[::-1]


def background(ob):
    return ob.data.background_images[0]


def test_a_packed_file_keeps_its_bytes(rig, capture, tmp_path):
    source = (capture / "images" / "cam00.png").read_bytes()
    background(rig[0]).image.pack()
    (capture / "images" / "cam00.png").unlink()
    found = read_cameras()
    assert not found.findings
    folder = scene_capture.write(tmp_path / "out", found.usable, bpy.context.scene)
    assert (folder / "images" / "cam00.png").read_bytes() == source


def test_a_generated_picture_is_written_upright(rig, tmp_path):
    image = bpy.data.images.new("made", 64, 48)
    pixels = np.zeros((48, 64, 4), np.float32)
    pixels[..., 3] = 1
    pixels[-1, 0] = 1  # Blender's first row is the lowest: this is the top left corner
    pixels[10, 20] = (0.5, 0.25, 0.75, 1)
    image.pixels.foreach_set(pixels.ravel())
    background(rig[0]).image = image
    got = written(tmp_path, read_cameras())
    np.testing.assert_allclose(got[0, 0, :3], 1, atol=0.003)
    np.testing.assert_allclose(got[47 - 10, 20, :3], (0.5, 0.25, 0.75), atol=0.003)
    assert got[5, 5, :3].max() < 0.003


def test_a_painted_file_is_what_is_shown(rig, tmp_path):
    image = background(rig[0]).image
    image.pixels[0] = 0.9  # the lowest left pixel
    assert image.is_dirty
    got = written(tmp_path, read_cameras())
    assert got[-1, 0, 0] == pytest.approx(0.9, abs=0.003)


def test_an_alpha_channel_survives(rig, tmp_path):
    image = bpy.data.images.new("cut out", 64, 48, alpha=True)
    pixels = np.ones((48, 64, 4), np.float32)
    pixels[:24, :, 3] = 0
    image.pixels.foreach_set(pixels.ravel())
    background(rig[0]).image = image
    got = written(tmp_path, read_cameras())
    assert got[0, 0, 3] == 1
    assert got[-1, 0, 3] == 0


def sequence(tmp_path, name="shot", first=101, count=3):
    return [photo(tmp_path / f"{name}_{first + i:04d}.png", 64, 48, 40 + 40 * i) for i in range(count)]


def test_a_sequence_gives_the_current_frame(rig, tmp_path):
    files = sequence(tmp_path)
    image = bpy.data.images.load(str(files[0]))
    image.source = "SEQUENCE"
    background(rig[0]).image = image
    user = background(rig[0]).image_user
    user.frame_start, user.frame_duration, user.frame_offset = 10, 3, 100
    for frame, expected in ((10, 0), (12, 2)):
        bpy.context.scene.frame_set(frame)
        assert read_cameras().usable[0].record.image == str(files[expected])
    bpy.context.scene.frame_set(13)
    assert [f.view for f in read_cameras().errors] == ["cam00"]


def test_a_movie_clip_of_stills(rig, tmp_path):
    files = sequence(tmp_path)
    clip = bpy.data.movieclips.load(str(files[0]))
    background(rig[0]).source = "MOVIE_CLIP"
    background(rig[0]).clip = clip
    for frame in (1, 2, 3):
        bpy.context.scene.frame_set(frame)
        assert read_cameras().usable[0].record.image == str(files[frame - 1])


def test_the_first_visible_background_counts(rig, tmp_path):
    other = photo(tmp_path / "other.png", 64, 48)
    background(rig[0]).show_background_image = False
    second = rig[0].data.background_images.new()
    second.image = bpy.data.images.load(str(other))
    second.frame_method = "STRETCH"
    assert read_cameras().usable[0].record.image == str(other)
    rig[0].data.show_background_images = False
    assert [view.camera for view in read_cameras().usable] == ["cam01", "cam02", "cam03"]


def test_a_folder_with_the_cameras_names(rig, capture, tmp_path):
    for ob in rig:
        ob.data.background_images.clear()
    assert read_cameras().errors[0].code == "too-few-views"
    folder = tmp_path / "größe mit leer"
    for ob in rig:
        photo(folder / f"{ob.name}.PNG", 64, 48)
    found = read_cameras(folder)
    assert not found.findings
    assert len(found.usable) == 4


def test_masks_and_normals_come_along(tmp_path):
    source = write_capture(tmp_path / "in")
    body = json.loads((source / "capture.json").read_text())
    for view in body["views"]:
        for kind, folder in (("mask", "masks"), ("normals", "normals")):
            view[kind] = f"{folder}/{view['name']}.png"
            photo(source / view[kind], 64, 48)
    body["normals_encoding"] = {"axes": "opencv", "max": 65520}
    (source / "capture.json").write_text(json.dumps(body))
    scene_cameras.build(bpy.context, source)
    settings = bpy.context.scene.skullptor
    context = bpy.context
    found = scene_capture.read_cameras(
        context.scene,
        context.view_layer,
        context.evaluated_depsgraph_get(),
        mask_folder=settings.mask_folder,
        normals_folder=settings.normals_folder,
    )
    folder = scene_capture.write(
        tmp_path / "out", found.usable, context.scene, settings.normals_axes, settings.normals_max
    )
    after = json.loads((folder / "capture.json").read_text())
    assert after["normals_encoding"] == body["normals_encoding"]
    for view in after["views"]:
        assert (folder / view["mask"]).is_file()
        assert (folder / view["normals"]).is_file()


def test_names_that_are_no_file_names(rig, tmp_path):
    rig[0].name = "cam/0:*"
    rig[1].name = "Kamera Ω"
    folder = scene_capture.write(tmp_path / "out", read_cameras().usable, bpy.context.scene)
    body = json.loads((folder / "capture.json").read_text())
    assert {view["name"] for view in body["views"]} == {"cam/0:*", "Kamera Ω", "cam02", "cam03"}
    for view in body["views"]:
        assert (folder / view["image"]).is_file()


def test_a_png_of_our_own_is_read_back_by_blender(tmp_path):
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (7, 5, 4), np.uint8)
    path = tmp_path / "x.png"
    path.write_bytes(capture_draft.png_of(rgba))
    image = bpy.data.images.load(str(path))
    image.alpha_mode = "CHANNEL_PACKED"
    np.testing.assert_array_equal(reference_image.pixels_of(image), rgba)


def test_an_offset_background_moves_the_principal_point(rig):
    """Measured in a real window: the offset counts in sensor widths (landscape), up is up."""
    before = read_cameras().usable[0].record.K
    background(rig[0]).frame_method = "FIT"
    background(rig[0]).offset = (0.02, 0.01)
    after = read_cameras().usable[0].record.K
    assert after[0, 2] - before[0, 2] == pytest.approx(-0.02 * 64, abs=1e-3)
    assert after[1, 2] - before[1, 2] == pytest.approx(0.01 * 64 * 48 / 64, abs=1e-3)
    rig[0].data.clip_start = 10.0
    np.testing.assert_array_equal(read_cameras().usable[0].record.K, after)


def test_a_rotated_background_rolls_the_camera(rig):
    """Measured in a real window: positive rotation turns the picture clockwise."""
    before = read_cameras().usable[0].record
    background(rig[0]).rotation = 0.3
    after = read_cameras().usable[0].record
    c, s = np.cos(0.3), np.sin(0.3)
    np.testing.assert_allclose(after.R @ before.R.T, [[c, s, 0], [-s, c, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(after.center, before.center, atol=1e-6)
