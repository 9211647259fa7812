"""What the benchmarks look at: a bumpy head-sized shape with a known surface, and a rig around it."""

from __future__ import annotations

import numpy as np

from bridge.capture.cameras import Camera
from bridge.mesh.topology import icosphere, morton_order
from bridge.raster import make_rasteriser
from bridge.solve import Target


def geodesic(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A unit sphere of about that many vertices: an icosahedron with edges cut into n pieces, 10 n^2 + 2 vertices."""
    n = max(1, round(((count - 2) / 10) ** 0.5))
    corners, base = icosphere(0)
    i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    i, j = i[i + j <= n], j[i + j <= n]
    weights = np.stack([n - i - j, i, j], 1) / n
    row = i * (n + 1) - i * (i - 1) // 2 + j  # place of (i, j) in these lists
    place = np.full((n + 2, n + 2), -1)
    place[i, j] = row
    up = np.stack([place[i, j], place[i + 1, j], place[i, j + 1]], 1)[i + j < n]
    down = np.stack([place[i + 1, j], place[i + 1, j + 1], place[i, j + 1]], 1)[i + j < n - 1]
    local = np.concatenate([up, down])
    points = np.concatenate([weights @ corners[face] for face in base])
    faces = np.concatenate([local + k * len(row) for k in range(len(base))])
    key = np.round(points * 2**20).astype(np.int64) + 2**21
    key = (key[:, 0] << 44) | (key[:, 1] << 22) | key[:, 2]
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    vertices = points[first] / np.linalg.norm(points[first], axis=1, keepdims=True)
    order = morton_order(vertices)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return vertices[order], np.ascontiguousarray(back[index[faces]], np.int32)


def shape(count: int = 40_962, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bumps of three sizes on an ellipsoid, about count vertices."""
    vertices, faces = geodesic(count)
    rng = np.random.default_rng(seed)
    radius = np.ones(len(vertices))
    for frequency, amount in ((3, 0.06), (8, 0.015), (20, 0.004)):
        for _ in range(4):
            axis = rng.normal(size=3)
            radius += amount * np.sin(frequency * vertices @ axis / np.linalg.norm(axis) + rng.uniform(0, 6))
    return vertices * radius[:, None] * [0.8, 1.0, 0.85], faces


def rig(views: int, size: int, around: np.ndarray | None = None) -> list[Camera]:
    """Cameras spread over the sphere (Fibonacci), all looking at the middle of points [N, 3] (None: a unit sphere)."""
    points = np.array([[-1.0, -1, -1], [1, 1, 1]]) / 3**0.5 if around is None else around
    middle, radius = (points.min(0) + points.max(0)) / 2, float(np.linalg.norm(np.ptp(points, axis=0)) / 2)
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
        cameras.append(Camera(str(i), K, R, 4 * radius * np.array([0, 0, 1.0]) - R @ middle, size, size))
    return cameras


def targets(vertices: np.ndarray, faces: np.ndarray, cameras: list[Camera]) -> list[Target]:
    """Exact maps, averaged from twice the resolution."""
    fine = [camera.resize(2 * camera.width, 2 * camera.height) for camera in cameras]
    render = make_rasteriser("cpu", fine).render(vertices, faces)
    result = []
    for camera, normals, triangle in zip(cameras, render.normals, render.triangle, strict=True):
        size = (camera.height, 2, camera.width, 2)
        mask = (triangle >= 0).reshape(size).mean((1, 3))
        mean = normals.reshape(*size, 3).mean((1, 3))
        mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-6)
        result.append(Target(camera, mean.astype(np.float32), mask.astype(np.float32)))
    return result
