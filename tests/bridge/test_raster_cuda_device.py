"""The CuPy side of the GPU backend on a stand-in for CuPy: memory, launches, and every reason not to be usable."""

from __future__ import annotations

import gc
import json
import sys

import numpy as np
import pytest

from bench import gpu as gpu_bench
from bridge.device import nvidia
from bridge.raster import LossSettings, available, choose, cuda, make_rasteriser
from bridge.raster.cuda import CudaRasteriser
from bridge.solve import Solver, SolveSettings
from tests.bridge.scenes import bumpy, ring, targets_of
from tests.bridge.test_raster import perturbed_problem
from tests.support import cupy_standin, host_device

pytestmark = pytest.mark.skipif(host_device.compiler() is None, reason="no C++ compiler")


@pytest.fixture
def card(monkeypatch):
    """A machine with a driver, CuPy and a GPU."""
    cupy = cupy_standin.module()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cupy.cuda)
    monkeypatch.setattr(nvidia, "driver_problem", lambda: "")
    for name, value in vars(cupy_standin.Card).items():
        if not name.startswith("_"):
            monkeypatch.setattr(cupy_standin.Card, name, value)
    nvidia._permanent_problem.cache_clear()
    nvidia._module.cache_clear()
    yield cupy_standin.Card
    nvidia._permanent_problem.cache_clear()
    nvidia._module.cache_clear()


def test_auto_takes_the_gpu_and_a_step_waits_once(card):
    assert available()["cuda"] == "" and choose("auto") == "cuda"
    surface, cameras, targets = perturbed_problem(3, 48)
    raster = make_rasteriser("auto", cameras)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, LossSettings())
    for step in range(1, 3):
        loss, gradient = raster.loss_and_gradient(surface, targets, LossSettings())
        assert card.waits == step
        assert loss == pytest.approx(expected_loss, rel=1e-7)
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


def test_memory_is_reused_and_given_back(card):
    before = card.used
    raster = make_rasteriser("cuda", ring(3))
    surface, _, _ = perturbed_problem(4, 48)
    raster.render(surface.vertices, surface.faces)
    used = card.used
    for size in (1.0, 0.5):
        raster.render(surface.vertices * size, surface.faces[: int(size * 1000)])
    assert card.used == used > before
    del raster
    gc.collect()
    assert card.used == before


def test_a_whole_solve_stays_on_the_card(card):
    """Auto takes it there; each step waits for its loss and its counts; the memory goes back with the solver."""
    before = card.used
    targets = targets_of(*bumpy(3), ring(5))
    solver = Solver(targets, SolveSettings(steps=24, resolution=48, max_vertices=800))
    for progress in solver:
        assert card.waits <= 2 * progress.done
    assert progress.loss > 0 and progress.vertices > 200
    assert solver.finish().vertices.shape[1] == 3
    assert card.used > before
    del solver
    gc.collect()
    assert card.used == before


def test_the_bench_runs(card, capsys, tmp_path):
    """All but the times: make bench-gpu must not fail on the day there is a GPU."""
    report = tmp_path / "gpu.json"
    small = "--vertices 600 --views 4 --size 32 --repeats 2 --steps 5 --solve-vertices 500 --json"
    assert gpu_bench.main([*small.split(), str(report)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(report.read_text())
    assert found["solve"]["steps"] == 5 and len(found["steps"]) == 1
    kernels = {row["kernel"] for row in found["steps"][0]["kernels"]}
    assert {"rasterise", "move_vertices", "collapse_edges", "split_faces", "flip_edges", "place_digits"} <= kernels
    assert "| **a step** |" in printed and "stand-in" in printed


def test_a_full_card_is_said_in_a_sentence(card):
    raster = make_rasteriser("cuda", ring(3))
    card.total = card.used + 10_000
    surface, _, _ = perturbed_problem(4, 48)
    with pytest.raises(MemoryError, match="close other programs"):
        raster.render(surface.vertices, surface.faces)


@pytest.mark.parametrize("broken", ["driver", "old", "memory", "answer", "compiler", "versions"])
def test_every_reason_is_one_sentence_with_a_cure(card, monkeypatch, broken):
    module = sys.modules["cupy"].cuda

    def fail(status=0):
        raise cupy_standin.CUDARuntimeError(status) if status else RuntimeError("no libnvrtc.so.12\nsearched in ...")

    if broken == "driver":
        monkeypatch.setattr(nvidia, "driver_problem", lambda: "the NVIDIA driver sees no GPU; use the CPU")
    elif broken == "old":
        card.capability = "52"
    elif broken == "memory":
        card.total = card.used + (100 << 20)
    elif broken == "answer":
        monkeypatch.setattr(module.runtime, "memGetInfo", lambda: fail(46))
    elif broken == "compiler":
        monkeypatch.setattr(module.nvrtc, "getVersion", fail)
    else:
        monkeypatch.setattr(module, "Device", lambda: fail(35))
    reason = cuda.unavailable()
    assert reason and "\n" not in reason and len(reason) < 200
    assert any(cure in reason for cure in ("use the CPU", "run pip", "close other", "update it"))
    assert choose("auto") == "cpu"
    with pytest.raises(RuntimeError):
        CudaRasteriser(ring(2))


def test_no_driver_and_no_cupy_are_told_apart(monkeypatch):
    nvidia._permanent_problem.cache_clear()
    monkeypatch.setattr(nvidia, "find_spec", lambda name: None)
    assert "CuPy is not installed" in cuda.unavailable()
    nvidia._permanent_problem.cache_clear()
    monkeypatch.undo()

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(nvidia.ctypes, "CDLL", missing)
    assert "no NVIDIA driver" in nvidia.driver_problem()
