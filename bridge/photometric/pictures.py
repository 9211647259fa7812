"""Grey photographs at one resolution, with their cameras in the head's frame, masks and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..side_by_side import side_by_side

LEAST_NOISE = 0.5 / 255  # standard deviation of a grey value: what a JPEG leaves of it
RESPONSE = 6.0  # standard deviation of the kernel below for noise of 1 (Immerkaer 1996)
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
ROUND = 8  # pixels around the head, so that windows and slopes have something to look at
SHARPER = 1.1  # times the pixels that are kept: less is not worth reading a file again
MOST_PIXELS = 110_000_000  # of all views together at one resolution; with what the surface is in them 1 GB


@dataclass(frozen=True, eq=False)
class Photographs:
    """The photographs of a run as they are kept, and the way to their full size.

    pixels [H, W, 3] float32 sRGB 0..1 without distortion, masks [h, w] 0..1 of the same field of view; read: gives a
    view's photograph anew as large as its file is, largest: how many times its pixels are those that are kept.
    """

    pixels: Sequence[np.ndarray]
    masks: Sequence[np.ndarray | None]
    cameras: Sequence[Camera]
    read: Callable[[int], tuple[np.ndarray, Camera]] | None = None
    largest: Sequence[float] | None = None

    def growth(self, i: int) -> float:
        """How many times the kept width a view's file has."""
        return 1.0 if self.read is None or self.largest is None else max(self.largest[i], 1.0)

    def photo(self, i: int, scale: float) -> tuple[np.ndarray, Camera]:
        """The pixels of a view and their camera, enough of them for `scale` times the kept width."""
        if self.read is not None and scale > SHARPER:
            pixels, camera = self.read(i)
            return pixels, replace(camera, R=self.cameras[i].R, t=self.cameras[i].t)
        return self.pixels[i], self.cameras[i]


@dataclass(frozen=True, eq=False)
class Pictures:
    """All views at one resolution, cut to the head; positions are the head's frame (unit sphere)."""

    cameras: list[Camera]
    grey: list[np.ndarray]  # [H, W] float32
    masks: list[np.ndarray | None]  # [h, w] float32 0..1 of the same field of view
    noise: list[float]  # variance of the grey values
    pixel: float  # size of a pixel at the head's middle, median over the views

    @classmethod
    def of(cls, photographs: Photographs, frame: HeadFrame, across: float, around: np.ndarray) -> Pictures:
        """across: pixels across the head's sphere, as far as the photographs have so many; around [V, 3]: the head
        in its frame, which the pictures are cut to."""
        cameras = [frame.normalise(camera) for camera in photographs.cameras]
        boxes = [_box(camera, around) for camera in cameras]
        scales = [min(across / pixels_across(camera), photographs.growth(i)) for i, camera in enumerate(cameras)]
        sizes = [scale**2 * (box[2] - box[0]) * (box[3] - box[1]) for scale, box in zip(scales, boxes, strict=True)]
        fits = min(1.0, (MOST_PIXELS / sum(sizes)) ** 0.5)

        def part(i: int) -> tuple[Camera, np.ndarray, np.ndarray | None, float]:
            camera, grey, mask = _cut(photographs, i, frame, boxes[i], fits * scales[i])
            return camera, grey, mask, _noise(grey, mask)

        small, grey, masks, noise = (list(of) for of in zip(*side_by_side(part, range(len(cameras))), strict=True))
        pixel = float(np.median([np.linalg.norm(camera.center) / camera.K[0, 0] for camera in small]))
        return cls(small, grey, masks, noise, pixel)


def pixels_across(camera: Camera) -> float:
    """Pixels of the unit sphere's diameter in a view, in the head's frame."""
    return 2 * float(camera.K[0, 0]) / max(float(np.linalg.norm(camera.center)), 1e-6)


def _box(camera: Camera, around: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that show the points [V, 3], and a rim around them."""
    pixels, depth = camera.project(around)
    size = np.array([camera.width, camera.height])
    pixels = pixels[(depth > 0) & np.isfinite(pixels).all(1)]
    if not len(pixels):
        return 0, 0, camera.width, camera.height
    rim = ROUND + 0.01 * max(camera.width, camera.height)
    low = np.clip(np.floor(pixels.min(0) - rim), 0, size - ROUND).astype(int)
    high = np.clip(np.ceil(pixels.max(0) + rim), low + ROUND, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cut(
    photographs: Photographs, i: int, frame: HeadFrame, box: tuple[int, int, int, int], scale: float
) -> tuple[Camera, np.ndarray, np.ndarray | None]:
    """A view's camera in the head's frame, its grey values and its mask in the box, `scale` times the kept size."""
    pixels, camera = photographs.photo(i, scale)
    kept = photographs.cameras[i]
    finer = camera.width / kept.width
    x0, y0, x1, y1 = (round(side * finer) for side in box)
    camera = frame.normalise(camera).crop(x0, y0, x1 - x0, y1 - y0)
    shrink = min(1.0, scale / finer)
    camera = camera.resize(max(8, round(camera.width * shrink)), max(8, round(camera.height * shrink)))
    part = pixels[y0:y1, x0:x1]
    part = cv2.cvtColor(np.ascontiguousarray(part, np.float32), cv2.COLOR_RGB2GRAY) if part.ndim == 3 else part
    how = cv2.INTER_AREA if camera.width <= part.shape[1] else cv2.INTER_LINEAR
    grey = np.ascontiguousarray(cv2.resize(part, (camera.width, camera.height), interpolation=how))
    mask = photographs.masks[i]
    if mask is not None:  # a part of it with the same corners, to a fraction of its pixels
        places = [
            side * ratio for side, ratio in zip(box, (mask.shape[1] / kept.width, mask.shape[0] / kept.height) * 2)
        ]
        mask = _part(mask, places, min(camera.width, mask.shape[1]), min(camera.height, mask.shape[0]))
    return camera, grey, mask


def _part(mask: np.ndarray, box: Sequence[float], width: int, height: int) -> np.ndarray:  # [height, width] float32
    """What a matte [h, w] says between the fractional corners x0, y0, x1, y1."""
    x0, y0, x1, y1 = box
    turn = np.array([[(x1 - x0) / width, 0, x0], [0, (y1 - y0) / height, y0]])
    turn[:, 2] += 0.5 * turn[[0, 1], [0, 1]] - 0.5  # pixel centres, which OpenCV counts from 0
    values: np.ndarray = np.ascontiguousarray(mask, np.float32)
    blur = [max(1, round(step)) for step in (turn[0, 0], turn[1, 1])]
    if max(blur) > 1:
        values = cv2.blur(values, blur, borderType=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, turn, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _noise(grey: np.ndarray, mask: np.ndarray | None) -> float:
    """Variance of the noise of a picture [H, W] where it is plain (Immerkaer 1996; a quantile, not the mean)."""
    response = np.abs(cv2.filter2D(grey, -1, KERNEL))
    if mask is not None:
        inside = cv2.resize(mask, grey.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.9
        if inside.any():
            response = response[inside]
    deviation = float(np.quantile(response, 0.25)) / 0.3186 / RESPONSE  # the quarter of |normal| is 0.3186
    return max(deviation, LEAST_NOISE) ** 2
