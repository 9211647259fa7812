"""Cameras of two to five photographs that contradict each other's face, corrected.

So few photographs share hardly any features, but all show a face: its landmarks bring the cameras to within some
pixels, enough for the model head to be laid on them. Through that head each photograph is then laid over the others,
and what dense flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016) still finds between them are
points that two photographs show to a fraction of a pixel. Both go through one bundle adjustment (refine/adjust.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..errors import Check, unchecked
from ..head.landmarks import PRESENT, Face
from ..head.triangulate import triangulate
from ..raster.look import look
from ..refine.adjust import Prior, bundle_adjust
from ..refine.tracks import Tracks

# Landmarks of one face, median from where the cameras say, in the face's height: 0.001 to 0.013 on right rigs (0.013
# with views from above and below, where landmarks err alike), 0.05 where every camera is off by a degree
LOOSE = 0.025
GAIN = 1 / 3  # errors must fall below this share of what they were: 0.04 where cameras were wrong, 0.42 where landmarks
ROTATION, POSITION = np.radians(1.0), 0.01  # standard deviations of a given pose; the position's in distances
FRONTAL = 0.3  # a landmark counts where its part of the face looks at the camera so much
MARK = 0.015  # of the face's height: standard deviation of a landmark; their errors are alike in neighbours
SIDE = 700  # pixels of a photograph's longer side in which flow is looked for
FAR = 20.0  # pixels: longer flow is none
EVERY = 6  # pixels between two points
BACK = 0.5  # pixels that the way there and back may miss
ALIKE = 0.8  # correlation of the windows around a point and its image
CORNERS = 0.4  # share of the pixels whose texture has two directions
EDGE = 0.01  # of the depth: another part of the head hides the point
WINDOW, LIGHT = 11, 31  # pixels: of the correlation, and over which light and contrast are made alike
HELD = 0.6  # of what was not known of a pose: cameras that keep more of it are not believed


def contradict(cameras: Sequence[Camera], faces: Sequence[Face | None]) -> bool:
    """Whether the photographs' landmarks do not meet where the cameras say. faces: in the cameras' pixels."""
    marks = triangulate(cameras, faces)
    return marks is not None and marks.error_px > LOOSE * _height(faces)


def by_landmarks(
    cameras: Sequence[Camera], faces: Sequence[Face | None], check: Check = unchecked
) -> list[Camera] | None:
    """The cameras moved as little as lets the landmarks of the face meet; None where they do not meet then either."""
    point, view, pixel = [], [], []
    for i, face in enumerate(faces):
        if face is not None and face.presence > PRESENT:
            seen = np.flatnonzero(face.frontal > FRONTAL)
            point.append(seen)
            view.append(np.full(len(seen), i))
            pixel.append(face.points[seen, :2])
    marks = Tracks(np.concatenate(point), np.concatenate(view), np.concatenate(pixel))
    marks = marks.only(np.ones(len(marks.point), bool))
    before = triangulate(cameras, faces)
    assert before is not None  # nothing contradicts itself that is shown once
    middle, finest = np.median(before.points, axis=0), MARK * _height(faces)
    moved = bundle_adjust(cameras, marks, _prior(cameras, middle), [True] * len(cameras), finest=finest, check=check)
    after = triangulate(moved.cameras, faces)
    return moved.cameras if after is not None and after.error_px < GAIN * before.error_px else None


def by_surface(
    cameras: Sequence[Camera], photos: Sequence[np.ndarray], vertices: np.ndarray, faces: np.ndarray,
    check: Check = unchecked,
) -> list[Camera] | None:  # fmt: skip
    """The cameras moved to where the photographs agree; None where they do not tell.

    photos [H, W, 3] sRGB 0..1 of the cameras' sizes; vertices [V, 3], faces [F, 3]: a surface in the cameras' world,
    right to a few pixels.
    """
    tracks = points_through(cameras, photos, vertices, faces, check)
    if not tracks.count:
        return None
    free = [True] * len(cameras)
    finest = 0.5 * max(cameras[0].width, cameras[0].height) / SIDE
    found = bundle_adjust(cameras, tracks, _prior(cameras, vertices.mean(0)), free, finest=finest, check=check)
    return found.cameras if found.loose.max() < HELD else None


def points_through(
    cameras: Sequence[Camera], photos: Sequence[np.ndarray], vertices: np.ndarray, faces: np.ndarray,
    check: Check = unchecked,
) -> Tracks:  # fmt: skip
    """Points that two photographs show, found by flow between one and the other laid over it through a surface."""
    views = [_Shown.of(camera, photo, vertices, faces) for camera, photo in zip(cameras, photos, strict=True)]
    point, view, pixel, count = [], [], [], 0
    for i, mine in enumerate(views):
        for j, other in enumerate(views):
            check()
            if i == j:
                continue
            here, there = _paired(mine, other)
            numbers = np.arange(count, count + len(here))
            count += len(here)
            point += [numbers, numbers]
            view += [np.full(len(here), i), np.full(len(here), j)]
            pixel += [here, there]
    return Tracks(np.concatenate(point), np.concatenate(view), np.concatenate(pixel))


def _height(faces: Sequence[Face | None]) -> float:
    """Median height of the face in the photographs that show it, pixels."""
    return float(np.median([np.ptp(face.points[:, 1]) for face in faces if face is not None]))


def _prior(cameras: Sequence[Camera], middle: np.ndarray) -> Prior:
    away = np.array([np.linalg.norm(camera.center - middle) for camera in cameras])
    return Prior(ROTATION, POSITION * away)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A photograph at the size in which flow is looked for, and what its camera sees of the surface."""

    camera: Camera
    scale: float  # of its pixels to the photograph's
    grey: np.ndarray  # [h, w] float32 0..1
    depth: np.ndarray  # [h, w], 0: nothing

    @classmethod
    def of(cls, camera: Camera, photo: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> _Shown:
        scale = min(1.0, SIDE / max(camera.width, camera.height))
        small = camera.resize(round(camera.width * scale), round(camera.height * scale))
        grey = cv2.cvtColor(np.ascontiguousarray(photo, np.float32), cv2.COLOR_RGB2GRAY)
        grey = cv2.resize(grey, (small.width, small.height), interpolation=cv2.INTER_AREA)
        return cls(small, small.width / camera.width, grey, look(small, vertices, faces)[0])

    def through(self, other: _Shown) -> tuple[np.ndarray, np.ndarray]:
        """Where another view shows what this one sees, [h, w, 2] pixels, and whether it does, [h, w] bool."""
        h, w = self.depth.shape
        u, v = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        rays = np.linalg.solve(self.camera.K, np.stack([u.ravel(), v.ravel(), np.ones(h * w)])).T
        points = (rays * self.depth.reshape(-1, 1) - self.camera.t) @ self.camera.R
        pixels, depth = other.camera.project(points)
        pixels, depth = np.nan_to_num(pixels.reshape(h, w, 2), posinf=-1, neginf=-1), depth.reshape(h, w)
        surface = _at(other.depth, pixels, cv2.INTER_NEAREST)
        return pixels, (self.depth > 0) & (surface > 0) & (np.abs(surface - depth) < EDGE * depth)


def _paired(mine: _Shown, other: _Shown) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [n, 2] of one photograph and where the other shows the same, both in the photographs' own sizes."""
    pixels, seen = mine.through(other)
    both = cv2.erode(seen.astype(np.uint8), np.ones((5, 5))).astype(np.float32)
    reference, laid = _even(mine.grey, both), _even(_at(other.grey, pixels), both)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there, back = (search.calc(a, b, None) for a, b in ((reference, laid), (laid, reference)))  # type: ignore[call-overload]  # no flow to begin with
    h, w = both.shape
    moved = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), 2) + there
    missed = np.linalg.norm(there + _at(back, moved), axis=2)
    inner = cv2.erode(both, np.ones((9, 9))) > 0
    texture = cv2.cornerMinEigenVal(reference, 9)
    good = inner & (missed < BACK) & (np.linalg.norm(there, axis=2) < FAR)
    good &= _correlation(reference.astype(np.float32), _at(laid, moved).astype(np.float32)) > ALIKE
    if good.any():
        good &= texture > np.quantile(texture[inner], 1 - CORNERS)
    grid = np.zeros_like(good)
    grid[::EVERY, ::EVERY] = True
    y, x = np.nonzero(good & grid)
    if not len(x):
        return np.zeros((0, 2)), np.zeros((0, 2))
    image = _at(pixels.astype(np.float32), moved[None, y, x])[0]
    return np.stack([x, y], 1).astype(float) / mine.scale + 0.5 / mine.scale, image / other.scale


def _even(grey: np.ndarray, inside: np.ndarray) -> np.ndarray:  # [h, w] uint8
    """Light and contrast made alike all over, as far as both views see."""
    size = LIGHT, LIGHT
    share = np.maximum(cv2.blur(inside, size), 1e-3)
    off = (grey - cv2.blur(grey * inside, size) / share) * inside
    contrast = np.sqrt(np.maximum(cv2.blur(off * off, size), 0) / share) + 0.01
    return np.clip(128 + 40 * off / contrast, 0, 255).astype(np.uint8)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [h, w]
    size = WINDOW, WINDOW
    mean_a, mean_b = cv2.blur(a, size), cv2.blur(b, size)
    together = cv2.blur(a * b, size) - mean_a * mean_b
    apart = (cv2.blur(a * a, size) - mean_a**2) * (cv2.blur(b * b, size) - mean_b**2)
    return together / np.sqrt(np.maximum(apart, 1.0))


def _at(values: np.ndarray, pixels: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """A picture's values at pixels [h, w, 2], counted from its corner."""
    x, y = (np.ascontiguousarray(pixels[..., k] - 0.5, np.float32) for k in (0, 1))
    return cv2.remap(values, x, y, how, borderMode=cv2.BORDER_CONSTANT)
