"""Compiles every kernel once, on a problem of a few hundred vertices, so that the first real solve starts at once."""

from __future__ import annotations

import time

import numpy as np

from ..capture.cameras import Camera
from ..mesh import Mesh
from ..mesh.topology import icosphere
from ..raster import choose, make_rasteriser
from .coverage import coverage
from .settings import SolveSettings
from .solver import Solver
from .targets import Target

SIZE = 32  # pixels


def sphere_targets(size: int = SIZE) -> list[Target]:
    """Four views of a sphere of radius 1: enough for every stage of the solver to run."""
    cameras = []
    for angle in np.arange(4) * np.pi / 2:
        forward = np.array([np.cos(angle), 0.2, np.sin(angle)])
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        K = np.array([[size * 1.5, 0, size / 2], [0, size * 1.5, size / 2], [0, 0, 1.0]])
        cameras.append(Camera("warm", K, R, R @ (4 * forward), size, size))
    vertices, faces = icosphere(3)
    render = make_rasteriser("cpu", cameras).render(vertices, faces)
    masks = [(triangle >= 0).astype(np.float32) for triangle in render.triangle]
    return [Target(*view) for view in zip(cameras, render.normals, masks, strict=True)]


def warm_up() -> float:
    """Compile or load from the cache all that a solve needs, here and on a GPU; returns the seconds it took."""
    began = time.perf_counter()
    targets = sphere_targets()
    for raster in dict.fromkeys(("cpu", choose("auto"))):
        solver = Solver(targets, SolveSettings(steps=SIZE, resolution=SIZE, max_vertices=1000, raster=raster))
        for _ in solver:
            pass
        mesh: Mesh = solver.finish()
        coverage(mesh, targets)
    return time.perf_counter() - began
