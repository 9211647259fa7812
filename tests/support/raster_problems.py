"""Rasteriser problems that are hard on purpose, shared by the kernels' tests without and with a GPU."""

from __future__ import annotations

import numpy as np

from bridge.capture.cameras import Camera
from bridge.mesh import Surface
from bridge.raster import ImageTargets
from tests.bridge.scenes import bumpy, look_at


def random_cameras(count: int, seed: int) -> list[Camera]:
    """Different sizes, distances, focal lengths and principal points; the mesh surrounds some of them."""
    rng = np.random.default_rng(seed)
    return [
        look_at(
            rng.uniform(0, 360),
            rng.uniform(-80, 80),
            rng.uniform(0.6, 6),
            int(rng.integers(20, 90)),
            int(rng.integers(20, 90)),
            rng.uniform(0.6, 3),
            rng.uniform(0.7, 1.4),
            rng.uniform(-15, 15, 2),
        )
        for _ in range(count)
    ]


def folded(level: int, seed: int) -> Surface:
    """A closed mesh with self-intersections, inverted faces and triangles without area: what a solve passes through."""
    vertices, faces = bumpy(level, seed)
    rng = np.random.default_rng(seed)
    vertices = vertices + rng.normal(size=vertices.shape) * 0.6 / 2**level
    merged = rng.integers(0, len(faces), len(faces) // 20)
    vertices[faces[merged, 0]] = vertices[faces[merged, 1]]  # triangles without area
    return Surface.of(vertices, faces)


def random_targets(cameras: list[Camera], seed: int) -> ImageTargets:
    """Noise: every pixel pulls somewhere else."""
    rng = np.random.default_rng(seed)
    sizes = [(camera.height, camera.width) for camera in cameras]
    normals = [rng.normal(size=(*size, 3)) for size in sizes]
    return ImageTargets.of(
        [n / np.linalg.norm(n, axis=-1, keepdims=True) for n in normals],
        [(rng.uniform(size=size) < 0.6).astype(np.float32) for size in sizes],
        [rng.uniform(0, 1, size) for size in sizes],
        [rng.uniform(0, 1, size) for size in sizes],
    )


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| / |b|."""
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b))
