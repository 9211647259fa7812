"""What the benchmarks look at: a bumpy head-sized shape with a known surface, and a rig around it."""

from __future__ import annotations

import numpy as np

from bridge.cameras import Camera
from bridge.mesh.topology import icosphere
from bridge.raster import make_rasteriser
from bridge.solve import Target


def shape(level: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bumps of three sizes on an ellipsoid, 10 * 4**level + 2 vertices."""
    vertices, faces = icosphere(level)
    rng = np.random.default_rng(seed)
    radius = np.ones(len(vertices))
    for frequency, amount in ((3, 0.06), (8, 0.015), (20, 0.004)):
        for _ in range(4):
            axis = rng.normal(size=3)
            radius += amount * np.sin(frequency * vertices @ axis / np.linalg.norm(axis) + rng.uniform(0, 6))
    return vertices * radius[:, None] * [0.8, 1.0, 0.85], faces


def rig(views: int, size: int) -> list[Camera]:
    """Cameras spread over the sphere (Fibonacci), all looking at the origin."""
    cameras = []
    for i in range(views):
        height = 1 - 2 * (i + 0.5) / views
        angle = i * np.pi * (3 - 5**0.5)
        flat = np.sqrt(1 - height**2)
        z = -np.array([flat * np.sin(angle), height, flat * np.cos(angle)])
        x = np.cross(z, [0, 1.0, 0])
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        K = np.array([[1.75 * size, 0, size / 2], [0, 1.75 * size, size / 2], [0, 0, 1.0]])
        cameras.append(Camera(str(i), K, R, np.array([0, 0, 4.0]), size, size))
    return cameras


def targets(vertices: np.ndarray, faces: np.ndarray, cameras: list[Camera]) -> list[Target]:
    """Exact maps, averaged from twice the resolution."""
    fine = [camera.resize(2 * camera.width, 2 * camera.height) for camera in cameras]
    shot = make_rasteriser("cpu", fine).render(vertices, faces)
    result = []
    for camera, normals, triangle in zip(cameras, shot.normals, shot.triangle, strict=True):
        size = (camera.height, 2, camera.width, 2)
        mask = (triangle >= 0).reshape(size).mean((1, 3))
        mean = normals.reshape(*size, 3).mean((1, 3))
        mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-6)
        result.append(Target(camera, mean.astype(np.float32), mask.astype(np.float32)))
    return result
