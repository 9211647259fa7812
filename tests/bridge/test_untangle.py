"""Lips and lids that pass through each other are pushed apart, and templates' shapes are made so that they do not."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.errors import BridgeError
from bridge.mesh.apart import Folds
from bridge.mesh.intersections import intersecting_faces
from bridge.model import Template
from bridge.model.load import load_template
from bridge.model.measured import corrections
from bridge.wrap.parts import Ball, outward
from bridge.wrap.regions import find_regions
from bridge.wrap.untangle import mixtures

SIDE = 12  # vertices along each side of a sheet


def lips() -> tuple[np.ndarray, np.ndarray]:  # [2 n, 3], [T, 3]
    """An upper sheet that looks down and a lower one that looks up, half a millimetre apart."""
    u, v = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    corner = (u * SIDE + v)[:-1, :-1].ravel()
    up = np.concatenate(
        [np.stack([corner, corner + SIDE + 1, corner + SIDE], 1), np.stack([corner, corner + 1, corner + SIDE + 1], 1)]
    )
    lower = np.stack([u.ravel(), np.zeros(u.size), v.ravel()], 1).astype(float)
    rng = np.random.default_rng(0)
    lower[:, 1] += rng.normal(0, 0.03, len(lower))  # so that nothing lies in one plane
    return np.concatenate([lower, lower + [0.3, 0.5, 0.2]]), np.concatenate([up, up[:, ::-1] + len(lower)])


def test_a_lip_pushed_through_the_other_is_brought_back_to_its_own_side() -> None:
    rest, faces = lips()
    count = SIDE * SIDE
    middle = np.exp(-np.square(rest[:count, [0, 2]] - (SIDE - 1) / 2).sum(1) / 8)
    displacement = np.zeros_like(rest)
    displacement[:count, 1] = 2.5 * middle  # the lower one's middle, two millimetres through
    assert intersecting_faces(rest + displacement, faces).any()
    everything = np.ones(len(rest), bool)
    zone = Folds(rest, faces, everything, np.ones(len(faces), bool))
    moved, left = zone.apart(displacement[zone.vertices])
    there = rest + displacement
    there[zone.vertices] += moved
    assert left == 0
    assert not intersecting_faces(there, faces).any()
    assert (there[count:, 1] > there[:count, 1] - 0.5).all()  # still above, not through to the other side
    assert np.abs(moved).max() < 2.6  # no more than what was wrong


def test_what_does_not_cross_stays() -> None:
    rest, faces = lips()
    zone = Folds(rest, faces, np.ones(len(rest), bool), np.ones(len(faces), bool))
    moved, left = zone.apart(np.where(np.arange(len(rest))[:, None] < SIDE * SIDE, [0, -3.0, 0], 0))
    assert left == 0
    assert (moved == 0).all()


def test_both_sides_of_a_lid_leave_the_eyeball_in_their_order() -> None:
    ball = Ball(np.zeros(3), 12.0)
    angle = np.linspace(-0.3, 0.3, 9)
    on = np.stack([np.zeros_like(angle), np.sin(angle), np.cos(angle)], 1)
    inner, outer = 11.4 * on, 12.6 * on
    moved = outward(np.concatenate([inner, outer]), ball)
    inner, outer = inner + moved[:9], outer + moved[9:]
    assert np.linalg.norm(inner, axis=1).min() > 12.0
    assert (np.linalg.norm(outer, axis=1) - np.linalg.norm(inner, axis=1) > 1.0).all()


@pytest.fixture(scope="module")
def hm08() -> Template:
    try:
        return load_template("hm08")
    except BridgeError as missing:
        pytest.skip(missing.sentence)


def test_half_of_any_two_shapes_of_the_template_makes_nothing_cross(hm08: Template) -> None:
    regions = find_regions(hm08)
    triangles = hm08.triangles_of("skin")
    seen = regions.exposed[triangles].all(1)
    change = corrections(hm08)
    assert change is not None
    pairs = [mix for mix in mixtures(hm08.expression_names) if mix.pair]
    assert len(pairs) == 52 * 51 // 2
    chosen = [pairs[i] for i in np.random.default_rng(1).choice(len(pairs), 60, False)]

    def crossing(shapes: np.ndarray) -> int:
        return sum(
            (intersecting_faces(hm08.vertices + mix.weight * shapes[list(mix.shapes)].sum(0), triangles) & seen).any()
            for mix in chosen
        )

    assert crossing(hm08.expressions) == 0
    assert crossing(hm08.expressions - change) > 10  # as MakeHuman's units come
    far = np.linalg.norm(change, axis=2)
    moves = np.linalg.norm(hm08.expressions, axis=2) > 0.1
    assert far[moves].mean() < 0.1
