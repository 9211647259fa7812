"""The nvdiffrast backend on a stand-in for the library: axes, half pixels, batching, loss and gradient.

What only a device can show: that the library itself behaves as documented, its speed, and its memory.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from bridge.mesh import Surface
from bridge.mesh.topology import icosphere
from bridge.raster import ImageTargets, LossSettings, make_rasteriser, nvdiffrast
from tests.bridge.scenes import bumpy, look_at
from tests.bridge.test_raster import LOSSES

torch = pytest.importorskip("torch")


@pytest.fixture
def library(monkeypatch):
    from tests.support import nvdiffrast_standin

    package = types.ModuleType("nvdiffrast")
    package.torch = nvdiffrast_standin
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", nvdiffrast_standin)
    nvdiffrast_standin.calls.clear()
    return nvdiffrast_standin


def rig() -> list:
    """Two of one size between which lies another; no side is a multiple of 8; fx != fy, centres off."""
    return [
        look_at(30, 20, width=29, height=21, fy_ratio=1.3, shift=(4.3, -2.1)),
        look_at(-70, -35, width=22, height=27, focal=2.0, fy_ratio=0.8, shift=(-5.0, 3.0)),
        look_at(150, 10, width=29, height=21, shift=(0.4, 0.2)),
    ]


def problem(level: int, cameras: list):
    vertices, faces = bumpy(level)
    render = make_rasteriser("cpu", cameras).render(vertices * 1.06 + [0.03, -0.02, 0.01], faces)
    masks = [(triangle >= 0).astype(np.float32) for triangle in render.triangle]
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.2, 1, mask.shape).astype(np.float32) for mask in masks]
    targets = ImageTargets.of(render.normals, masks, weights, [np.ones_like(mask) for mask in masks])
    return Surface.of(vertices, faces), targets


def test_render_equals_the_cpu(library):
    vertices, faces = bumpy(2)
    expected = make_rasteriser("cpu", rig()).render(vertices, faces, vertices)
    got = nvdiffrast.NvdiffrastRasteriser(rig(), "cpu").render(vertices, faces, vertices)
    for i in range(3):
        assert got.triangle[i].dtype == np.int32 and (expected.triangle[i] >= 0).sum() > 80
        same = got.triangle[i] == expected.triangle[i]
        assert same.mean() > 0.995
        np.testing.assert_allclose(got.depth[i][same], expected.depth[i][same], rtol=1e-5)
        np.testing.assert_allclose(got.normals[i][same], expected.normals[i][same], atol=1e-4)
        np.testing.assert_allclose(got.attributes[i][same], expected.attributes[i][same], atol=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_without_antialiasing_loss_and_gradient_equal_the_twin(library, monkeypatch, kind):
    """All but the silhouettes: the barycentric term, the normals, the loss, the order of the views."""
    from bridge.raster import reference

    monkeypatch.setattr(library, "antialias", lambda color, rast, pos, tri: color)
    cameras = rig()
    surface, targets = problem(2, cameras)
    raster = nvdiffrast.NvdiffrastRasteriser(cameras, "cpu")
    loss, gradient = raster.loss_and_gradient(surface, targets, LossSettings(kind, 0.3))
    ids = raster.render(surface.vertices, surface.faces).triangle
    visible = reference.Visible(ids, [np.zeros((0, 5), int)] * 3)
    expected_loss, expected = reference.loss_and_gradient(surface, cameras, visible, targets, LossSettings(kind, 0.3))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradient.dtype == np.float32
    assert np.linalg.norm(gradient - expected) / np.linalg.norm(expected) < 1e-4
    batches = [call for call in library.calls if call[0] == "rasterize"][:2]
    assert sorted(batches) == [("rasterize", 1, 32, 24), ("rasterize", 2, 24, 32)]  # equal sizes in one call, padded


def test_silhouettes_pull_the_same_way_as_on_the_cpu(library):
    """Mask loss only, triangles of many pixels: there the library's search finds nearly all that ours finds."""
    cameras = [camera.resize(3 * camera.width, 3 * camera.height) for camera in rig()]
    surface, targets = problem(0, cameras)
    data = targets.data.copy()
    data[:, 4] = 0
    targets, loss = ImageTargets(data, targets.scale), LossSettings("l1", 1.0)
    got_loss, got = nvdiffrast.NvdiffrastRasteriser(cameras, "cpu").loss_and_gradient(surface, targets, loss)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, loss)
    assert got_loss == pytest.approx(expected_loss, rel=0.03)
    cosine = (got * expected).sum() / np.linalg.norm(got) / np.linalg.norm(expected)
    assert cosine > 0.98 and np.linalg.norm(got) == pytest.approx(np.linalg.norm(expected), rel=0.15)


def test_what_reaches_behind_a_camera_is_left_out_there_only(library):
    vertices, faces = icosphere(1)
    cameras = [look_at(20, 10, distance=0.5, width=24, height=16), look_at(60, -10, width=24, height=16)]
    targets = ImageTargets.of(*[[np.ones((16, 24, 3))] * 2], *[[np.ones((16, 24))] * 2] * 3)
    raster = nvdiffrast.NvdiffrastRasteriser(cameras, "cpu")
    got = raster.render(vertices, faces)
    expected = make_rasteriser("cpu", cameras).render(vertices, faces)
    for a, b in zip(got.triangle, expected.triangle, strict=True):
        assert (b >= 0).sum() > 50 and (a == b).mean() > 0.99
    loss, gradient = raster.loss_and_gradient(Surface.of(vertices, faces), targets, LossSettings())
    reference_loss, _ = make_rasteriser("cpu", cameras).loss_and_gradient(
        Surface.of(vertices, faces), targets, LossSettings()
    )
    assert loss == pytest.approx(reference_loss, rel=0.02) and np.isfinite(gradient).all()
    nothing = raster.render(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert all((ids == -1).all() for ids in nothing.triangle)


def test_unavailable_says_why_in_one_sentence():
    reason = nvdiffrast.unavailable()
    if reason:
        assert "\n" not in reason and len(reason) < 200
        with pytest.raises(RuntimeError):
            nvdiffrast.NvdiffrastRasteriser(rig())
