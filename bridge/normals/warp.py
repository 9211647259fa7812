"""Head cameras: the square, upright cameras in which the network sees every view, and the way back.

A head camera has the real camera's centre and looks at the head's centre, so the two pictures differ by a homography
and nothing is lost but the border. Its focal length follows from the distance alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame

FILL = 0.85  # share of half the frame that the head's sphere fills; the network is trained with it
OUTSIDE = 0.5  # grey that stands where a head camera sees beyond the photograph
NEAREST, FARTHEST = 1.5, 14.0  # distances in head radii that the network is told
OPENGL = np.diag([1.0, -1.0, -1.0])  # between OpenCV camera axes and x right, y up, z to the camera


@dataclass(frozen=True, eq=False)
class HeadView:
    """One real camera and its head camera (size 1 pixel: scale it with ``at``)."""

    real: Camera
    head: Camera  # width = height = 1: K in frame widths
    distance: float  # camera to the head's centre in radii of its sphere

    def at(self, size: int) -> Camera:
        return self.head.resize(size, size)


def head_view(camera: Camera, frame: HeadFrame) -> HeadView:
    """The head camera of a real camera. A camera inside the sphere is treated as if the head were smaller."""
    offset = frame.center - camera.center
    length = float(np.linalg.norm(offset))
    distance = max(length / frame.radius, NEAREST)
    forward = offset / max(length, 1e-12)
    right = np.cross(forward, frame.up)
    if np.linalg.norm(right) < 1e-3:  # straight above or below: keep the picture's own sense of right
        right = camera.R[0] - forward * (camera.R[0] @ forward)
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    focal = 0.5 * FILL * np.sqrt(distance**2 - 1)
    K = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1.0]])
    head = Camera(camera.name, K, R, -R @ camera.center, 1, 1)
    return HeadView(camera, head, distance)


def homography(source: Camera, target: Camera) -> np.ndarray:
    """[3, 3]: pixels of target -> pixels of source, for two cameras with one centre (corner-based pixel
    coordinates)."""
    return source.K @ source.R @ target.R.T @ np.linalg.inv(target.K)


def sampling_map(source: Camera, target: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where to read the source for every pixel centre of the target.

    Returns x, y [h, w] float32 in OpenCV's index coordinates (first centre at 0) and in_front [h, w] bool.
    """
    u, v = np.meshgrid(np.arange(target.width) + 0.5, np.arange(target.height) + 0.5)
    H = homography(source, target)
    x, y, w = (H[i, 0] * u + H[i, 1] * v + H[i, 2] for i in range(3))
    in_front = w > 1e-9
    w = np.where(in_front, w, 1.0)
    return (x / w - 0.5).astype(np.float32), (y / w - 0.5).astype(np.float32), in_front


def to_head(picture: np.ndarray, view: HeadView, size: int) -> np.ndarray:
    """Picture [H, W] or [H, W, c] of the real camera -> [size, size, c + 1]: what the head camera sees, and a last
    channel that is 1 inside the photograph. Shrinks by area first, so that nothing aliases."""
    picture = picture[..., None] if picture.ndim == 2 else picture
    target = view.at(size)
    height, width = picture.shape[:2]
    real = view.real.resize(width, height)
    scale = target.K[0, 0] / max(real.K[0, 0], real.K[1, 1])
    if scale < 0.9:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)
        real = view.real.resize(width, height)
    x, y, in_front = sampling_map(real, target)
    seen = cv2.remap(np.ascontiguousarray(picture), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = in_front & (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    seen = np.where(inside[..., None], seen.reshape(size, size, -1), np.float32(OUTSIDE))
    return np.concatenate([seen, inside[..., None]], -1).astype(np.float32)


def from_head(values: np.ndarray, view: HeadView, target: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Maps [s, s, c] of the head camera as the target camera sees them (a resized real camera).

    Returns [h, w, c] and known [h, w] bool: False where the head camera did not look.
    """
    size = values.shape[0]
    x, y, in_front = sampling_map(view.at(size), target)
    known = in_front & (x >= -0.5) & (y >= -0.5) & (x <= size - 0.5) & (y <= size - 0.5)
    values = np.ascontiguousarray(values, np.float32)
    out = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out.reshape(target.height, target.width, -1) * known[..., None], known


def turned_back(normals: np.ndarray, view: HeadView) -> np.ndarray:
    """Normals [..., 3] of the head camera -> of the real camera, both with OpenGL axes; unit length or 0."""
    turn = OPENGL @ view.real.R @ view.head.R.T @ OPENGL
    normals = normals @ turn.T.astype(np.float32)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(length > 1e-3, normals / np.maximum(length, 1e-6), 0).astype(np.float32)


def map_camera(camera: Camera, size: int) -> Camera:
    """The camera of a map whose longer side has ``size`` pixels, with the image's field of view."""
    scale = size / max(camera.width, camera.height)
    return replace(
        camera.resize(max(1, round(camera.width * scale)), max(1, round(camera.height * scale))), distortion=None
    )


def resized(values: np.ndarray, camera: Camera) -> np.ndarray:
    """A photograph or mask at the size of a map's camera, float32."""
    return cv2.resize(np.asarray(values, np.float32), (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def quaternion(R: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] -> unit quaternion [4] (w, x, y, z), w >= 0."""
    xx, yy, zz = R[0, 0], R[1, 1], R[2, 2]
    a, b, c = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    d, e, f = R[0, 1] + R[1, 0], R[0, 2] + R[2, 0], R[1, 2] + R[2, 1]
    k = np.array([[xx + yy + zz, a, b, c], [a, xx - yy - zz, d, e], [b, d, yy - xx - zz, f], [c, e, f, zz - xx - yy]])
    q = np.linalg.eigh(k)[1][:, -1]
    return (-q if q[0] < 0 else q).astype(np.float32)
