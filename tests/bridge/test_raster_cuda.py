"""The GPU backend without a GPU: the same kernels and driving code, built by a C++ compiler for the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.mesh import Surface
from bridge.mesh.topology import icosphere
from bridge.raster import LossSettings, cuda, cuda_source, make_rasteriser
from bridge.raster.cuda import CudaRasteriser
from bridge.raster.silhouette import ITEM_FIELDS
from bridge.solve import Solver, SolveSettings, solver
from tests.bridge.scenes import bumpy, ring, targets_of
from tests.bridge.test_raster import LOSSES, perturbed_problem
from tests.support import host_device
from tests.support.raster_problems import folded, random_cameras, random_targets, relative

needs_compiler = pytest.mark.skipif(host_device.compiler() is None, reason="no C++ compiler")


KERNELS = cuda_source.source()


def silhouettes(raster: CudaRasteriser, view: int) -> dict[tuple[int, int], tuple[int, int, int]]:
    """What find_silhouettes left on the device: (nearer pixel, other pixel) -> (face, edge, direction)."""
    pixels = int(raster.packed.offset[-1])
    marks = raster.device.buffer("marks", pixels, np.uint8)
    edges = raster.device.buffer("edges", 2 * pixels, np.int32)
    start, end = raster.packed.offset[view : view + 2]
    found = {}
    for p in np.flatnonzero(marks[start:end]):
        for d in range(2):
            mark = marks[start + p]
            if mark >> d & 1:
                pair = (int(p), int(p) + (1 if d == 0 else int(raster.packed.size[view, 1])))
                edge = int(edges[2 * (start + p) + d])
                found[pair[::-1] if mark >> (2 + d) & 1 else pair] = (edge // 3, edge % 3, d)
    return found


@needs_compiler
@pytest.mark.parametrize("large", [cuda.LARGE, 4, 1 << 30])  # shared among warps as usual, nearly always, never
@pytest.mark.parametrize("level", [1, 3, 5])
def test_visibility_is_the_cpus_bit_for_bit(monkeypatch, level, large):
    monkeypatch.setattr(cuda, "LARGE", large)
    surface = folded(level, level)
    cameras = random_cameras(6, level)
    expected = make_rasteriser("cpu", cameras).render(surface.vertices, surface.faces, surface.vertices)
    got = CudaRasteriser(cameras, host_device.HostDevice(KERNELS, 5)).render(
        surface.vertices, surface.faces, surface.vertices
    )
    assert sum((ids >= 0).sum() for ids in expected.triangle) > 2000
    for name in ("triangle", "depth", "normals", "attributes"):
        for a, b in zip(getattr(got, name), getattr(expected, name), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_array_equal(a, b) if name != "normals" else np.testing.assert_allclose(a, b, atol=1e-6)


@needs_compiler
def test_a_full_queue_loses_no_triangle(monkeypatch):
    monkeypatch.setattr(cuda, "LARGE", 4)
    monkeypatch.setattr(cuda, "QUEUE", 7)
    vertices, faces = bumpy(2)
    got = CudaRasteriser(ring(4), host_device.HostDevice(KERNELS)).render(vertices, faces)
    expected = make_rasteriser("cpu", ring(4)).render(vertices, faces)
    np.testing.assert_array_equal(got.triangle, expected.triangle)


@needs_compiler
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("level", "size"), [(2, 64), (4, 64), (6, 40)])  # the last: triangles of 1/30 pixel
def test_loss_and_gradient_are_the_cpus(kind, level, size):
    surface, cameras, targets = perturbed_problem(level, size)
    loss = LossSettings(kind, 0.3)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, loss)
    got_loss, got = CudaRasteriser(cameras, host_device.HostDevice(KERNELS)).loss_and_gradient(surface, targets, loss)
    assert got.dtype == np.float32 and got.shape == expected.shape
    assert got_loss == pytest.approx(expected_loss, rel=1e-7)
    assert relative(got, expected) < 2e-6


@needs_compiler
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_hard_cases_too(kind, seed):
    """Random targets, cameras inside the mesh, folded meshes with triangles that have no area."""
    surface = folded(3 + seed, seed)
    cameras = random_cameras(5, seed)
    targets, loss = random_targets(cameras, seed), LossSettings(kind, 0.4, robust_scale=0.7)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, loss)
    got_loss, got = CudaRasteriser(cameras, host_device.HostDevice(KERNELS)).loss_and_gradient(surface, targets, loss)
    assert got_loss == pytest.approx(expected_loss, rel=1e-7)
    assert relative(got, expected) < 1e-5


@needs_compiler
@pytest.mark.parametrize("level", [2, 5])
def test_silhouettes_are_the_cpus(level):
    surface, cameras, targets = perturbed_problem(level, 64)
    raster = CudaRasteriser(cameras, host_device.HostDevice(KERNELS))
    raster.loss_and_gradient(surface, targets, LossSettings())
    _, expected = make_rasteriser("cpu", cameras).silhouettes(surface)
    for view, items in enumerate(expected):
        assert len(items) > 20 and items.shape[1] == ITEM_FIELDS
        assert silhouettes(raster, view) == {(p, q): (f, e, d) for p, q, f, e, d in items.tolist()}


@needs_compiler
def test_the_order_of_the_threads_does_not_matter():
    surface, cameras, targets = perturbed_problem(4, 64)
    results = []
    for seed in (0, 1, 2, 100, 101):  # the last two on real threads
        raster = CudaRasteriser(cameras, host_device.HostDevice(KERNELS, seed))
        results.append(raster.loss_and_gradient(surface, targets, LossSettings()))
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


@needs_compiler
def test_buffers_are_reused_and_leave_nothing_behind():
    """A larger mesh, a smaller one, a render in between and other targets: as from a fresh rasteriser."""
    small, cameras, targets = perturbed_problem(2, 48)
    big = perturbed_problem(4, 48)[0]
    others = random_targets(cameras, 1)
    device = host_device.HostDevice(KERNELS)
    raster = CudaRasteriser(cameras, device)
    for surface, image in ((big, targets), (small, targets), (small, others), (big, targets)):
        raster.render(surface.vertices * 0.5, surface.faces)
        before = set(device.buffers)
        got = raster.loss_and_gradient(surface, image, LossSettings())
        fresh = CudaRasteriser(cameras, host_device.HostDevice(KERNELS))
        expected = fresh.loss_and_gradient(surface, image, LossSettings())
        assert got[0] == expected[0]
        np.testing.assert_array_equal(got[1], expected[1])
    assert set(device.buffers) == before
    assert device.log.count("upload targets") == 3  # only when they change


@needs_compiler
def test_one_step_waits_once():
    surface, cameras, targets = perturbed_problem(2, 48)
    device = host_device.HostDevice(KERNELS)
    raster = CudaRasteriser(cameras, device)
    device.log.clear()
    raster.loss_and_gradient(surface, targets, LossSettings())
    assert device.log.count("download") == 1 and device.log[-1] == "download"


@needs_compiler
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_fixed_point_sums_follow_the_worlds_scale(scale):
    surface, cameras, targets = perturbed_problem(4, 48)
    surface = Surface.of(surface.vertices * scale, surface.faces)
    cameras = [camera.transformed(scale, np.eye(3), np.zeros(3)) for camera in cameras]
    _, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, LossSettings())
    _, got = CudaRasteriser(cameras, host_device.HostDevice(KERNELS)).loss_and_gradient(
        surface, targets, LossSettings()
    )
    assert relative(got, expected) < 2e-6


@needs_compiler
def test_numbers_that_are_not_finite_do_no_harm():
    """A vertex at infinity or nowhere: the others' gradients stay finite and the images stay inside their bounds."""
    vertices, faces = icosphere(3)
    vertices = vertices.astype(np.float32)
    vertices[5], vertices[100], vertices[200, 1] = np.inf, np.nan, 1e30
    cameras = ring(3, width=40, height=40)
    raster = CudaRasteriser(cameras, host_device.HostDevice(KERNELS))
    loss, _ = raster.loss_and_gradient(Surface.of(vertices, faces), random_targets(cameras, 0), LossSettings())
    assert np.isfinite(loss)
    empty = raster.render(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert all((ids == -1).all() for ids in empty.triangle)


@needs_compiler
def test_same_seed_same_mesh(monkeypatch):
    """A whole solve, bit for bit, although the threads run in another order each time; and as good as the CPU's."""
    targets = targets_of(*bumpy(4), ring(5))
    settings = SolveSettings(steps=25, resolution=64, max_vertices=2000)
    makers = {
        "first": lambda _, rig: CudaRasteriser(rig, host_device.HostDevice(KERNELS, 0)),
        "second": lambda _, rig: CudaRasteriser(rig, host_device.HostDevice(KERNELS, 107)),
        "cpu": lambda _, rig: make_rasteriser("cpu", rig),
    }
    results = {}
    for name, maker in makers.items():
        monkeypatch.setattr(solver, "make_rasteriser", maker)
        solve = Solver(targets, settings)
        losses = [progress.loss for progress in solve]
        results[name] = (losses, solve.mesh())
    assert results["first"][0] == results["second"][0]
    np.testing.assert_array_equal(results["first"][1].vertices, results["second"][1].vertices)
    np.testing.assert_array_equal(results["first"][1].faces, results["second"][1].faces)
    assert results["first"][0][-1] == pytest.approx(results["cpu"][0][-1], rel=0.2) and losses[-1] < losses[0] / 2


def test_unavailable_says_why_in_one_sentence():
    reason = cuda.unavailable()
    if reason:
        assert "\n" not in reason and len(reason) < 200 and any(cure in reason for cure in ("use", "run pip", "close"))
        with pytest.raises(RuntimeError, match=reason[:20]):
            CudaRasteriser(ring(2))
