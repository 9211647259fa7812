"""Small shapes and rigs for the engine's tests."""

from __future__ import annotations

import numpy as np

from bridge.capture.cameras import Camera
from bridge.mesh.topology import icosphere
from bridge.raster import make_rasteriser
from bridge.solve import Target


def look_at(
    azimuth: float,
    elevation: float,
    distance: float = 4.0,
    width: int = 64,
    height: int = 64,
    focal: float = 1.6,
    fy_ratio: float = 1.0,
    shift=(0.0, 0.0),
) -> Camera:
    """A camera that looks at the origin from there (degrees). shift: of the principal point, in pixels."""
    a, e = np.radians([azimuth, elevation])
    center = distance * np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    z = -center / distance
    x = np.cross(z, [0, 1.0, 0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    f = focal * width
    K = np.array([[f, 0, width / 2 + shift[0]], [0, f * fy_ratio, height / 2 + shift[1]], [0, 0, 1.0]])
    return Camera(f"{azimuth:g}", K, R, -R @ center, width, height)


def ring(count: int = 8, **options) -> list[Camera]:
    """Cameras around the vertical axis, in turn from above and below, and one from the top."""
    cameras = [look_at(360 * i / count + 5, (20, -15)[i % 2], **options) for i in range(count - 1)]
    return [*cameras, look_at(20, 75, **options)]


def bumpy(level: int = 4, seed: int = 0, amount: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A sphere with smooth bumps: star-shaped, no symmetry (a mirrored result does not fit)."""
    vertices, faces = icosphere(level)
    rng = np.random.default_rng(seed)
    radius = np.ones(len(vertices))
    for _ in range(4):
        axis = rng.normal(size=3)
        radius += amount * np.sin(3 * vertices @ axis / np.linalg.norm(axis) + rng.uniform(0, 6))
    return vertices * radius[:, None] * [0.9, 1.0, 0.8], faces


def targets_of(vertices: np.ndarray, faces: np.ndarray, cameras: list[Camera]) -> list[Target]:
    """Exact target maps of a mesh."""
    render = make_rasteriser("cpu", cameras).render(vertices, faces)
    masks = [(triangle >= 0).astype(np.float32) for triangle in render.triangle]
    return [Target(*view) for view in zip(cameras, render.normals, masks, strict=True)]


def met_fronts(passed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sides of a thin disc, moved past each other in a spot. Vertices, faces, and which vertices [V] bool moved."""
    vertices, faces = icosphere(5)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))  # or the two sides' edges would only touch
    vertices = vertices @ turn * np.sign(np.linalg.det(turn)) * [1, 0.1, 1]
    spot = np.hypot(vertices[:, 0] - 0.2, vertices[:, 2]) < 0.1
    vertices[spot, 1] = -np.sign(vertices[spot, 1]) * passed / 2
    return vertices, faces, spot
