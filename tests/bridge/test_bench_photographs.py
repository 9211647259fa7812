"""The judges of whole runs: points and photographs held out tell a right surface from a wrong one."""

from __future__ import annotations

import numpy as np
import pytest

from bench import held_views, relief, sparse
from bridge.capture.record import Capture, View
from bridge.mesh.distance import distances
from bridge.mesh.topology import icosphere
from tests.support.photographs import album, arc
from tests.support.synthetic import AXES

pytest.importorskip("pycolmap")


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Capture:
    cameras = arc(6, 50.0, 320)
    folder = album(tmp_path_factory.mktemp("album") / "images", cameras)
    return Capture("body", tuple(View(camera, folder / f"{camera.name}.png") for camera in cameras))


@pytest.fixture(scope="module")
def body() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = icosphere(5)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True) * AXES, faces


def test_points_held_out_lie_on_the_surface_and_in_no_model(capture, body, tmp_path):
    found = sparse.find(capture, tmp_path, [None] * len(capture.views))
    assert len(found.held) > 30
    pixel = 5 / capture.views[0].camera.K[0, 0]
    assert np.median(distances(found.held.at, *body)) < 0.5 * pixel
    assert all(len(views) >= sparse.LEAST_VIEWS for views in found.held.views)
    lines = [line for line in (found.model / "points3D.txt").read_text().splitlines() if line[0] != "#"]
    used = np.array([[float(value) for value in line.split()[1:4]] for line in lines])
    assert np.abs(used[:, None] - found.held.at).sum(-1).min() > 0


def test_held_photographs_tell_a_surface_that_is_too_small(capture, body):
    vertices, faces = body
    used, held, masks = capture.views[::2], capture.views[1::2], [None] * 3
    right = held_views.score(vertices, faces, used, held, masks)
    wrong = held_views.score(0.97 * vertices, faces, used, held, masks)
    assert right.ncc > wrong.ncc + 0.05
    hole = held_views.score(vertices, faces[vertices[faces].mean(1)[:, 2] < 0], used, held, masks)
    assert hole.ncc < 0.7 * right.ncc and hole.covered < 0.7 * right.covered


def test_correlation_counts_what_is_not_known_as_nothing():
    picture = np.random.default_rng(0).uniform(size=(40, 40)).astype(np.float32)
    known = np.ones((40, 40), bool)
    known[:, :20] = False
    found = held_views.correlation(picture, 0.3 * picture + 0.5, known)
    assert np.allclose(found[6:-6, 20:-6], 1, atol=1e-5) and not found[:, :20].any()


def test_splitting_follows_the_curve():
    vertices, faces = icosphere(2)
    finer, colors, split = relief._split(vertices.astype(np.float64), vertices, faces)
    flat = (vertices[faces[:, 0]] + vertices[faces[:, 1]]) / 2
    radius = np.linalg.norm(vertices, axis=1).mean()
    sagging = radius - np.linalg.norm(flat, axis=1).min()
    assert len(split) == 4 * len(faces) and len(colors) == len(finer)
    assert np.abs(np.linalg.norm(finer, axis=1) - radius).max() < 0.2 * sagging
