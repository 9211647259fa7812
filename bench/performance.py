"""A synthetic performance: a template's person with expressions and head motion, photographed frame by frame.

    python -m bench.performance OUT [--template hm08|ict] [--cameras 6|10] [--frames N] [--still] [--size 1000]

writes OUT/rig (the capture of frame 1), OUT/images/cam00/0001.jpg ... and OUT/truth.npz. The skin's texture is a noise
in the volume of the neutral head, so that every point of it looks the same in each frame; lit, with sensor noise.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from bridge.capture import images
from bridge.capture.cameras import Camera
from bridge.capture.record import Capture, View, save
from bridge.model import Template
from bridge.model.load import load_template
from bridge.raster import make_rasteriser
from bridge.wrap.landmark_maps import paint

CELLS, GRAIN_MM = 160, (2.0, 5.0)  # of the noise: its cells, and the sizes of its blobs
CONTRAST, NOISE = 0.10, 0.01
AWAY_MM = 900.0
CURVES = {  # shape -> (height, frequency over the sequence, phase)
    "jawOpen": (0.7, 3.0, 0.0),
    "eyeBlinkLeft": (1.0, 2.0, 0.3),
    "eyeBlinkRight": (1.0, 2.0, 0.3),
    "mouthSmileLeft": (0.8, 2.0, 0.5),
    "mouthSmileRight": (0.8, 2.0, 0.5),
    "browInnerUp": (0.9, 1.0, 0.2),
    "browDownLeft": (0.6, 2.0, 0.8),
    "browDownRight": (0.6, 2.0, 0.8),
    "mouthPucker": (0.5, 3.0, 0.6),
}


@dataclass(frozen=True, eq=False)
class Performance:
    """The truth of every frame, in the rig's world, which is the template's frame (millimetres)."""

    vertices: np.ndarray  # [frames, V, 3]
    expression: np.ndarray  # [frames, m]
    R: np.ndarray  # [frames, 3, 3]
    t: np.ndarray  # [frames, 3]


def act(template: Template, frames: int, seed: int, still: bool = False) -> Performance:
    """Frame 0 is neutral; the last one is the first one again. still: the head does not turn and nothing moves."""
    rng = np.random.default_rng(seed)
    person = template.vertices.copy()
    if len(template.identity):
        person = person + np.tensordot(rng.normal(0, 0.7, len(template.identity)), template.identity, 1)
    time = np.arange(frames) / max(1, frames - 1)
    expression = np.zeros((frames, len(template.expressions)))
    for name, (height, frequency, phase) in CURVES.items():
        curve = np.maximum(0, np.sin(2 * np.pi * (frequency * time - phase)) - np.sin(-2 * np.pi * phase) * (1 - time))
        envelope = np.minimum(1, 4 * np.minimum(time, 1 - time))
        expression[:, template.expression_names.index(name)] = height * np.clip(curve, 0, 1) * envelope
    angles = np.radians(14) * np.stack(
        [np.sin(4 * np.pi * time) * 0.5, np.sin(2 * np.pi * time), 0.3 * np.sin(4 * np.pi * time)], 1
    )
    shift = 12.0 * np.stack(
        [np.sin(2 * np.pi * time), 0.5 * np.sin(4 * np.pi * time), 0.5 * np.sin(2 * np.pi * time)], 1
    )
    if still:
        angles, shift, expression = angles * 0, shift * 0, expression * 0
    centre = person.mean(0)
    R = Rotation.from_rotvec(angles).as_matrix()
    shapes = person + np.einsum("fm,mvd->fvd", expression, template.expressions)
    vertices = np.einsum("fij,fvj->fvi", R, shapes - centre) + centre + shift[:, None]
    return Performance(vertices, expression, R, shift)


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
        self.triangles = template.triangles_of("skin", "eye_left", "eye_right")
        self.color = paint(template, template.landmarks, self.rng)
        noise = self.rng.normal(size=(CELLS,) * 3).astype(np.float32)
        self.low, self.cell = neutral.min(0), float(np.ptp(neutral, axis=0).max()) / (CELLS - 1)
        layers = [gaussian_filter(noise, mm / self.cell / 2.5) for mm in GRAIN_MM]
        self.volume = sum(layer / layer.std() for layer in layers) / len(layers)
        self.neutral = neutral

    def photograph(self, vertices: np.ndarray) -> list[np.ndarray]:  # [H, W, 3] uint8
        attributes = np.concatenate([self.color, self.neutral], 1)
        render = make_rasteriser("cpu", self.cameras).render(vertices, self.triangles, attributes)
        light = np.array([0.4, 0.5, 1.0]) / np.linalg.norm([0.4, 0.5, 1.0])
        found = []
        assert render.attributes is not None
        for normals, values, triangle in zip(render.normals, render.attributes, render.triangle):
            hit = triangle >= 0
            picture = np.full((*hit.shape, 3), 0.55)
            cells = (values[hit][:, 3:] - self.low) / self.cell
            grain = 1 + CONTRAST * map_coordinates(self.volume, cells.T, order=1, mode="nearest")
            shade = 0.35 + 0.75 * np.clip(normals[hit] @ light, 0, 1)
            picture[hit] = np.clip(values[hit][:, :3] * (grain * shade)[:, None], 0, 1) ** (1 / 2.2)
            picture += self.rng.normal(0, NOISE, picture.shape)
            found.append((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
        return found


def write(
    folder: Path, template: Template, frames: int, count: int, size: int, seed: int = 1, still: bool = False
) -> Performance:
    """All files of a performance; its truth."""
    performance = act(template, frames, seed, still)
    head = performance.vertices[0]
    centre = np.array([0, head[:, 1].max() - 130, head[:, 2].max() - 90])
    studio = Studio(template, head, rig(count, centre, size), seed)
    views = []
    for f in range(frames):
        for camera, picture in zip(studio.cameras, studio.photograph(performance.vertices[f])):
            place = folder / "images" / camera.name / f"{f + 1:04d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            images.write(place, picture[..., ::-1])
            if f == 0:
                first = folder / "rig" / "images" / f"{camera.name}.png"
                first.parent.mkdir(parents=True, exist_ok=True)
                images.write(first, picture[..., ::-1])
                views.append(View(camera, first))
    save(Capture("performance", tuple(views), 1.0), folder / "rig")
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
    parser.add_argument("--still", action="store_true")
    options = parser.parse_args()
    write(
        options.output,
        load_template(options.template),
        options.frames,
        options.cameras,
        options.size,
        options.seed,
        options.still,
    )


if __name__ == "__main__":
    main()
