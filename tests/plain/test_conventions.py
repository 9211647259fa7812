"""K, R, t <-> Blender's numbers on paper: round trips, and projections through an independent model of each camera."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skullptor_extension.skullptor_blender.scene import conventions
from skullptor_extension.skullptor_blender.scene.conventions import BlenderCamera, Placement

CASES = {
    "landscape": (1920, 1080, 1500, 1500, 960, 540),
    "portrait": (1080, 1920, 1500, 1500, 540, 960),
    "square": (1024, 1024, 1300, 1300, 512, 512),
    "landscape off-centre": (4032, 3024, 3012.3, 3012.3, 2050.7, 1466.2),
    "portrait off-centre": (3024, 4032, 3012.3, 3012.3, 1466.2, 2050.7),
    "tall pixels": (1440, 1080, 1100, 1466.667, 700.5, 560.25),
    "wide pixels": (1440, 1080, 1600, 1200, 700.5, 560.25),
    "the aspect flips AUTO": (1000, 1010, 1100, 1000, 480, 520),
    "strong crop": (640, 480, 5200, 5200, -900, 2100),
}
FITS = ("AUTO", "HORIZONTAL", "VERTICAL")


def intrinsics(fx, fy, cx, cy):
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def pose(seed):
    rng = np.random.default_rng(seed)
    R, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return R * np.sign(np.linalg.det(R)), rng.normal(size=3)


def blender_pixels(camera: BlenderCamera, matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What Blender's manual says: rays through a sensor that is `sensor` mm wide, `lens` mm in front of the eye."""
    x, y, z = ((points - matrix[:3, 3]) @ matrix[:3, :3]).T  # camera axes: x right, y up, looks along -z
    aspect = camera.width * camera.aspect_x / (camera.height * camera.aspect_y)
    if camera.sensor_fit == "VERTICAL":
        sensor, long_height = camera.sensor_height, 1.0
    else:
        sensor = camera.sensor_width
        horizontal = camera.sensor_fit == "HORIZONTAL" or aspect >= 1
        long_height = 1.0 / aspect if horizontal else 1.0
    # position on the sensor in units of the length that it spans, shift moves the sensor
    u = camera.lens / sensor * x / -z - camera.shift_x
    v = camera.lens / sensor * y / -z - camera.shift_y
    return np.stack([(u / (long_height * aspect) + 0.5) * camera.width, (0.5 - v / long_height) * camera.height], 1)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("case", CASES)
def test_intrinsics_there_and_back(case, fit):
    width, height, *numbers = CASES[case]
    K = intrinsics(*numbers)
    back = conventions.intrinsics_from_blender(conventions.blender_from_intrinsics(K, width, height, fit))
    np.testing.assert_allclose(back, K, rtol=0, atol=1e-9)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("case", CASES)
def test_points_land_on_the_same_pixels(case, fit):
    """Fails for a mirrored axis, a half pixel, a wrong shift sign."""
    width, height, *numbers = CASES[case]
    K = intrinsics(*numbers)
    R, t = pose(1)
    rng = np.random.default_rng(2)
    pixels = rng.uniform([0, 0], [width, height], (50, 2))
    depth = rng.uniform(1, 6, (50, 1))
    in_camera = np.c_[pixels, np.ones(50)] @ np.linalg.inv(K).T * depth
    world = (in_camera - t) @ R
    camera = conventions.blender_from_intrinsics(K, width, height, fit)
    seen = blender_pixels(camera, conventions.matrix_from_pose(R, t), world)
    np.testing.assert_allclose(seen, pixels, atol=1e-8)


def test_pose_there_and_back_and_scale_is_taken_out():
    R, t = pose(3)
    matrix = conventions.matrix_from_pose(R, t)
    for scale in ([1, 1, 1], [2, 2, 2], [0.1, 5, 3], [-1, -1, 1]):
        scaled = matrix @ np.diag([*scale, 1.0])
        if min(scale) > 0:
            R_back, t_back = conventions.pose_from_matrix(scaled)
            np.testing.assert_allclose(R_back, R, atol=1e-12)
            np.testing.assert_allclose(t_back, t, atol=1e-12)
    # two negative axes are half a turn about the third, not a mirror
    R_back, _ = conventions.pose_from_matrix(matrix @ np.diag([-1, -1, 1, 1.0]))
    np.testing.assert_allclose(R_back, np.diag([-1, -1, 1]) @ R, atol=1e-12)


@pytest.mark.parametrize("scale", [[-1, 1, 1], [1, 1, -1], [-1, -1, -1]])
def test_a_mirrored_camera_is_refused(scale):
    R, t = pose(4)
    with pytest.raises(ValueError, match="mirrored"):
        conventions.pose_from_matrix(conventions.matrix_from_pose(R, t) @ np.diag([*scale, 1.0]))


def test_a_sheared_or_flat_camera_is_refused():
    matrix = np.eye(4)
    matrix[0, 1] = 0.3
    with pytest.raises(ValueError, match="sheared"):
        conventions.pose_from_matrix(matrix)
    with pytest.raises(ValueError, match="flat"):
        conventions.pose_from_matrix(np.diag([1, 0, 1, 1.0]))


@pytest.mark.parametrize("method", ["STRETCH", "FIT", "CROP"])
def test_an_image_of_the_frames_shape_has_the_frames_camera_at_its_own_size(method):
    K = intrinsics(1500, 1500, 910, 561)
    frame = conventions.blender_from_intrinsics(K, 1920, 1080)
    K_image, roll = conventions.image_camera(frame, Placement(method), 960, 540)
    np.testing.assert_allclose(K_image, np.diag([0.5, 0.5, 1]) @ K, atol=1e-9)
    np.testing.assert_array_equal(roll, np.eye(3))


def test_fit_and_crop_of_another_shape():
    """A 1000 x 1000 picture in a 1920 x 1080 frame: fitted into the height, or cropped to the width."""
    K = intrinsics(1500, 1500, 960, 540)
    frame = conventions.blender_from_intrinsics(K, 1920, 1080)
    fit, _ = conventions.image_camera(frame, Placement("FIT"), 1000, 1000)
    np.testing.assert_allclose(fit, intrinsics(1500 * 1000 / 1080, 1500 * 1000 / 1080, 500, 500), atol=1e-9)
    crop, _ = conventions.image_camera(frame, Placement("CROP"), 1000, 1000)
    np.testing.assert_allclose(crop, intrinsics(1500 * 1000 / 1920, 1500 * 1000 / 1920, 500, 500), atol=1e-9)
    tall, _ = conventions.image_camera(frame, Placement("FIT"), 4000, 1000)  # wider than the frame
    np.testing.assert_allclose(tall, intrinsics(1500 * 4000 / 1920, 1500 * 4000 / 1920, 2000, 500), atol=1e-9)


def test_a_rotated_and_scaled_background_turns_the_camera():
    """The overlay turns the picture clockwise by `rotation`; a point drawn on it must project to its pixel."""
    K = intrinsics(1500, 1500, 910, 561)
    frame = conventions.blender_from_intrinsics(K, 1920, 1080)
    angle, scale = 0.3, 0.8
    K_image, roll = conventions.image_camera(frame, Placement("STRETCH", scale, angle), 1920, 1080)
    assert np.linalg.det(roll) == pytest.approx(1)
    pixel = np.array([300.0, 200.0])  # of the picture
    # where the overlay draws it: around the frame's middle, y up, turned by -rotation
    x, y = (pixel - [960, 540]) * [1, -1] * scale
    c, s = math.cos(-angle), math.sin(-angle)
    drawn = np.array([c * x - s * y, s * x + c * y]) * [1, -1] + [960, 540]
    ray = np.linalg.inv(K) @ [*drawn, 1]
    seen = K_image @ roll @ ray
    np.testing.assert_allclose(seen[:2] / seen[2], pixel, atol=1e-8)


def test_a_flipped_background_is_refused_and_two_flips_are_half_a_turn():
    frame = conventions.blender_from_intrinsics(intrinsics(1500, 1500, 960, 540), 1920, 1080)
    with pytest.raises(ValueError, match="mirrored"):
        conventions.image_camera(frame, Placement(flip_x=True), 1920, 1080)
    _, roll = conventions.image_camera(frame, Placement(flip_x=True, flip_y=True), 1920, 1080)
    np.testing.assert_allclose(roll, np.diag([-1, -1, 1]), atol=1e-12)
