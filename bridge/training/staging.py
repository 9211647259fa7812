"""Light, cameras and the photograph: everything around the subject."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .raster import rasterise, visibility
from .subject import Subject

FILL = 0.85  # share of half the frame that the head's sphere fills in a head camera


@dataclass(frozen=True, eq=False)
class Lighting:
    """Directional lights fixed to the head (or none: texture only, as the paper renders its training views)."""

    lit: bool
    directions: np.ndarray  # [L, 3] unit, towards the light
    colours: np.ndarray  # [L, 3] linear
    light_on: np.ndarray  # [L, V] share of each light a vertex sees
    ambient_on: np.ndarray  # [V] share of the sky a vertex sees
    sky: np.ndarray  # [3]
    ground: np.ndarray  # [3]
    fill: float  # light at the camera

    @staticmethod
    def none(count: int) -> Lighting:
        """Texture only, for a subject of some vertices."""
        nothing, everything = np.zeros((0, 3), np.float32), np.ones(3, np.float32)
        hidden, open_sky = np.zeros((0, count), np.float32), np.ones(count, np.float32)
        return Lighting(False, nothing, nothing, hidden, open_sky, everything, everything, 0.0)


def _seen_from(subject: Subject, direction: np.ndarray, size: int, out: np.ndarray) -> None:
    side = np.cross([0.0, 1.0, 0.0], direction) if abs(direction[1]) < 0.95 else np.array([1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(direction, side), direction]).astype(np.float32)
    points = subject.vertices @ frame.T
    reach = 1.02 * np.abs(points[:, :2]).max()
    projected = np.empty_like(points)
    projected[:, :2] = (points[:, :2] / reach + 1) * (size / 2)
    projected[:, 2] = points[:, 2] + 10  # larger is nearer to the light; positive for the rasteriser
    depth = np.zeros((size, size), np.float32)
    rasterise(projected, subject.faces, size, size, depth, np.full((size, size), -1, np.int32))
    visibility(projected, depth, 2.5 * 2 * reach / size, out)


def light(rng: np.random.Generator, subject: Subject, statue: bool) -> Lighting:
    """Random lights, and what of them reaches each vertex."""
    count = len(subject.vertices)
    lit = statue or rng.random() < 0.68
    if not lit:
        return Lighting.none(count)
    number = int(rng.integers(1, 5))
    directions = rng.normal(size=(number, 3))
    directions[:, 1] = np.abs(directions[:, 1]) * 0.8 - 0.1
    directions[0, 2] = abs(directions[0, 2])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    soft = rng.random() < 0.55  # studio light: much ambient, weak keys
    strength = rng.uniform(0.05, 0.5, (number, 1)) if soft else rng.uniform(0.2, 1.3, (number, 1))
    colours = strength * (1 + rng.uniform(-0.2, 0.2, (number, 3)) * (rng.random() < 0.6))
    light_on = np.zeros((number, count), np.float32)
    for i in range(number):
        if rng.random() < 0.8:
            _seen_from(subject, directions[i], 192, light_on[i])
        else:
            light_on[i] = 1
    ambient_on = np.zeros(count, np.float32)
    open_sky = rng.normal(size=(12, 3))
    open_sky[:, 1] += 0.3
    open_sky /= np.linalg.norm(open_sky, axis=1, keepdims=True)
    if rng.random() < 0.8:
        for direction in open_sky:
            _seen_from(subject, direction, 96, ambient_on)
        facing = np.maximum(subject.normals @ open_sky.T.astype(np.float32), 0)
        ambient_on = (ambient_on / len(open_sky)) ** rng.uniform(0.3, 1) * (0.8 + 0 * facing[:, 0])
    else:
        ambient_on[:] = 0.7
    level = rng.uniform(0.3, 0.9) if soft else rng.uniform(0.04, 0.4)
    sky = level * (1 + rng.uniform(-0.15, 0.15, 3))
    ground = sky * rng.uniform(0.1, 1.0)
    fill = rng.uniform(0, 0.3) if rng.random() < 0.4 else 0.0
    f = np.float32
    return Lighting(
        True,
        directions.astype(f),
        colours.astype(f),
        light_on,
        ambient_on.astype(f),
        sky.astype(f),
        ground.astype(f),
        float(fill),
    )


@dataclass(frozen=True, eq=False)
class HeadCamera:
    """A square camera that looks at the head's centre; see bridge/normals/warp.py for its twin at inference."""

    R: np.ndarray  # [3, 3] world -> camera, OpenCV axes
    position: np.ndarray  # [3]
    focal: float  # in frame widths
    distance: float  # to the head's centre, in radii of its sphere


def head_focal(distance: float) -> float:
    """Focal length in frame widths for which a unit sphere at a distance fills FILL of the frame."""
    return 0.5 * FILL * np.sqrt(distance**2 - 1)


def head_sphere(subject: Subject) -> tuple[np.ndarray, float]:
    """Centre [3] and radius like bridge.framing.head_frame makes from boxes: half the longer side of the box."""
    low, high = np.percentile(subject.vertices[np.unique(subject.faces)], [0.2, 99.8], axis=0)
    half = (high - low) / 2
    return (low + high) / 2, float(max(half[1], (half[0] + half[2]) / 2))


RIGS = {"frontal": 0.0, "ring": 0.45, "dome": 0.75}  # kinds, and from which draw of 0..1 on; frontal: Table S3


def cameras(rng: np.random.Generator, subject: Subject, count: int, kind: str | None = None) -> list[HeadCamera]:
    """A random rig around the head, of any kind or of one of RIGS."""
    centre, radius = head_sphere(subject)
    if rng.random() < 0.7:
        radius *= rng.uniform(0.85, 1.2)
    else:
        radius *= np.exp(rng.uniform(np.log(0.6), np.log(2.2)))
    centre = centre + radius * np.clip(rng.normal(0, 0.07, 3), -0.15, 0.15)
    rig, distance = rng.random(), np.exp(rng.uniform(np.log(2.2), np.log(11)))
    rig = rig if kind is None else RIGS[kind]
    tilt = np.deg2rad(rng.normal(0, 5, 2))
    first = rng.uniform(-np.pi, np.pi)
    out = []
    for i in range(count):
        if rig < RIGS["ring"]:
            yaw, pitch = np.deg2rad(rng.uniform(-95, 95)), np.deg2rad(rng.uniform(-35, 35))
        elif rig < RIGS["dome"]:
            yaw, pitch = first + 2 * np.pi * i / count + rng.normal(0, 0.15), np.deg2rad(rng.normal(5, 14))
        else:
            yaw, pitch = rng.uniform(-np.pi, np.pi), np.deg2rad(rng.uniform(-30, 60))
        d = distance * np.exp(rng.normal(0, 0.08))
        direction = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        up = np.array([np.sin(tilt[0]), 1.0, np.sin(tilt[1])])
        right = np.cross(-direction, up)
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(-direction, right), -direction])
        roll = np.deg2rad(rng.normal(0, 4))
        R = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]) @ R
        out.append(HeadCamera(R, centre + radius * d * direction, head_focal(d), d))
    return out


def background(rng: np.random.Generator, size: int) -> np.ndarray:  # [s, s, 3] sRGB
    """A random background: one colour, a gradient, or noise and shapes."""
    kind = rng.random()
    if kind < 0.35:
        return np.tile(rng.choice([0.0, 0.5, 1.0, rng.random()]) + np.zeros(3), (size, size, 1)).astype(np.float32)
    if kind < 0.5:
        return np.tile(rng.random(3), (size, size, 1)).astype(np.float32)
    if kind < 0.7:  # gradient
        corners = rng.random((2, 2, 1)) * 0.7 + rng.random((2, 2, 3)) * 0.3
        return cv2.resize(corners.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    coarse = int(rng.choice([4, 8, 16, 32]))
    image = cv2.resize(rng.random((coarse, coarse, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.6:
        for _ in range(rng.integers(3, 14)):
            colour = tuple(float(c) for c in rng.random(3) * rng.uniform(0.3, 1))
            p = rng.integers(-size // 4, size * 5 // 4, (2, 2))
            if rng.random() < 0.5:
                cv2.rectangle(image, tuple(map(int, p[0])), tuple(map(int, p[1])), colour, -1)
            else:
                axes = tuple(int(a) for a in rng.integers(4, size // 2, 2))
                cv2.ellipse(image, tuple(map(int, p[0])), axes, float(rng.uniform(0, 360)), 0, 360, colour, -1)
        if rng.random() < 0.7:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 8))
    return image.clip(0, 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Response:
    """How linear light becomes a picture; one per group, varied a little per view."""

    exposure: float
    balance: np.ndarray  # [3]
    gamma: float
    contrast: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Response:
        return Response(
            float(np.exp(rng.normal(0, 0.25))),
            1 + rng.normal(0, 0.06, 3),
            float(rng.uniform(1.7, 2.6)),
            float(rng.uniform(0, 0.5)),
        )

    def develop(self, linear: np.ndarray, gain: float) -> np.ndarray:  # [h, w, 3] -> sRGB 0..1
        x = np.clip(linear * (gain * self.exposure * self.balance).astype(np.float32), 0, 1) ** (1 / self.gamma)
        return x + self.contrast * (x * x * (3 - 2 * x) - x)
