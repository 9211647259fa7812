"""Compiling ahead what the photographs' stages need, so that the first head does not wait for it."""

from __future__ import annotations

import time

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..mesh import Mesh
from ..mesh.topology import icosphere
from .match import match_photographs
from .mend import pull
from .pictures import Photographs, Pictures
from .refine import Detail, refine_surface


def warm_up() -> float:
    """Compile, or load from the cache; returns the seconds it took."""
    began = time.perf_counter()
    vertices, faces = icosphere(3)
    mesh = Mesh(vertices.astype(np.float64), faces)
    K, frame = np.array([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]), HeadFrame(np.zeros(3), 1.0, np.array([0, 1.0, 0]))
    cameras = [Camera("warm", K, np.eye(3), np.array([x, 0, 4.0]), 32, 32) for x in (-0.5, 0.0, 0.5)]
    photos = [np.random.default_rng(0).random((32, 32, 3), np.float32)] * 3
    match_photographs(mesh, photos, cameras, frame)
    photographs = Photographs(photos, [None] * 3, cameras)
    refine_surface(mesh, photographs, frame, Detail(0, len(vertices)))
    pictures = Pictures.of(photographs, frame, 8, mesh.vertices)
    pull(mesh.vertices, faces, pictures, [np.zeros_like(grey) for grey in pictures.grey], 1.0)
    return time.perf_counter() - began
