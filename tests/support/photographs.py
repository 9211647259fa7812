"""Photographs of a textured body for structure from motion: an ellipsoid with a pattern in its volume, ray cast."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from bridge.capture.cameras import Camera

from .synthetic import AXES, look_at

CELLS = 110  # of the pattern's volume, which spans -1.3 .. 1.3


def pattern(seed: int = 3) -> np.ndarray:  # [CELLS, CELLS, CELLS] float32
    """Blobs of several sizes."""
    noise = np.random.default_rng(seed).normal(size=(CELLS,) * 3).astype(np.float32)
    layers = [gaussian_filter(noise, s) * s**1.5 for s in (0.8, 1.6, 3.2)]
    total = sum(layer / layer.std() for layer in layers)
    return total / total.std()


def arc(count: int, widest_deg: float, size: int) -> list[Camera]:
    """Cameras before the body's -y side, upright, alternately above and below, all with one lens."""
    cameras = []
    for i, a in enumerate(np.radians(np.linspace(-widest_deg / 2, widest_deg / 2, count))):
        e = 0.3 if i % 2 else -0.15
        away = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
        cameras.append(look_at(f"photo{i:02d}", np.zeros(3), 5 * away, size))
    return cameras


def shoot(camera: Camera, volume: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8
    """The photograph; black where the body is not."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
    o, d = camera.center / AXES, rays / AXES
    a, b, c = (d * d).sum(1), (d * o).sum(1), (o * o).sum() - 1
    inside = b * b - a * c
    depth = (-b - np.sqrt(np.maximum(inside, 0))) / a
    surface = camera.center + depth[:, None] * rays
    cells = (surface / 1.3 + 1) / 2 * (CELLS - 1)
    grey = np.clip(128 + 45 * map_coordinates(volume, cells.T, order=1, mode="nearest"), 20, 255)
    grey = np.where(inside > 0, grey, 0).reshape(camera.height, camera.width)
    return cv2.merge([grey.astype(np.uint8)] * 3)


def album(folder: Path, cameras: list[Camera]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    volume = pattern()
    for camera in cameras:
        cv2.imwrite(str(folder / f"{camera.name}.png"), shoot(camera, volume))
    return folder


def aligned(found: np.ndarray, known: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and offset that bring found [N, 3] closest to known [N, 3] (Umeyama 1991)."""
    a, b = found - found.mean(0), known - known.mean(0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    D = np.diag([1, 1, np.linalg.det(U @ Vt)])
    R = U @ D @ Vt
    scale = float((S * np.diag(D)).sum() / (a * a).sum())
    return scale, R, known.mean(0) - scale * R @ found.mean(0)


def angle_deg(A: np.ndarray, B: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(A @ B.T) - 1) / 2, -1, 1))))
