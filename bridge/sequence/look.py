"""What photographs show at a vertex: brightness without its slow part and without exposure, at four sharpnesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..raster import make_rasteriser

LEVELS = 4
SHRINK = (8, 4, 2, 1)  # of the photograph, by level
SIGMA = 1.2  # pixels of a level: detail that is kept
WINDOW = 6.0  # pixels of a level: slower changes are light, not skin
NOISE = 0.02  # of a brightness 0..1: contrast below it is not stretched
HEAD_PIXELS = 1000  # of the head's longer side in a photograph; more is shrunk first
SIZE, DEPTH_PIXELS = 256, 3.0  # of the pictures that tell which vertices are hidden
FINE_SIZE, FINE_PIXELS = 160, 1.5  # of those that tell a folded lid from the skin that lies on it


@dataclass(frozen=True, eq=False)
class Look:
    """What each vertex is expected to look like."""

    values: np.ndarray  # [LEVELS, V] float32
    shown: np.ndarray  # [V] float32 0..1: how well a key frame shows it


class Pictures:
    """The head in every view as band-passed pictures. cameras: those of the crops."""

    def __init__(self, cameras: Sequence[Camera], pictures: Sequence[np.ndarray], head: np.ndarray) -> None:
        """head: [n, 3] about where it is; what lies outside its box by a fifth is cut away."""
        self.cameras: list[Camera] = []
        self._levels: list[list[np.ndarray]] = []
        for camera, picture in zip(cameras, pictures, strict=True):
            crop, grey = cropped(camera, picture, head)
            self.cameras.append(crop)
            self._levels.append([band(grey, shrink) for shrink in SHRINK])

    def values(self, view: int, level: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value [N] float32 at world points [N, 3] and its slope [N, 3] along the world's axes; 0 outside."""
        camera, image = self.cameras[view], self._levels[view][level]
        pixels, depth = camera.project(points)
        scale = np.array([image.shape[1] / camera.width, image.shape[0] / camera.height])
        place = np.nan_to_num(pixels * scale - 0.5).astype(np.float32)
        inside = (depth > 0) & (place >= 1).all(1) & (place < np.array(image.shape[1::-1]) - 2).all(1)
        place = np.where(inside[:, None], place, 1.0).astype(np.float32)
        found = [sampled(image, place + shift) for shift in ((0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]
        slope = np.stack([found[1] - found[2], found[3] - found[4]], 1) * scale  # per pixel of the crop
        in_camera = points @ camera.R.T + camera.t
        z = np.where(np.abs(in_camera[:, 2]) < 1e-9, 1e-9, in_camera[:, 2])
        fx, fy, skew = camera.K[0, 0], camera.K[1, 1], camera.K[0, 1]
        x, y = in_camera[:, 0] / z, in_camera[:, 1] / z
        u, v = slope.T
        along = np.stack([u * fx, u * skew + v * fy, -(u * (fx * x + skew * y) + v * fy * y)], 1) / z[:, None]
        return np.where(inside, found[0], 0), np.where(inside[:, None], along @ camera.R, 0)


def sampled(image: np.ndarray, place: np.ndarray) -> np.ndarray:  # [H, W], [N, 2] -> [N]
    """Bilinear. OpenCV takes no list longer than 32,767, so that it is folded."""
    width = 4096
    rows = -(-len(place) // width)
    full = np.zeros((rows * width, 2), np.float32)
    full[: len(place)] = place
    x, y = full.T.reshape(2, rows, width)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR).ravel()[: len(place)]


def cropped(camera: Camera, picture: np.ndarray, head: np.ndarray) -> tuple[Camera, np.ndarray]:
    """The head's part of a photograph in grey [h, w] float32, at most HEAD_PIXELS long, and its camera."""
    pixels, _ = camera.project(head)
    low, high = np.nanmin(pixels, 0), np.nanmax(pixels, 0)
    low, high = low - 0.2 * (high - low), high + 0.2 * (high - low)
    x0, y0 = np.clip(np.floor(low), 0, [camera.width - 32, camera.height - 32]).astype(int)
    x1, y1 = np.clip(np.ceil(high), [x0 + 32, y0 + 32], [camera.width, camera.height]).astype(int)
    part = picture[y0:y1, x0:x1].astype(np.float32)
    grey: np.ndarray = part @ np.array([0.299, 0.587, 0.114], np.float32)
    found = camera.crop(x0, y0, x1 - x0, y1 - y0)
    if (longer := max(grey.shape)) > HEAD_PIXELS:
        width, height = (round(side * HEAD_PIXELS / longer) for side in grey.shape[::-1])
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        found = found.resize(width, height)
    return found, grey


def band(grey: np.ndarray, shrink: int) -> np.ndarray:
    """(I - slow part) / contrast: what no exposure and no shadow's slow edge changes."""
    if shrink > 1:
        size = (max(8, grey.shape[1] // shrink), max(8, grey.shape[0] // shrink))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    fine = cv2.GaussianBlur(grey, (0, 0), SIGMA)
    slow = blurred(grey, WINDOW)
    detail = fine - slow
    contrast = blurred(detail * detail, 2 * WINDOW)
    return detail / np.sqrt(contrast + (NOISE * np.maximum(slow, 0.05)) ** 2)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """A wide Gaussian, on a quarter of the pixels' sides: nothing of it is finer."""
    size = (max(4, image.shape[1] // 4), max(4, image.shape[0] // 4))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / 4)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def visible(
    cameras: Sequence[Camera],
    vertices: np.ndarray,
    triangles: np.ndarray,
    size: int = SIZE,
    tolerance: float = DEPTH_PIXELS,
) -> np.ndarray:  # [views, V] float32
    """Cosine between a vertex's normal and the way to each camera; 0 where something lies before it.

    size: pixels of the depth pictures' longer side. tolerance: so many of their pixels something may lie before it.
    """
    from ..mesh.normals import vertex_normals

    views = []
    for camera in cameras:
        scale = size / max(camera.width, camera.height)
        views.append(camera.resize(max(16, round(camera.width * scale)), max(16, round(camera.height * scale))))
    normals = vertex_normals(vertices, triangles)
    depths = make_rasteriser("cpu", views).render(vertices, triangles).depth
    found = np.zeros((len(views), len(vertices)), np.float32)
    for i, (camera, depth) in enumerate(zip(views, depths, strict=True)):
        away = camera.center - vertices
        cosine = (normals * away).sum(1) / np.maximum(np.linalg.norm(away, axis=1), 1e-12)
        pixels, z = camera.project(vertices)
        x, y = np.floor(np.nan_to_num(pixels)).astype(int).T
        inside = (z > 0) & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        there = depth[np.where(inside, y, 0), np.where(inside, x, 0)]
        seen = inside & (there > 0) & (np.abs(z - there) < tolerance * z / camera.K[0, 0] / np.maximum(cosine, 0.2))
        found[i] = np.where(seen, np.maximum(cosine, 0), 0)
    return found


def near(cameras: Sequence[Camera], points: np.ndarray) -> list[Camera]:
    """The cameras' pictures around points [n, 3] alone, FINE_SIZE pixels long."""
    found = []
    for camera in cameras:
        pixels, _ = camera.project(points)
        low, high = np.nanmin(pixels, 0), np.nanmax(pixels, 0)
        x, y = np.floor(low - 2).astype(int)
        width, height = np.ceil(high + 2).astype(int) - (x, y)
        scale = FINE_SIZE / max(width, height)
        found.append(camera.crop(x, y, width, height).resize(round(width * scale) + 1, round(height * scale) + 1))
    return found
