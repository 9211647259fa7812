"""A capture of a lopsided analytic body, so that a mirrored, flipped or half-a-pixel-off result shows.

The surface is an ellipsoid with a nose: its normals are known in closed form along every ray that hits the ellipsoid
alone, and the body is not symmetric under any mirror.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bridge.capture import images
from bridge.capture import record as captures
from bridge.capture.cameras import Camera

AXES = np.array([0.8, 1.0, 1.2])  # half axes in world units


def look_at(name: str, center: np.ndarray, eye: np.ndarray, size: int, fill: float = 1.5, roll: float = 0.0) -> Camera:
    """A camera at eye that looks at center, z up, with a field of view of `fill` units either side of it."""
    forward = (center - eye) / np.linalg.norm(center - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    R = np.stack([c * right + s * down, -s * right + c * down, forward])
    f = size / 2 * np.linalg.norm(center - eye) / fill
    K = np.array([[f, 0, size / 2 + 3.25], [0, f, size / 2 - 2.5], [0, 0, 1.0]])
    return Camera(name, K, R, -R @ eye, size, size)


def ring(count: int, center: np.ndarray, scale: float, size: int) -> list[Camera]:
    """Cameras around the body, alternately above and below."""
    cameras = []
    for i in range(count):
        a, e = 2 * np.pi * i / count + 0.2, (0.35 if i % 2 else -0.25)
        away = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        cameras.append(look_at(f"cam{i:02d}", center, center + 5.0 * scale * away, size, 1.5 * scale))
    return cameras


def trace(camera: Camera, center: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """World normals [H, W, 3] (zero outside) and depth along the axis [H, W] of the ellipsoid, by ray casting."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
    o, d = (camera.center - center) / scale / AXES, rays / AXES
    a, b, c = (d * d).sum(1), (d * o).sum(1), (o * o).sum() - 1
    inside = b * b - a * c
    hit = inside > 0
    distance = (-b - np.sqrt(np.maximum(inside, 0))) / a
    local = (o * AXES) + distance[:, None] * rays
    normals = local / AXES**2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    depth = scale * distance * (rays @ camera.forward)
    shape = (camera.height, camera.width)
    return (
        np.where(hit[:, None], normals, 0).reshape(*shape, 3).astype(np.float32),
        np.where(hit, depth, 0).reshape(shape).astype(np.float32),
    )


def write(
    folder: Path, views: int = 6, size: int = 128, center=(0.0, 0.0, 0.0), scale: float = 1.0, unit_mm: float = 120.0
) -> captures.Capture:
    """Write a capture with images, masks, measured normals and ground truth; returns it loaded."""
    center = np.asarray(center, np.float64)
    for sub in ("images", "masks", "normals", "eval"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    records = []
    for camera in ring(views, center, scale, size):
        normals, _ = trace(camera, center, scale)
        hit = (normals != 0).any(-1)
        ours = (normals @ camera.R.T) * [1, -1, -1]
        shade = np.where(hit, 60 + 180 * np.clip(ours[..., 2], 0, 1), 30).astype(np.uint8)
        image = folder / "images" / f"{camera.name}.png"
        images.write(image, np.repeat(shade[..., None], 3, 2))
        images.write(folder / "masks" / image.name, (hit * 255).astype(np.uint8))
        images.write_normals(folder / "normals" / image.name, ours.astype(np.float32))
        records.append(captures.View(camera, image, folder / "masks" / image.name, folder / "normals" / image.name))
    truths, near, far = [], 3.0 * scale, 7.0 * scale
    for i, camera in enumerate(ring(3, center, scale, 2 * size)):
        normals, depth = trace(camera, center, scale)
        hit = depth > 0
        files = [folder / "eval" / f"{i}_{kind}.png" for kind in ("depth", "normals", "mask")]
        stored = np.where(hit, np.rint((depth - near) / (far - near) * 65534) + 1, 0).astype(np.uint16)
        cv2.imwrite(str(files[0]), stored)
        images.write_normals(files[1], ((normals @ camera.R.T) * [1, -1, -1]).astype(np.float32))
        cv2.imwrite(str(files[2]), np.where(hit, 255, 0).astype(np.uint8))
        truths.append(captures.EvaluationView(camera, *files))
    truth = captures.Evaluation(tuple(truths), (near, far), captures.NormalsEncoding())
    captures.save(captures.Capture("ellipsoid", tuple(records), unit_mm, evaluation=truth), folder)
    return captures.load(folder)


def ellipsoid_mesh(center=(0.0, 0.0, 0.0), scale: float = 1.0, rings: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """The body itself as a fine mesh."""
    from bridge.service.dummy import sphere

    points, faces = sphere(rings, (0, 0, 0), 1.0)
    return np.array(points) * AXES * scale + np.asarray(center), np.array(faces, np.int32)
