"""The head model that ships: of human size, the right way round, closed enough to be seen from all sides."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.head.landmarks import CHIN, EYES, FOREHEAD, NOSE_TIP
from bridge.mesh.closest import face_normals
from bridge.model import head_model
from bridge.model.arkit import NAMES


@pytest.fixture(scope="module")
def model() -> head_model.HeadModel:
    return head_model.load()


def test_it_is_as_large_as_a_head_and_looks_along_z(model):
    """A factor of ten, a mirrored or a turned head would show here."""
    points = model.template.landmarks.points(model.template.vertices)
    right, left = points[list(EYES)]
    assert 80 < left[0] - right[0] < 100  # outer corners; the subject's left is +X
    assert 140 < np.linalg.norm(points[FOREHEAD] - points[CHIN]) < 200
    assert points[FOREHEAD, 1] > points[NOSE_TIP, 1] > points[CHIN, 1]
    assert np.allclose(points[NOSE_TIP], [0, -43, 122], atol=1.5)
    exposed = model.template.vertices[model.template.regions["exposed"]]
    assert 140 < np.ptp(exposed[:, 0]) < 210 and exposed[:, 2].min() < -60


def test_its_faces_look_outward_and_left_mirrors_right(model):
    template = model.template
    vertices, triangles = template.vertices, template.triangles_of("skin")
    shown = template.regions["scalp"] | template.regions["face"]
    seen = triangles[shown[triangles].all(1)]
    away = vertices[seen].mean(1) - vertices[shown].mean(0)
    outward = (face_normals(vertices, seen) * away).sum(1) > 0
    assert outward.mean() > 0.9  # nostrils and the folds of ears look everywhere; turned inside out it would be 0.1
    twin = vertices[template.mirror] * [-1, 1, 1]
    assert np.median(np.linalg.norm(twin - vertices, axis=1)) < 1.0


def test_people_of_the_model_are_people(model):
    """Three standard deviations in every mode at once are still a head: no vertex leaves it."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        theta = rng.normal(0, 1, len(model.template.identity))
        moved = np.tensordot(theta, model.template.identity, 1)[model.template.regions["exposed"]]
        assert 1 < np.linalg.norm(moved, axis=1).mean() < 12
        assert np.linalg.norm(moved, axis=1).max() < 60
    scale = np.sqrt((model.template.identity**2).sum((1, 2)))
    assert (np.diff(scale) < 0.1 * scale[0]).all()  # strongest first


def test_hair_stands_out_and_leaves_the_face_alone(model):
    template = model.template
    radial = (model.hull * (template.vertices - template.vertices.mean(0))).sum(1)
    assert (radial[template.regions["scalp"]] >= -1e-3).all()
    assert 3 < np.linalg.norm(model.hull[template.regions["scalp"]], axis=1).mean() < 40
    for name in ("face", "ears"):
        assert np.abs(model.hull[template.regions[name]]).max() == 0
        assert np.abs(model.hair[:, template.regions[name]]).max() == 0


def test_expressions_have_their_names_and_sides(model):
    template = model.template
    assert template.expression_names == NAMES
    for side, sign in (("Left", 1), ("Right", -1)):
        moved = np.linalg.norm(template.expressions[NAMES.index(f"eyeBlink{side}")], axis=1)
        assert 20 < sign * (moved @ template.vertices[:, 0]) / moved.sum() < 50


def test_the_file_is_small(model):
    assert head_model.FILE.stat().st_size < 8e6
    assert np.isfinite(model.residual).all() and 0.1 < np.median(model.residual) < 3
