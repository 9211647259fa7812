"""The nvdiffrast backend on a GPU with the real library, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.raster import LossSettings, make_rasteriser, nvdiffrast
from tests.bridge.scenes import bumpy, ring
from tests.bridge.test_raster import perturbed_problem

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(nvdiffrast.unavailable()), reason=f"not usable: {nvdiffrast.unavailable()}"),
]


def test_render_equals_the_cpu():
    """Its vertices are snapped to a sub-pixel grid: pixels at edges may differ."""
    vertices, faces = bumpy(3)
    cameras = ring(4, width=99, height=101)
    expected = make_rasteriser("cpu", cameras).render(vertices, faces, vertices)
    got = make_rasteriser("nvdiffrast", cameras).render(vertices, faces, vertices)
    for i in range(4):
        assert ((got.triangle[i] >= 0) == (expected.triangle[i] >= 0)).mean() > 0.995
        same = got.triangle[i] == expected.triangle[i]
        assert same.mean() > 0.98
        np.testing.assert_allclose(got.depth[i][same], expected.depth[i][same], rtol=1e-4)
        np.testing.assert_allclose(got.normals[i][same], expected.normals[i][same], atol=5e-3)


def test_gradient_points_where_the_cpus_does():
    """Triangles of many pixels: there its silhouettes are nearly ours."""
    surface, cameras, targets = perturbed_problem(1, 160)
    expected_loss, expected = make_rasteriser("cpu", cameras).loss_and_gradient(surface, targets, LossSettings())
    loss, gradient = make_rasteriser("nvdiffrast", cameras).loss_and_gradient(surface, targets, LossSettings())
    assert loss == pytest.approx(expected_loss, rel=0.03)
    cosine = (gradient * expected).sum() / np.linalg.norm(gradient) / np.linalg.norm(expected)
    assert cosine > 0.97
