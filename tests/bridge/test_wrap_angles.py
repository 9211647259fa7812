"""What keeps a wrapped template's triangles in shape: angles, mended faces, and the systems behind them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from bridge.mesh.closest import face_normals
from bridge.mesh.cotangents import cotangents
from bridge.mesh.factor import factor
from bridge.mesh.intersections import intersecting_faces
from bridge.mesh.relax import relaxed
from bridge.wrap.conformal import Angles
from bridge.wrap.quality import stretch_ratio


def sheet(side: int) -> tuple[np.ndarray, np.ndarray]:  # [side^2, 3], [t, 3]
    x, y = np.meshgrid(np.arange(float(side)), np.arange(float(side)), indexing="ij")
    i, j = (a.ravel() for a in np.meshgrid(np.arange(side - 1), np.arange(side - 1), indexing="ij"))
    a = i * side + j
    triangles = np.concatenate([np.stack([a, a + side, a + side + 1], 1), np.stack([a, a + side + 1, a + 1], 1)])
    return np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1), triangles.astype(np.int32)


def test_a_triangle_beyond_its_bound_is_asked_for_the_nearest_shape_within_it():
    rng = np.random.default_rng(0)
    reference, triangle = rng.normal(size=(3, 3)), np.array([[0, 1, 2]])
    shape = reference @ np.diag([3, 1, 0.7])
    assert stretch_ratio(reference, shape, triangle)[0] > 2
    angles = Angles(reference, triangle)
    assert angles.of(shape) == pytest.approx(stretch_ratio(reference, shape, triangle))
    system, right = angles.rows(shape, np.array([1.5]))
    asked = shape + np.linalg.pinv(system.toarray()) @ (right - system @ shape)
    assert stretch_ratio(reference, asked, triangle)[0] == pytest.approx(1.5, rel=1e-6)
    assert np.linalg.norm(asked - shape) < np.linalg.norm(reference - shape)


def test_triangles_within_their_bounds_are_left_alone():
    reference, triangles = sheet(6)
    angles = Angles(reference, triangles)
    system, right = angles.rows(reference * [1.4, 1, 1], np.full(len(triangles), 1.5))
    assert abs(system).sum() == 0 and not right.any()


def test_mending_gives_back_what_was_sound():
    flat, triangles = sheet(24)
    wavy = flat.copy()
    wavy[:, 2] = 2 * np.sin(flat[:, 0] / 2) * np.cos(flat[:, 1] / 2)  # far from the reference's form
    torn = wavy.copy()
    torn[[300, 301]] = wavy[[301, 300]] + [0, 0, 0.2]  # two neighbours have changed places
    every = np.ones(len(triangles), bool)
    assert intersecting_faces(torn, triangles).any() or (face_normals(torn, triangles)[:, 2] < 0).any()
    mended = relaxed(torn, flat, triangles, every)
    assert not intersecting_faces(mended, triangles).any()
    assert (face_normals(mended, triangles)[:, 2] > 0).all()
    moved = np.linalg.norm(mended - torn, axis=1) > 1e-9
    assert moved[[300, 301]].all()
    assert moved.sum() <= 30  # of 576


def test_factors_keep_their_pivots_on_the_diagonal():
    flat, triangles = sheet(20)
    laplacian, area = cotangents(flat, triangles)
    pull = np.random.default_rng(0).uniform(0, 1, len(flat)) ** 8 + 1e-6
    system = (laplacian @ sparse.diags(1 / area) @ laplacian + sparse.diags(pull)).tocsc()
    found = factor(system)
    assert (found.perm_r == found.perm_c).all()
    right = np.random.default_rng(1).normal(size=(len(flat), 3))
    assert np.allclose(system @ found.solve(right), right, atol=1e-6)
