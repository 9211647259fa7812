"""Cameras through Blender itself: its own projection is the judge, not our formulas."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector
from skullptor_extension.skullptor_blender.link.preflight import ViewRecord
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras
from skullptor_extension.skullptor_blender.scene import capture as scene_capture
from skullptor_extension.skullptor_blender.scene import conventions

from .helpers import look_at, photo, write_capture

CASES = {
    "landscape": (1920, 1080, 1500, 1500, 960, 540),
    "portrait": (1080, 1920, 1500, 1500, 540, 960),
    "landscape off-centre": (4032, 3024, 3012.3, 3012.3, 2050.7, 1466.2),
    "portrait off-centre": (3024, 4032, 3012.3, 3012.3, 1466.2, 2050.7),
    "tall pixels": (1440, 1080, 1100, 1466.667, 700.5, 560.25),
    "wide pixels": (1080, 1440, 1600, 1200, 500, 800),
    "the aspect flips AUTO": (1000, 1010, 1100, 1000, 480, 520),
}
FITS = ("AUTO", "HORIZONTAL", "VERTICAL")
TOLERANCE = 0.002  # pixels; Blender keeps single precision


def make(K, R, t, width, height, fit="HORIZONTAL", name="cam", image=None):
    """A camera with the scene's frame set to it."""
    render = bpy.context.scene.render
    numbers = conventions.blender_from_intrinsics(K, width, height, fit)
    render.resolution_x, render.resolution_y = width, height
    render.pixel_aspect_x, render.pixel_aspect_y = numbers.aspect_x, numbers.aspect_y
    data = bpy.data.cameras.new(name)
    data.sensor_fit, data.lens = fit, numbers.lens
    data.sensor_width, data.sensor_height = numbers.sensor_width, numbers.sensor_height
    data.shift_x, data.shift_y = numbers.shift_x, numbers.shift_y
    ob = bpy.data.objects.new(name, data)
    ob.matrix_world = Matrix(conventions.matrix_from_pose(R, t).tolist())
    bpy.context.scene.collection.objects.link(ob)
    if image is not None:
        data.show_background_images = True
        background = data.background_images.new()
        background.image = bpy.data.images.load(str(image))
        background.frame_method = "STRETCH"
    bpy.context.view_layer.update()
    return ob


def project(ob, points, width, height):
    """Blender's own answer, in pixels from the top left corner."""
    seen = [world_to_camera_view(bpy.context.scene, ob, Vector(point)) for point in points]
    return np.array([[v.x * width, (1 - v.y) * height] for v in seen])


def record_of(ob) -> ViewRecord:
    found = scene_capture.read_cameras(bpy.context.scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    view = next(view for view in found.views if view.camera == ob.name)
    assert view.record is not None, view.findings
    return view.record


def through(record: ViewRecord, points):
    homogeneous = (points @ record.R.T + record.t) @ record.K.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def points_before(K, R, t, width, height):
    rng = np.random.default_rng(5)
    pixels = rng.uniform([0, 0], [width, height], (60, 2))
    in_camera = np.c_[pixels, np.ones(60)] @ np.linalg.inv(K).T * rng.uniform(1, 6, (60, 1))
    return (in_camera - t) @ R, pixels


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("case", CASES)
def test_there_through_blender_and_back(case, fit, tmp_path):
    """Points land where K[R|t] says, in Blender and in the capture that is read back from it."""
    width, height, fx, fy, cx, cy = CASES[case]
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    R, t = look_at((1.3, -2.2, 0.7), roll=0.4)
    ob = make(K, R, t, width, height, fit, image=photo(tmp_path / "p.png", width // 8, height // 8))
    world, pixels = points_before(K, R, t, width, height)
    assert np.abs(project(ob, world, width, height) - pixels).max() < TOLERANCE
    record = record_of(ob)
    # the image has an eighth of the frame's pixels: only its own size counts
    scale = [(width // 8) / width, (height // 8) / height]
    assert np.abs(through(record, world) - pixels * scale).max() < TOLERANCE
    np.testing.assert_allclose(record.R, R, atol=1e-6)
    np.testing.assert_allclose(record.t, t, atol=1e-5)


@pytest.mark.parametrize("percentage", [100, 37])
def test_parents_scale_and_percentage_do_not_move_the_pixels(percentage, tmp_path):
    K = np.array([[900.0, 0, 330], [0, 900.0, 260], [0, 0, 1.0]])
    R, t = look_at((2, 1, 0.5))
    ob = make(K, R, t, 640, 480, image=photo(tmp_path / "p.png", 640, 480))
    bpy.context.scene.render.resolution_percentage = percentage
    world, pixels = points_before(K, R, t, 640, 480)
    parent = bpy.data.objects.new("dolly", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale = (3, 3, 3)
    parent.location = (5, 6, 7)
    bpy.context.view_layer.update()
    ob.parent = parent
    ob.matrix_parent_inverse = parent.matrix_world.inverted()
    ob.scale = (0.2, 0.2, 0.2)
    bpy.context.view_layer.update()
    assert np.abs(through(record_of(ob), world) - pixels).max() < 2 * TOLERANCE


def test_blenders_own_mirrored_camera_is_a_finding(rig):
    rig[1].scale.x = -1
    bpy.context.view_layer.update()
    found = scene_capture.read_cameras(bpy.context.scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    assert [(f.code, f.view) for f in found.errors] == [("camera-mirrored", "cam01")]


def test_orthographic_and_hidden_cameras(rig):
    rig[0].data.type = "ORTHO"
    rig[1].hide_render = True
    found = scene_capture.read_cameras(bpy.context.scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    assert "camera-kind" in [f.code for f in found.errors]
    assert [view.camera for view in found.views] == ["cam00", "cam02", "cam03"]


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (50, 50)])
def test_a_capture_survives_the_scene(tmp_path, size):
    """capture -> cameras -> capture: numbers, units, pixels of the pictures."""
    import json

    source = write_capture(tmp_path / "in", size=size, unit_mm=140.0)
    scene_cameras.build(bpy.context, source)
    scene = bpy.context.scene
    found = scene_capture.read_cameras(scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    assert not found.findings
    target = scene_capture.write(tmp_path / "out", found.usable, scene)
    before, after = (json.loads((folder / "capture.json").read_text()) for folder in (source, target))
    assert after["unit_mm"] == pytest.approx(140.0, rel=1e-6)
    for a, b in zip(before["views"], after["views"], strict=True):
        assert (a["name"], a["width"], a["height"]) == (b["name"], b["width"], b["height"])
        np.testing.assert_allclose(b["K"], a["K"], atol=1e-4)
        np.testing.assert_allclose(b["R"], a["R"], atol=1e-6)
        np.testing.assert_allclose(b["t"], a["t"], atol=1e-6)
        assert (source / a["image"]).read_bytes() == (target / b["image"]).read_bytes()
    assert not list(tmp_path.glob("*.tmp"))


def test_photographs_of_several_sizes_in_one_scene(tmp_path):
    """One landscape, one portrait, a square one: the scene has one frame, each picture its own camera."""
    import json

    source = write_capture(tmp_path / "in", views=5, size=(64, 48))
    body = json.loads((source / "capture.json").read_text())
    for index, (width, height) in ((1, (48, 64)), (2, (50, 50)), (3, (128, 40))):
        view = body["views"][index]
        photo(source / view["image"], width, height)
        view["width"], view["height"] = width, height
        view["K"][0][2], view["K"][1][2] = width / 2 + 1.25, height / 2 - 0.75
    (source / "capture.json").write_text(json.dumps(body))
    scene_cameras.build(bpy.context, source)
    found = scene_capture.read_cameras(bpy.context.scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    assert not found.findings
    for view, expected in zip(found.usable, body["views"], strict=True):
        assert (view.record.width, view.record.height) == (expected["width"], expected["height"])
        np.testing.assert_allclose(view.record.K, expected["K"], atol=2e-4)


def test_the_unit_is_a_factor_of_the_scene(rig, tmp_path):
    """Fails when metres are taken for millimetres, or the unit scale is forgotten."""
    import json

    scene = bpy.context.scene
    scene.unit_settings.scale_length = 0.01
    found = scene_capture.read_cameras(scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
    target = scene_capture.write(tmp_path / "out", found.usable, scene)
    assert json.loads((target / "capture.json").read_text())["unit_mm"] == pytest.approx(10.0)


def test_a_moving_camera_is_read_at_the_current_frame(rig):
    ob = rig[0]
    ob.keyframe_insert("location", frame=1)
    ob.location.x += 1.0
    ob.keyframe_insert("location", frame=11)
    scene = bpy.context.scene
    centers = []
    for frame in (1, 11):
        scene.frame_set(frame)
        centers.append(record_of(ob).center)
    np.testing.assert_allclose(centers[1] - centers[0], [1, 0, 0], atol=1e-5)
