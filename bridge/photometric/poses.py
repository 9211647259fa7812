"""Poses of the cameras from the same photographs: every view is laid on what its partners show through the mesh.

What features leave of a pose's error (a third of a pixel and more) blurs all detail of two pixels. A view's own picture
and the mean of its partners', both normalised in windows against exposure, are aligned by Gauss-Newton steps on six
numbers (Lucas and Kanade 1981; through a surface: Goldluecke et al. 2014). Errors of the surface go along the epipolar
lines, which differ from partner to partner; what all have in common is the camera's.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from .evidence import lay_over, partners_of
from .pictures import Pictures
from .sight import WORKERS, Sights

ENDS = np.concatenate([np.eye(3), -np.eye(3)])  # of the axes of the head's sphere
# Factors of the rounds' steps: all views step at once, so two that move towards each other would change places, and
# what a whole side of the rig is off by goes slowly and takes a longer step once the rest is gone
RELAXATIONS = (0.6, 0.7, 1.3, 0.7)
WINDOW = 13  # pixels of the windows that are normalised
SMOOTH = 1.5  # pixels of a Gaussian, so that a step of a pixel is a small one
NOISES = 4.0  # variances of the noise below which a window is plain
LEAST_PIXELS = 100  # of a view that are asked
EVERY = 2  # a pixel of so many rows and columns is asked: smooth pictures say the same beside it
SHARED = 1 / 60 * EVERY**2  # share of a pixel's say: neighbours share their windows, and their errors
PRIOR_PX = 2.0  # standard deviation of a pose in pixels of the picture
# Pixels that poses are off on average at least, or they stay to the bit: 0.005 to 0.035 where they are right, 0.044 to
# 0.12 where features have left a tenth of a degree. COARSE_PX at the first resolution, whose surface is not right yet
LEAST_PX, COARSE_PX = 0.04, 0.1
# Share of their disagreement (1 - correlation) that views may keep, or it is not the poses that are wrong: poses off by
# two pixels left 0.3 of it, by a tenth 0.96 to 0.987, right ones would keep 0.993 to 0.999
GAIN = 0.99
# The same where they still disagree by more than UNLIKE: there the surface is wrong, and poses would follow it (a face
# that four of thirteen photographs see from 60 degrees apart kept 0.93 to 0.98 of 0.2, and its points lay farther off)
GAIN_UNLIKE, UNLIKE = 0.9, 0.1


def corrections(
    vertices: np.ndarray,
    faces: np.ndarray,
    pictures: Pictures,
    trust: Sequence[float] | np.ndarray,
    check: Check = unchecked,
    *,
    least_px: float = LEAST_PX,
) -> np.ndarray | None:  # [views, 6]
    """Twists that lay all views on each other: rotation vectors and shifts in the cameras' axes, of the head's frame.

    vertices [V, 3] in the head's frame, faces [F, 3]. None where the poses are as good as the pictures can tell.
    """
    total = np.zeros((len(pictures.cameras), 6))
    now = pictures
    for number, factor in enumerate(RELAXATIONS):
        steps, unlike = _steps(vertices, faces, now, trust, check)
        if not number:
            before = unlike
            if np.mean([_pixels(*pair) for pair in zip(now.cameras, steps)]) < least_px:
                return None
        total = np.stack([_after(first, factor * then) for first, then in zip(total, steps, strict=True)])
        now = placed(pictures, total)
    _, after = _steps(vertices, faces, now, trust, check)
    return total if after < (GAIN_UNLIKE if after > UNLIKE else GAIN) * before else None


def placed(pictures: Pictures, twists: np.ndarray) -> Pictures:
    """The pictures with their cameras moved."""
    cameras = [moved(camera, twist) for camera, twist in zip(pictures.cameras, twists, strict=True)]
    return replace(pictures, cameras=cameras)


def moved(camera: Camera, twist: np.ndarray, unit: float = 1.0) -> Camera:
    """A camera whose space turns and shifts by a twist [6]; unit: the world's length of one of the head's frame."""
    turn = Rotation.from_rotvec(twist[:3]).as_matrix()
    return replace(camera, R=turn @ camera.R, t=turn @ camera.t + unit * twist[3:])


def pixels_moved(before: Sequence[Camera], after: Sequence[Camera], frame: HeadFrame) -> float:
    """How far the head moved in the pictures of cameras of the world, on average."""
    ends = frame.world(ENDS)
    ways = [b.project(ends)[0] - a.project(ends)[0] for a, b in zip(before, after, strict=True)]
    return float(np.linalg.norm(ways, axis=-1).mean())


def _after(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    a, b = Rotation.from_rotvec(first[:3]), Rotation.from_rotvec(then[:3])
    return np.r_[(b * a).as_rotvec(), b.apply(first[3:]) + then[3:]]


def _pixels(camera: Camera, twist: np.ndarray) -> float:
    """How far a twist moves the head in a picture, mean over the ends of its axes."""
    return float(np.linalg.norm(moved(camera, twist).project(ENDS)[0] - camera.project(ENDS)[0], axis=1).mean())


def _steps(
    vertices: np.ndarray, faces: np.ndarray, pictures: Pictures, trust: Sequence[float] | np.ndarray, check: Check
) -> tuple[np.ndarray, float]:  # [views, 6]
    """A step of every view, and how little they look like their partners' pictures: 1 - correlation, mean."""
    sights = Sights.of(vertices, faces, pictures)
    pairs = partners_of(pictures, trust)

    def one(i: int) -> tuple[np.ndarray, float]:
        check()
        return _step(i, sights, pairs[i])

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(one, range(len(pairs))))
    compared = [unlike for _, unlike in found if np.isfinite(unlike)]
    return np.stack([step for step, _ in found]), float(np.mean(compared)) if compared else 0.0


def _step(i: int, sights: Sights, partners: Sequence[int]) -> tuple[np.ndarray, float]:  # [6], 0..2 or NaN
    nothing = np.zeros(6), float("nan")
    if not partners or not sights.views[i].use.any():
        return nothing
    mine, pictures = sights.whole(i), sights.pictures
    shape = mine.depth.shape
    own = mine.cut(pictures.grey[i])
    shown: np.ndarray = np.zeros(shape, np.float32)
    weight: np.ndarray = np.zeros(shape, np.float32)
    values, change, cosine = (np.empty(shape, np.float32) for _ in range(3))
    for j in partners:
        if lay_over(mine, sights, j, (values, change, cosine)):
            shown += cosine * _normalised(values, cosine > 0, NOISES * pictures.noise[j])
            weight += cosine
    known = weight > 0
    shown /= np.maximum(weight, 1e-9)
    own = _normalised(own, known, NOISES * pictures.noise[i])
    inside = cv2.erode(known.astype(np.uint8), np.ones((WINDOW // 2, WINDOW // 2), np.uint8)) > 0
    asked: np.ndarray = np.zeros(shape, bool)
    asked[::EVERY, ::EVERY] = True
    inside &= asked
    if inside.sum() < LEAST_PIXELS:
        return nothing
    own, shown = (cv2.GaussianBlur(picture, (0, 0), SMOOTH) for picture in (own, shown))
    along, down = (cv2.Scharr(own, cv2.CV_32F, *axis, scale=1 / 32)[inside] for axis in ((1, 0), (0, 1)))
    J = _motion(mine.first, mine.depth, inside, mine.camera)
    J = along[:, None] * J[:, 0] + down[:, None] * J[:, 1]
    away = (shown - own)[inside].astype(np.float64)
    spread = 1.5 * float(np.median(np.abs(away))) + 1e-3
    say = SHARED / spread**2 / (1 + (away / (2 * spread)) ** 2) ** 2
    camera = mine.camera
    far = float(np.linalg.norm(camera.center))
    prior = PRIOR_PX / camera.K[0, 0] * np.r_[np.ones(3), np.full(3, far)]
    A = (J * say[:, None]).T @ J + np.diag(prior**-2.0)
    unlike = 1 - float(np.corrcoef(own[inside], shown[inside])[0, 1])
    return np.linalg.solve(A, J.T @ (say * away)), unlike


def _normalised(values: np.ndarray, known: np.ndarray, noise: float) -> np.ndarray:  # [h, w] float32
    """Less its mean and over its deviation in the window about each pixel, as far as it is known; 0 elsewhere."""

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(image, cv2.CV_32F, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT)

    there = known.astype(np.float32)
    share = np.maximum(mean(there), 1e-6)
    held = values * there
    middle = mean(held) / share
    variance = np.maximum(mean(held * held) / share - middle * middle, 0)
    return np.where(known, (values - middle) / np.sqrt(variance + noise), 0).astype(np.float32)


def _motion(first: np.ndarray, depth: np.ndarray, inside: np.ndarray, camera: Camera) -> np.ndarray:  # [n, 2, 6]
    """How the pixels inside move when their camera's space turns and shifts."""
    row, column = np.nonzero(inside)
    z = depth[inside].astype(np.float64)
    pixel = np.stack([first[1] + column + 0.5, first[0] + row + 0.5, np.ones(len(z))])
    x, y, _ = (np.linalg.inv(camera.K) @ pixel) * z
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    zero = np.zeros(len(z))
    of_point = np.stack([np.stack([fx / z, zero, -fx * x / z**2], 1), np.stack([zero, fy / z, -fy * y / z**2], 1)], 1)
    turned = np.stack(  # a turn w moves a point p by w x p
        [np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], 1
    )
    return np.concatenate([of_point @ turned, of_point], 2)
