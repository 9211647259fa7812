"""The GPU backend on a GPU. Run with: python -m pytest tests/gpu -m gpu -s"""

from __future__ import annotations

import numpy as np
import pytest

from bench import gpu as gpu_bench
from bridge.mesh import cuda_source as mesh_source
from bridge.mesh.device_mesh import DeviceMesh
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.raster import LossSettings, choose, cuda, make_rasteriser
from bridge.raster.cuda import CudaRasteriser
from bridge.solve import Solver, SolveSettings
from bridge.solve.device_motion import DeviceMotion
from bridge.solve.motion import move
from bridge.solve.optimise import EXTRA_COLUMNS, Motion
from tests.bridge.scenes import bumpy, ring, targets_of
from tests.bridge.test_mesh import check_closed
from tests.bridge.test_raster import LOSSES, perturbed_problem
from tests.support import host_device
from tests.support.raster_problems import folded, random_cameras, random_targets, relative

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(cuda.unavailable()), reason=f"no GPU: {cuda.unavailable()}"),
]


@pytest.mark.parametrize("large", [cuda.LARGE, 4, 1 << 30])
@pytest.mark.parametrize("level", [1, 3, 5])
def test_visibility_is_the_cpus(monkeypatch, level, large):
    monkeypatch.setattr(cuda, "LARGE", large)
    surface = folded(level, level)
    cameras = random_cameras(6, level)
    expected = make_rasteriser("cpu", cameras).render(surface.vertices, surface.faces, surface.vertices)
    got = CudaRasteriser(cameras).render(surface.vertices, surface.faces, surface.vertices)
    for i in range(len(cameras)):
        same = got.triangle[i] == expected.triangle[i]
        assert same.mean() > 0.9999, f"view {i}: {np.count_nonzero(~same)} pixels differ"
        np.testing.assert_allclose(got.depth[i][same], expected.depth[i][same], rtol=1e-6)
        np.testing.assert_allclose(got.normals[i][same], expected.normals[i][same], atol=1e-5)
        np.testing.assert_allclose(got.attributes[i][same], expected.attributes[i][same], atol=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("level", "size"), [(2, 64), (4, 64), (6, 40)])
def test_loss_and_gradient_are_the_cpus(kind, level, size):
    surface, cameras, targets = perturbed_problem(level, size)
    loss = LossSettings(kind, 0.3)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, loss)
    got_loss, got = CudaRasteriser(cameras).loss_and_gradient(surface, targets, loss)
    assert got_loss == pytest.approx(expected_loss, rel=1e-5)
    assert relative(got, expected) < 1e-4


@pytest.mark.parametrize("kind", LOSSES)
def test_hard_cases_too(kind):
    surface, cameras = folded(4, 1), random_cameras(5, 1)
    targets, loss = random_targets(cameras, 1), LossSettings(kind, 0.4, robust_scale=0.7)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, loss)
    got_loss, got = CudaRasteriser(cameras).loss_and_gradient(surface, targets, loss)
    assert got_loss == pytest.approx(expected_loss, rel=1e-5)
    assert relative(got, expected) < 1e-3


def test_every_run_gives_the_same_bits():
    """Also of a mesh of 642 vertices, where thousands of threads meet at each."""
    for level in (3, 7):
        step = gpu_bench.Step(10 * 4**level, 6, 256)
        surface, targets, raster = step.surface, step.targets, step.raster
        first = raster.loss_and_gradient(surface, targets, LossSettings())
        for other in (raster, raster, CudaRasteriser(raster.cameras)):
            loss, gradient = other.loss_and_gradient(surface, targets, LossSettings())
            assert loss == first[0]
            np.testing.assert_array_equal(gradient, first[1])


def test_same_seed_same_mesh():
    assert choose("auto") == "cuda"
    targets = targets_of(*bumpy(5), ring(8, width=128, height=128))
    results = {}
    for name, backend in {"first": "cuda", "second": "cuda", "cpu": "cpu"}.items():
        solve = Solver(targets, SolveSettings(steps=60, resolution=128, max_vertices=5000, raster=backend))
        results[name] = ([progress.loss for progress in solve], solve.mesh())
    np.testing.assert_array_equal(results["first"][1].vertices, results["second"][1].vertices)
    assert results["first"][0][-1] < 1.15 * results["cpu"][0][-1]


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_remeshing_is_the_emulations_bit_for_bit(noise):
    """Against the same kernels built for the CPU, after every pass; without a compiler only the invariants.

    Numbers below 1e-38, which only degenerate triangles give, may differ: CuPy compiles with -ftz=true.
    """
    vertices, faces = bumpy(5)
    vertices = vertices + np.random.default_rng(0).normal(size=vertices.shape) * noise
    start = HalfEdgeMesh(vertices, faces, 0.02, EXTRA_COLUMNS)
    mesh, twin = DeviceMesh(start), None
    if host_device.compiler():
        twin = DeviceMesh(start, host_device.HostDevice(mesh_source.source()))
    for step in range(6):
        for each in filter(None, (mesh, twin)):
            each.remesh(60_000)
            if step % 3 == 2:
                each.sort_memory()
        check_closed(mesh)
        for name in ("data", "start", "twin", "degree") if twin else ():
            np.testing.assert_array_equal(getattr(mesh, name), getattr(twin, name), err_msg=f"{name} of pass {step}")


def test_the_optimisers_step_is_the_cpus():
    rng = np.random.default_rng(0)
    cpu = HalfEdgeMesh(*bumpy(6), 0.03, EXTRA_COLUMNS)
    gpu, motion = DeviceMesh(cpu), DeviceMotion()
    for step in range(1, 5):
        plan = Motion(step, 0.4, 0.05, 2, 4, 0.5, 60_000, 1e-3, 0.09)
        gradient = rng.normal(size=(cpu.vertex_count, 3)).astype(np.float32)
        move(cpu, cpu.surface(), gradient, plan)
        motion.move(gpu, gpu.surface(), motion.device.upload("gradient", gradient), plan)
        scale = np.abs(cpu.data).max(0)
        np.testing.assert_allclose(gpu.data / scale, cpu.data / scale, rtol=2e-4, atol=2e-5)


def test_half_a_million_vertices_stay_within_two_gigabytes_and_the_time():
    """Ten views of 512 pixels. The times are printed: they belong into the bench's table."""
    table = gpu_bench.measure(500_000, views=10, size=512, repeats=20)
    print("\n" + gpu_bench.text(table))
    assert table["device_mib"] < 2048
    assert table["step_ms"] < 100
