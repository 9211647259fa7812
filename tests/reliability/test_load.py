"""Many jobs, odd worlds: memory that stays flat, results that stay the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from bridge.capture import record as captures
from bridge.capture.cameras import Similarity
from bridge.job.cache import Cache
from bridge.job.runner import JobRunner
from bridge.service import protocol as p
from bridge.service.wire import Control

from . import ledger
from .processes import memory
from .test_faults import SETTINGS, Bridge, mesh_of

JOBS, WARM = 50, 5
PREDICTED = 12  # jobs with predicted normals, which take longer


def test_fifty_jobs_through_one_warm_bridge(capture, tmp_path):
    row = ledger.row(f"{JOBS} jobs through one warm bridge")
    held, meshes = warm_jobs(Bridge(tmp_path / "cache"), capture, tmp_path, SETTINGS, JOBS)
    for _ in held:
        row.case(True)
    before, after = np.median(held[WARM : 2 * WARM]), np.median(held[-WARM:])
    row.measured = f"{before:.0f} MB after {WARM} jobs, {after:.0f} MB after {JOBS}; {len(meshes)} result"
    assert len(meshes) == 1 and after < 1.05 * before, held


def test_jobs_that_predict_anew(capture, tmp_path):
    """Nothing comes from the cache: ONNX Runtime's own memory counts."""
    row = ledger.row(f"{PREDICTED} jobs with normals predicted anew through one warm bridge")
    settings = replace(SETTINGS, normals="network", match=False)
    held, meshes = warm_jobs(Bridge(tmp_path / "cache"), capture, tmp_path, settings, PREDICTED)
    for _ in held:
        row.case(True)
    before, after = np.median(held[WARM : WARM + 3]), np.median(held[-3:])
    row.measured = f"{before:.0f} MB after {WARM} jobs, {after:.0f} MB after {PREDICTED}; {len(meshes)} result"
    assert len(meshes) == 1 and after < 1.05 * before, held


def warm_jobs(bridge: Bridge, capture: Path, tmp_path: Path, settings, count: int) -> tuple[list[float], set[bytes]]:
    """The same job again and again, its predictions forgotten: megabytes after each, and the different results."""
    bridge.say(p.Hello())
    bridge.hear()
    held, meshes = [], set()
    for k in range(count):
        shutil.rmtree(tmp_path / "cache" / "stages", ignore_errors=True)
        heard = bridge.job(f"j{k}", capture, tmp_path / "out", 300, settings)
        assert heard[-1].ok, heard[-3:]
        meshes.add(mesh_of(tmp_path / "out"))
        held.append(memory(bridge.child.pid))
    bridge.end()
    return held, meshes


def solid(vertices: np.ndarray, faces: np.ndarray) -> tuple[float, np.ndarray]:
    """Volume and centre of mass of a closed mesh."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    parts = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return float(parts.sum()), (parts[:, None] * (a + b + c) / 4).sum(0) / parts.sum()


def test_worlds_of_any_size_and_turn(capture, tmp_path):
    row = ledger.row("world scales from 1e-6 to 1e6, and turned worlds")
    given = captures.load(capture)
    results = {}
    turn = cv2.Rodrigues(np.array([0.4, -1.2, 0.8]))[0]
    worlds = {f"scale {scale:g}": Similarity(scale, np.eye(3), np.zeros(3)) for scale in (1, 1e-6, 1e-3, 1e3, 1e6)}
    worlds["turned"] = Similarity(1.0, turn, np.zeros(3))
    worlds["turned, moved and in inches"] = Similarity(39.37, turn.T, np.array([100.0, -20.0, 3.0]))
    for name, world in worlds.items():
        views = tuple(replace(view, camera=world.camera(view.camera)) for view in given.views)
        captures.save(replace(given, views=views, unit_mm=None), capture)
        heard = []
        runner = JobRunner(Cache(tmp_path / "cache"))
        runner.run(p.Run("j", str(capture), str(tmp_path / name), SETTINGS), heard.append, Control())
        with np.load(tmp_path / name / "head.npz") as arrays:
            vertices = (arrays["vertices"] - world.offset) @ world.rotation / world.scale
            volume, center = solid(vertices, arrays["faces"])
        if not results:
            results["first"] = volume, center
        size = results["first"][0] ** (1 / 3)
        off = max(abs(volume ** (1 / 3) / size - 1), np.linalg.norm(center - results["first"][1]) / size)
        row.case(off < 0.001, f"{name}: {off:.5f}")
        row.measured = f"{row.measured}{', ' if row.measured else 'size and place off by: '}{name} {100 * off:.3f} %"
    assert not row.escapes, row.escapes
