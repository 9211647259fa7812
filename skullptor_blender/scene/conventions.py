"""Blender's camera and ours, in opposite pairs. NumPy only, no bpy; every change of axes or pixels happens here.

Ours (docs/architecture.md): OpenCV axes (x right, y down, z forward), x_cam = R x_world + t, pixels with the image
covering [0, W] x [0, H]. Blender's: the camera looks along its -z with y up; lens and sensor in millimetres, shift in
units of the length that the sensor spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SENSOR = 36.0  # millimetres; Blender's default width
FLIP = np.diag([1.0, -1.0, -1.0])  # camera axes: Blender's <-> OpenCV's
SHEAR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class BlenderCamera:
    """The numbers of a Blender camera and of the frame it renders into."""

    lens: float
    shift_x: float
    shift_y: float
    sensor_fit: str  # AUTO, HORIZONTAL, VERTICAL
    width: int  # of the frame, in pixels
    height: int
    sensor_width: float = SENSOR
    sensor_height: float = 24.0
    aspect_x: float = 1.0  # pixel aspect
    aspect_y: float = 1.0

    @property
    def frame_aspect(self) -> float:
        """Width over height of the frame as a picture, pixel aspect included."""
        return self.width * self.aspect_x / (self.height * self.aspect_y)


@dataclass(frozen=True)
class Placement:
    """How a background image sits in the camera's frame, as Blender's image overlay draws it."""

    method: str = "STRETCH"  # STRETCH, FIT, CROP
    scale: float = 1.0
    rotation: float = 0.0  # radians
    offset: tuple[float, float] = (0.0, 0.0)
    flip_x: bool = False
    flip_y: bool = False
    pixel_aspect: float = 1.0  # of the image itself, width over height


def _span(camera: BlenderCamera) -> tuple[float, float]:
    """The length in x-pixels that the sensor spans, and that sensor's millimetres. AUTO never uses sensor_height."""
    width, height = float(camera.width), camera.height * camera.aspect_y / camera.aspect_x
    if camera.sensor_fit == "VERTICAL":
        return height, camera.sensor_height
    if camera.sensor_fit == "AUTO":
        return max(width, height), camera.sensor_width
    return width, camera.sensor_width


def blender_from_intrinsics(K: np.ndarray, width: int, height: int, sensor_fit: str = "HORIZONTAL") -> BlenderCamera:
    """The Blender camera of an upper triangular K without skew, for a frame of the image's own size."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    ratio = fx / fy
    aspect_x, aspect_y = (1.0, ratio) if ratio >= 1.0 else (1.0 / ratio, 1.0)  # Blender's minimum is 1
    frame = BlenderCamera(1.0, 0.0, 0.0, sensor_fit, width, height, SENSOR, SENSOR, aspect_x, aspect_y)
    span, sensor = _span(frame)
    return BlenderCamera(
        lens=float(fx * sensor / span),
        shift_x=float((width / 2 - cx) / span),
        shift_y=float((cy - height / 2) * ratio / span),
        sensor_fit=sensor_fit,
        width=width,
        height=height,
        sensor_width=SENSOR,
        sensor_height=SENSOR,
        aspect_x=float(aspect_x),
        aspect_y=float(aspect_y),
    )


def intrinsics_from_blender(camera: BlenderCamera) -> np.ndarray:  # [3, 3]
    """K of the frame that the camera renders into; the opposite of blender_from_intrinsics."""
    span, sensor = _span(camera)
    ratio = camera.aspect_y / camera.aspect_x
    fx = camera.lens * span / sensor
    cx = camera.width / 2 - camera.shift_x * span
    cy = camera.height / 2 + camera.shift_y * span / ratio
    return np.array([[fx, 0.0, cx], [0.0, fx / ratio, cy], [0.0, 0.0, 1.0]])


def matrix_from_pose(R: np.ndarray, t: np.ndarray) -> np.ndarray:  # [4, 4]
    """Blender's matrix_world of a camera from our world-to-camera pose."""
    matrix = np.eye(4)
    matrix[:3, :3] = R.T @ FLIP
    matrix[:3, 3] = -R.T @ t
    return matrix


def pose_from_matrix(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R [3, 3] and t [3] from matrix_world [4, 4]; the opposite of matrix_from_pose.

    Scale is taken out axis by axis, as Blender does. Raises ValueError "mirrored" or "sheared" for a camera that is no
    rigid one: silently repairing either would move the head.
    """
    axes = np.asarray(matrix, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.all(np.isfinite(lengths)) or lengths.min() < 1e-12:
        raise ValueError("flat")
    axes = axes / lengths
    if np.linalg.det(axes) < 0:
        raise ValueError("mirrored")
    if np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise ValueError("sheared")
    left, _, right = np.linalg.svd(axes)  # the nearest rotation: takes out what float32 put in
    R = FLIP @ (left @ right).T
    return R, -R @ np.asarray(matrix, dtype=np.float64)[:3, 3]


def image_camera(
    camera: BlenderCamera, placement: Placement, width: int, height: int, offset_unit: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """K [3, 3] of a background image of its own size, and the roll [3, 3] that goes before it: R_image = roll @ R.

    The frame's own pixels do not matter, only where the image is drawn in it: its size may differ from the render's.
    offset_unit: length of the drawn offset's unit at distance 1 (Blender draws offsets in camera space at the depth of
    its view frame). Raises ValueError "mirrored" for an image drawn flipped.
    """
    if placement.flip_x != placement.flip_y:
        raise ValueError("mirrored")
    # the frame as a picture at distance 1 from the eye, x right, y up, in units of that distance
    K = intrinsics_from_blender(camera)
    frame_width, frame_height = camera.width / K[0, 0], camera.height / K[1, 1]
    middle = np.array([(camera.width / 2 - K[0, 2]) / K[0, 0], -(camera.height / 2 - K[1, 2]) / K[1, 1]])
    frame_aspect = frame_width / frame_height
    image_aspect = width / height * placement.pixel_aspect
    drawn_width, drawn_height = frame_width, frame_height
    if placement.method != "STRETCH":
        wider = image_aspect > frame_aspect
        if wider == (placement.method == "FIT"):
            drawn_height = frame_width / image_aspect
        else:
            drawn_width = frame_height * image_aspect
    offset = offset_unit * np.asarray(placement.offset)
    # the overlay scales offsets by the frame's shape
    middle = middle + offset * [min(1.0, frame_aspect), 1.0 / (max(1.0, frame_aspect) * image_aspect / frame_aspect)]
    angle = -placement.rotation + (np.pi if placement.flip_x else 0.0)  # both flips are half a turn
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])  # x right, y up
    # picture plane = turn @ (drawn size * image) + middle, solved for the image's pixels (y down)
    fx, fy = width / (drawn_width * placement.scale), height / (drawn_height * placement.scale)
    corner = turn.T @ middle
    K_image = np.array([[fx, 0.0, width / 2 - fx * corner[0]], [0.0, fy, height / 2 + fy * corner[1]], [0.0, 0.0, 1.0]])
    roll = np.eye(3)
    roll[:2, :2] = np.array([[c, -s], [s, c]])  # turn^T seen with y down
    return K_image, roll
