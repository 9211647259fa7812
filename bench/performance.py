"""A synthetic performance: a template's person with expressions and head motion, photographed frame by frame.

    python -m bench.performance OUT [--template hm08|ict] [--cameras 6|10] [--frames N] [--still | --speech]
        [--size 1000]

writes OUT/rig (the capture of frame 1; of ten cameras also capture-six.json with six of them), OUT/truth.npz and
OUT/images/cam00/0001.jpg ... The skin's texture is a noise in the volume of the neutral head, so that every point of it
looks the same in each frame; lit, with sensor noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numba import njit, prange
from scipy.ndimage import gaussian_filter

from bridge.capture import images
from bridge.capture.cameras import Camera
from bridge.capture.record import Capture, View, save
from bridge.model import Template
from bridge.model.load import load_template
from bridge.raster import make_rasteriser
from bridge.wrap.landmark_maps import paint

from .acting import Performance, act

CELLS, GRAIN_MM = 160, (2.0, 5.0)  # of the noise: its cells, and the sizes of its blobs
CONTRAST, NOISE = 0.10, 0.01
NOISES = 5_000_011  # of a sensor, kept
AWAY_MM = 900.0
SIX = (0, 2, 4, 5, 7, 9)  # of ten cameras


def rig(count: int, centre: np.ndarray, size: int) -> list[Camera]:
    """Cameras in two rows around the face's front."""
    found: list[Camera] = []
    for i, yaw in enumerate(np.radians(np.linspace(-60, 60, count))):
        pitch = np.radians(15 if i % 2 else -10)
        out = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        x = np.cross([0, 1.0, 0], out)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(-out, x), -out])
        K = np.array([[2.6 * size, 0, size / 2], [0, 2.6 * size, size / 2], [0, 0, 1.0]])
        found.append(Camera(f"cam{i:02d}", K, R, -R @ (centre + AWAY_MM * out), size, size))
    return found


class Studio:
    """Takes the photographs."""

    def __init__(self, template: Template, neutral: np.ndarray, cameras: list[Camera], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.cameras = cameras
        self.rasteriser = make_rasteriser("cpu", cameras)
        self.triangles = template.triangles_of("skin", "eye_left", "eye_right")
        self.color = paint(template, template.landmarks, self.rng)
        noise = self.rng.normal(size=(CELLS,) * 3).astype(np.float32)
        self.low, self.cell = neutral.min(0), float(np.ptp(neutral, axis=0).max()) / (CELLS - 1)
        layers = [gaussian_filter(noise, mm / self.cell / 2.5) for mm in GRAIN_MM]
        self.volume = sum(layer / layer.std() for layer in layers) / len(layers)
        self.neutral = neutral
        # of the sensor: every picture begins somewhere else in it, because making it anew takes longer than all else
        self.noise = self.rng.normal(0, NOISE, NOISES).astype(np.float32)

    def photograph(self, vertices: np.ndarray) -> list[np.ndarray]:  # [H, W, 3] uint8 RGB
        attributes = np.concatenate([self.color, (self.neutral - self.low) / self.cell], 1)
        render = self.rasteriser.render(vertices, self.triangles, attributes)
        light = np.array([0.4, 0.5, 1.0]) / np.linalg.norm([0.4, 0.5, 1.0])
        assert render.attributes is not None
        found = []
        for normals, values, triangle in zip(render.normals, render.attributes, render.triangle):
            picture = np.empty((*triangle.shape, 3), np.uint8)
            _expose(triangle, normals, values, self.volume, light, self.noise, self.rng.integers(NOISES), picture)
            found.append(picture)
        return found


@njit(parallel=True, cache=True)
def _expose(triangle, normals, values, volume, light, noise, begin, picture):
    """Colour times grain times light, as sRGB, with a sensor's noise. values [H, W, 6]: colour, place in the volume."""
    H, W = triangle.shape
    last = volume.shape[0] - 1.0001
    for y in prange(H):
        for x in range(W):
            grain = shade = 0.0
            hit = triangle[y, x] >= 0
            if hit:
                a = min(max(values[y, x, 3], 0.0), last)
                b = min(max(values[y, x, 4], 0.0), last)
                c = min(max(values[y, x, 5], 0.0), last)
                i, j, k = int(a), int(b), int(c)
                a, b, c = a - i, b - j, c - k
                total = 0.0
                for corner in range(8):
                    di, dj, dk = corner >> 2, (corner >> 1) & 1, corner & 1
                    weight = (a if di else 1 - a) * (b if dj else 1 - b) * (c if dk else 1 - c)
                    total += weight * volume[i + di, j + dj, k + dk]
                grain = 1 + CONTRAST * total
                facing = 0.0
                for d in range(3):
                    facing += normals[y, x, d] * light[d]
                shade = 0.35 + 0.75 * max(facing, 0.0)
            for d in range(3):
                value = 0.55
                if hit:
                    value = min(max(values[y, x, d] * grain * shade, 0.0), 1.0) ** (1 / 2.2)
                value += noise[(begin + 3 * (y * W + x) + d) % noise.shape[0]]
                picture[y, x, d] = int(min(max(value, 0.0), 1.0) * 255 + 0.5)


def write(
    folder: Path,
    template: Template,
    frames: int,
    count: int,
    size: int,
    seed: int = 1,
    still: bool = False,
    speech: bool = False,
) -> Performance:
    """All files of a performance; its truth."""
    performance = act(template, frames, seed, still, speech)
    head = performance.vertices[0]
    centre = np.array([0, head[:, 1].max() - 130, head[:, 2].max() - 90])
    studio = Studio(template, head, rig(count, centre, size), seed)
    views = []
    for f in range(frames):
        for camera, picture in zip(studio.cameras, studio.photograph(performance.vertices[f])):
            place = folder / "images" / camera.name / f"{f + 1:04d}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            images.write(place, picture[..., ::-1])
            if f == 0:
                first = folder / "rig" / "images" / f"{camera.name}.jpg"
                first.parent.mkdir(parents=True, exist_ok=True)
                images.write(first, picture[..., ::-1])
                views.append(View(camera, first))
    save(Capture("performance", tuple(views), 1.0), folder / "rig")
    if count == 10:
        save(Capture("performance", tuple(views[i] for i in SIX), 1.0), folder / "rig", "capture-six.json")
    with (folder / "truth.npz").open("wb") as file:
        np.savez(file, vertices=performance.vertices.astype(np.float32), expression=performance.expression,
                 R=performance.R, t=performance.t)  # fmt: skip
    return performance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--template", default="hm08")
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--still", action="store_true", help="nothing moves")
    parser.add_argument("--speech", action="store_true", help="syllables, blinks and grimaces, for takes of 100 frames")
    options = parser.parse_args()
    write(
        options.output,
        load_template(options.template),
        options.frames,
        options.cameras,
        options.size,
        options.seed,
        options.still,
        options.speech,
    )


if __name__ == "__main__":
    main()
