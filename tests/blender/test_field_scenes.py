"""Scenes as artists really have them: far worlds, moved folders, hidden cameras, copied names, other formats."""

from __future__ import annotations

import json
import shutil
import struct
import time

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import preflight
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras
from skullptor_extension.skullptor_blender.scene import capture as scene_capture
from skullptor_extension.skullptor_blender.scene import result as scene_result

from .helpers import photo, project, read_cameras, write_capture

FAR = np.array([4_200_000.0, 120_000.0, 4_700_000.0])


def edit(capture, change):
    body = json.loads((capture / "capture.json").read_text())
    for view in body["views"]:
        change(view)
    (capture / "capture.json").write_text(json.dumps(body))
    return body


def codes(found):
    return {finding.code for finding in found.findings}


# --- far from the origin ---


@pytest.mark.parametrize("upright", [False, True])
def test_a_georeferenced_rig_keeps_its_pixels(tmp_path, upright):
    """Blender's matrices are float32: at four million metres a camera moves by a quarter of a metre."""
    capture = write_capture(tmp_path / "rig", views=6, size=(2048, 1536))

    def away(view):
        view["t"] = (np.array(view["t"]) - np.array(view["R"]) @ FAR).tolist()
        view["K"][0][0] = view["K"][1][1] = 4200.0

    body = edit(capture, away)
    made = scene_cameras.build(bpy.context, capture, turn_upright=upright)
    holder = made[0].parent or bpy.context.scene
    offset = np.array(holder["skullptor_offset"])
    assert np.linalg.norm(offset - FAR) < 3
    # a point near the head, as the calibration sees it and as the scene's cameras do
    near = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3))
    in_scene = near + FAR - offset
    if upright:
        matrix = np.array(made[0].parent.matrix_world)
        in_scene = in_scene @ matrix[:3, :3].T + matrix[:3, 3]
    for view, read in zip(body["views"], read_cameras().usable, strict=True):
        K, R, t = (np.array(view[key]) for key in ("K", "R", "t"))
        seen = (near @ R.T + (t + R @ FAR)) @ K.T
        worst = np.abs(project(read.record, in_scene) - seen[:, :2] / seen[:, 2:]).max()
        assert worst < (0.002 if not upright else 0.01)  # the head's own place is float32 too
    assert "far from its origin" in scene_cameras.offset_said(made)


def test_an_ordinary_rig_keeps_its_world(rig):
    assert "skullptor_offset" not in bpy.context.scene and scene_cameras.offset_said(rig) == ""


# --- moved folders ---


def test_a_project_that_is_moved_finds_its_photographs(tmp_path):
    home = tmp_path / "project"
    capture = write_capture(home / "rig")
    edit(
        capture,
        lambda view: view.update(
            mask=photo(capture / "masks" / f"{view['name']}.png", 64, 48) and f"masks/{view['name']}.png"
        ),
    )
    bpy.ops.wm.save_as_mainfile(filepath=str(home / "scene.blend"))
    scene_cameras.build(bpy.context, capture)
    assert all(image.filepath.startswith("//") for image in bpy.data.images if image.filepath)
    assert bpy.context.scene.skullptor.mask_folder.startswith("//")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    shutil.move(home, tmp_path / "elsewhere")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "elsewhere" / "scene.blend"))
    found = read_cameras()
    assert not found.findings and all(view.mask for view in found.usable)


def test_absolute_paths_where_the_preference_says_so(tmp_path):
    capture = write_capture(tmp_path / "rig")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    paths = bpy.context.preferences.filepaths
    paths.use_relative_paths = False
    try:
        scene_cameras.build(bpy.context, capture)
    finally:
        paths.use_relative_paths = True
    assert not any(image.filepath.startswith("//") for image in bpy.data.images)


# --- hidden cameras ---


@pytest.mark.parametrize("how", ["viewport", "eye", "collection", "layer"])
def test_hidden_cameras_are_read_where_they_are(tmp_path, capture, how):
    made = scene_cameras.build(bpy.context, capture, turn_upright=True)
    expected = {view.camera: view.record for view in read_cameras().usable}
    (layer,) = bpy.context.view_layer.layer_collection.children
    for ob in made:
        if how == "viewport":
            ob.hide_viewport = True
        elif how == "eye":
            ob.hide_set(True)
    layer.collection.hide_viewport = how == "collection"
    layer.hide_viewport = how == "layer"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "hidden.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "hidden.blend"))
    before = {c.name for c in bpy.data.collections}
    found = read_cameras()
    assert len(found.usable) == 4 and not found.errors
    for view in found.usable:
        np.testing.assert_allclose(view.record.t, expected[view.camera].t, atol=1e-5)
        np.testing.assert_allclose(view.record.R, expected[view.camera].R, atol=1e-6)
    assert {c.name for c in bpy.data.collections} == before
    if how in ("viewport", "eye"):
        assert all(
            ob.hide_viewport if how == "viewport" else ob.hide_get() for ob in bpy.data.objects if ob.type == "CAMERA"
        )


def test_cameras_of_an_instanced_collection_are_named_with_their_cure(rig):
    collection = rig[0].users_collection[0]
    bpy.context.scene.collection.children.unlink(collection)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    (finding,) = read_cameras().errors
    assert f"'{collection.name}' with 4 cameras is only instanced" in finding.sentence
    assert "Make Instances Real" in finding.cure and "library override" in finding.cure


# --- folders of pictures named as the cameras ---


def folders(**given):
    settings = bpy.context.scene.skullptor
    for name, folder in given.items():
        setattr(settings, name, str(folder))
    return read_cameras()


@pytest.mark.parametrize(
    ("camera", "file"),
    [
        ("{0}.001", "{0}.png"),
        ("{0}.JPG_cam", "{0}.jpg"),
        ("{0}.JPG_cam.002", "{0}.png"),
        ("{0}_camera", "{0}.png"),
        ("CAM_{0}", "cam_{0}.PNG"),
    ],
)
def test_names_that_blender_and_importers_change_find_their_images_and_masks(rig, tmp_path, camera, file):
    for ob in rig:
        stem = ob.name
        ob.data.background_images.clear()
        del ob.data["skullptor_view"]
        ob.name = camera.format(stem)
        for kind in ("images", "masks"):
            photo(tmp_path / kind / file.format(stem), 64, 48)
    found = folders(image_folder=tmp_path / "images", mask_folder=tmp_path / "masks")
    assert not found.findings
    assert [view.mask.path.name for view in found.usable] == [view.reference.path.name for view in found.usable]


@pytest.mark.parametrize(
    "spelling", ["{0}_mask.png", "{0}.jpg.png", "{0}.jpg.mask.png", "mask_{0}.png", "{0}.mask.png"]
)
def test_masks_are_found_however_they_are_spelt(rig, tmp_path, spelling):
    for ob in rig:
        photo(tmp_path / "masks" / spelling.format(ob.name), 64, 48)
    found = folders(mask_folder=tmp_path / "masks")
    assert [view.mask.path.name for view in found.usable] == [spelling.format(ob.name) for ob in rig]
    assert not found.findings


@pytest.mark.parametrize("folder", ["image_folder", "mask_folder", "normals_folder"])
def test_a_folder_that_is_not_there_or_fits_no_camera_is_an_error(rig, tmp_path, folder):
    found = folders(**{folder: tmp_path / "nowhere"})
    assert [f.code for f in found.errors] == ["folder-missing"] and "nowhere" in found.errors[0].sentence
    photo(tmp_path / "others" / "one.png", 64, 48)
    found = folders(**{folder: tmp_path / "others"})
    assert [f.code for f in found.errors] == ["folder-fits-none"]


def test_a_folder_of_masks_that_leaves_cameras_out_is_a_warning(rig, tmp_path):
    for ob in rig[:3]:
        photo(tmp_path / "masks" / f"{ob.name}.png", 64, 48)
    found = folders(mask_folder=tmp_path / "masks")
    (finding,) = found.findings
    assert finding.severity == "WARNING" and "1 camera: cam03" in finding.sentence and len(found.usable) == 4


def test_masks_and_normals_follow_names_longer_than_blender_keeps(tmp_path):
    capture = write_capture(tmp_path / "rig")

    def rename(view):
        name = "photograph of the head from the side with the long and telling na" + view["name"]
        assert len(name) == 70
        for kind, folder in (("mask", "masks"), ("normals", "normals")):
            view[kind] = f"{folder}/{name}.png"
            photo(capture / view[kind], 64, 48)
        view["name"] = name

    edit(capture, rename)
    scene_cameras.build(bpy.context, capture)
    found = read_cameras()
    for view in found.usable:  # the images kept their short names: cam00.png
        assert view.mask.path.stem[-5:] == view.normals.stem[-5:] == view.reference.path.stem
    assert len({view.mask.path for view in found.usable}) == 4
    assert not found.findings


# --- files ---


@pytest.mark.parametrize("format_name", ["TARGA", "DPX", "IRIS"])
def test_a_background_that_only_blender_reads_is_converted(rig, tmp_path, format_name):
    suffix = {"TARGA": ".tga", "DPX": ".dpx", "IRIS": ".rgb"}[format_name]
    bpy.context.scene.render.image_settings.file_format = format_name
    for ob in rig:
        background = ob.data.background_images[0]
        path = tmp_path / f"{ob.name}{suffix}"
        background.image.save_render(str(path), scene=bpy.context.scene)
        background.image = bpy.data.images.load(str(path))
        if not background.image.size[0]:  # 4.2 as a module: "unknown file-format" of its own IRIS
            pytest.skip(f"this Blender cannot read the {format_name} that it has written")
    known = len(bpy.data.images)
    found = read_cameras()
    assert len(found.usable) == 4, [f.sentence for f in found.errors]
    folder = scene_capture.write(tmp_path / "out", found.usable, bpy.context.scene)
    body = json.loads((folder / "capture.json").read_text())
    assert [view["image"] for view in body["views"]] == [f"images/cam{i:02d}.png" for i in range(4)]
    image = bpy.data.images.load(str(folder / body["views"][2]["image"]))
    assert tuple(image.size) == (64, 48)
    pixels = np.array(image.pixels).reshape(48, 64, 4)
    assert np.ptp(pixels[:40, :40, 0]) < 0.02 and pixels[-1, 0, 0] > 0.7  # the bright first pixel is on top
    assert len(bpy.data.images) == known + 1


def psd(path, grey):
    """A Photoshop file of one flat RGB picture, uncompressed. grey: [H, W] uint8, the rows from the top."""
    height, width = grey.shape
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    path.write_bytes(head + bytes(12) + struct.pack(">H", 0) + grey.tobytes() * 3)


def test_a_photoshop_background_reaches_the_capture(rig, tmp_path):
    """Blender reads PSD and converts it, as other formats that the engine need not know."""
    grey = np.full((48, 64), 90, np.uint8)
    grey[:4, :4] = 250  # the top left corner
    for ob in rig:
        psd(tmp_path / f"{ob.name}.psd", grey)
        ob.data.background_images[0].image = bpy.data.images.load(str(tmp_path / f"{ob.name}.psd"))
    found = read_cameras()
    assert len(found.usable) == 4, [f.sentence for f in found.errors]
    folder = scene_capture.write(tmp_path / "out", found.usable, bpy.context.scene)
    body = json.loads((folder / "capture.json").read_text())
    image = bpy.data.images.load(str(folder / body["views"][1]["image"]))
    pixels = np.array(image.pixels).reshape(48, 64, 4)
    assert pixels[-2, 2, 0] > 0.9 and np.ptp(pixels[:40, 8:, 0]) < 0.02 and 0.2 < pixels[10, 30, 0] < 0.5
    assert [view["image"] for view in body["views"]] == [f"images/cam{i:02d}.png" for i in range(4)]


def test_a_jpeg_without_its_end_marker_is_a_warning_and_one_without_rows_an_error(rig, tmp_path):
    source = bpy.data.images.new("noise", 64, 48)
    source.pixels = np.random.default_rng(0).random(64 * 48 * 4).tolist()
    source.file_format = "JPEG"
    source.filepath_raw = str(tmp_path / "noise.jpg")
    source.save()
    data = (tmp_path / "noise.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[:-2])
    rig[0].data.background_images[0].image = bpy.data.images.load(str(tmp_path / "cut.jpg"))
    found = read_cameras()
    assert [(f.code, f.severity) for f in found.findings] == [("image-cut", "WARNING")] and len(found.usable) == 4
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    rig[0].data.background_images[0].image = bpy.data.images.load(str(tmp_path / "half.jpg"))
    assert [(f.code, f.severity) for f in read_cameras().findings][:1] == [("image-unreadable", "ERROR")]


# --- many cameras ---


@pytest.mark.parametrize("count", [100, 150])
def test_the_check_of_many_cameras_does_not_freeze_the_window(count):
    rng = np.random.default_rng(1)
    views = []
    for i in range(count):
        eye = rng.normal(size=3)
        eye *= 2 / np.linalg.norm(eye)
        forward = -eye / 2
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        K = np.array([[2000.0, 0, 500], [0, 2000, 500], [0, 0, 1]])
        views.append(preflight.ViewRecord(f"cam{i}", "", 1000, 1000, K, R, -R @ eye))
    before = time.process_time()
    assert preflight.check_rig(views) == []
    assert time.process_time() - before < 0.3  # processor seconds of this thread alone: 10 and 36 before


# --- results ---


ARRAYS = {"vertices": np.eye(3), "faces": np.array([[0, 1, 2]])}


def head():
    scene, layer = bpy.context.scene, bpy.context.view_layer
    return scene_result.create(scene, layer, ARRAYS, "Head", {scene_result.MARK: "1"})


def test_a_head_shows_although_the_earlier_ones_collection_is_excluded():
    first = head()
    layer = bpy.context.view_layer.layer_collection.children[first.users_collection[0].name]
    layer.exclude = True
    second = head()
    assert second.visible_get() and second.users_collection[0] is not first.users_collection[0]


def test_a_head_is_kept_although_the_collection_of_heads_is_linked(tmp_path):
    head()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (have, want):
        want.collections = have.collections
    bpy.context.scene.collection.children.link(want.collections[0])
    made = head()
    assert made.visible_get() and made.users_collection[0].library is None
