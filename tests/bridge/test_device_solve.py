"""A whole solve with mesh, optimiser and rasteriser on the device, without a GPU (tests/support/host_device.py)."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.device import nvidia
from bridge.raster.cuda import CudaRasteriser
from bridge.solve import Solver, SolveSettings, solver
from tests.bridge.scenes import bumpy, ring, targets_of
from tests.bridge.test_solve import assert_valid, distance
from tests.support.host_device import HostDevice, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
STEPS = 100


@pytest.fixture(scope="module")
def subject():
    vertices, faces = bumpy(4)
    return vertices, faces, targets_of(vertices, faces, ring(6))


def solve(monkeypatch, targets, seed: int | None):
    """seed: of the threads' order; None: on the CPU. Returns losses, vertex counts, the mesh and the devices."""
    devices = []

    def make(source: str) -> HostDevice:
        devices.append(HostDevice(source, seed))
        return devices[-1]

    with monkeypatch.context() as patch:
        if seed is not None:
            patch.setattr(nvidia, "CupyDevice", make)
            patch.setattr(solver, "on_device", lambda name: True)
            patch.setattr(solver, "make_rasteriser", lambda name, cameras: CudaRasteriser(cameras))
        work = Solver(targets, SolveSettings(steps=STEPS, resolution=64, max_vertices=2000, raster="cpu"))
        steps = list(work)
        return [p.loss for p in steps], [p.vertices for p in steps], work.finish(), devices


def test_the_shape_is_found_as_on_the_cpu(monkeypatch, subject):
    vertices, faces, targets = subject
    losses, counts, mesh, devices = solve(monkeypatch, targets, 1)
    cpu_losses, cpu_counts, cpu_mesh, _ = solve(monkeypatch, targets, None)
    assert_valid(mesh)
    assert max(counts) <= 2000 and counts[-1] == pytest.approx(cpu_counts[-1], rel=0.1)
    assert np.mean(losses[-10:]) == pytest.approx(np.mean(cpu_losses[-10:]), rel=0.2)
    assert distance(mesh, vertices, faces) < 1.2 * distance(cpu_mesh, vertices, faces)  # chaotic: 0.8 to 1.15
    # from the first step to the last: targets and cameras go there once, a loss and two counts come back
    downloads = sum(device.log.count("download") for device in devices)
    assert downloads <= STEPS + 4  # the counts; the mesh at the end. The loss is read through the array itself
    assert not any(line.startswith("upload") for device in devices for line in device.log[STEPS * 4 :])


def test_the_same_seed_gives_the_same_mesh(monkeypatch, subject):
    first, second = (solve(monkeypatch, subject[2], seed) for seed in (0, 101))  # 101: on real threads
    assert first[0] == second[0] and first[1] == second[1]
    np.testing.assert_array_equal(first[2].vertices, second[2].vertices)
    np.testing.assert_array_equal(first[2].faces, second[2].faces)
