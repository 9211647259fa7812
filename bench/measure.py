"""Times, memory and errors, measured the same way in every table."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from bridge.mesh import Mesh
from bridge.raster import make_rasteriser
from bridge.report.surface_error import surface_error

from . import subjects


def median_ms(function: Callable[[], object], repeats: int = 5, warm: int = 1) -> tuple[float, float]:
    """Milliseconds by the clock, and of all cores together: by the second a busy machine can still be judged."""
    for _ in range(warm):
        function()
    times, work = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        function()
        times.append(time.perf_counter() - began)
        work.append(time.process_time() - worked)
    return 1e3 * statistics.median(times), 1e3 * statistics.median(work)


def peak_mb() -> float:
    """The most memory this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def errors(mesh: Mesh, maps: list, vertices: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Surface distance in % of the diagonal (bridge/surface_error.py); mean normal error of 11 novel views, degrees."""
    surface = surface_error([target.camera for target in maps], mesh.vertices, mesh.faces, vertices, faces)
    cameras = subjects.rig(11, 512, vertices)
    truth = make_rasteriser("cpu", cameras).render(vertices, faces)
    ours = make_rasteriser("cpu", cameras).render(mesh.vertices, mesh.faces)
    angles = []
    for i in range(len(cameras)):
        both = (truth.triangle[i] >= 0) & (ours.triangle[i] >= 0)
        angles.append(np.degrees(np.arccos(np.clip((truth.normals[i] * ours.normals[i]).sum(-1)[both], -1, 1))))
    return surface.mean_pct, float(np.concatenate(angles).mean())
