"""Glasses and drawings are noticed, bare faces of photographs are left in peace."""

from __future__ import annotations

from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from bridge.head import appearance
from bridge.head.landmarks import CHIN, FOREHEAD, Face, Landmarker
from bridge.job import prior
from bridge.model.package import LANDMARKS, find, need
from tests.support import ROOT

IMAGES = ROOT / "demo" / "capture" / "images"
pytestmark = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None or find(LANDMARKS) is None,
    reason="the landmark models are not here: python -m bridge weights landmarks",
)
CORNERS = ((33, 133), (362, 263))  # of the eyes
INK = (30, 25, 25)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(need(LANDMARKS))


@pytest.fixture(scope="module")
def bare(landmarker) -> tuple[np.ndarray, Face]:
    picture = cv2.imread(str(IMAGES / "cam01.jpg"))[:, :, ::-1].copy()
    return picture, landmarker.find(picture)


def with_glasses(picture: np.ndarray, face: Face, dark: bool) -> np.ndarray:
    """Rims a ninetieth of the face's height thick, or whole dark glasses."""
    painted, points = picture.copy(), face.points[:, :2]
    width = max(round(np.linalg.norm(points[CHIN] - points[FOREHEAD]) / 90), 1)
    for outer, inner in CORNERS:
        middle = points[[outer, inner]].mean(0)
        radius = 0.85 * np.linalg.norm(points[outer] - points[inner])
        at, axes = np.rint(middle + [0, 0.15 * radius]).astype(int), (round(radius), round(0.75 * radius))
        cv2.ellipse(painted, tuple(map(int, at)), axes, 0, 0, 360, INK, -1 if dark else width, cv2.LINE_AA)
    inner = (points[CORNERS[0][1]], points[CORNERS[1][0]])
    cv2.line(painted, *(tuple(map(int, point)) for point in inner), INK, 2 * width)
    return painted


def drawing(skin: tuple[int, int, int], line: int) -> np.ndarray:
    """A face as a child draws it: eyes with brows, a nose, a mouth."""
    page = np.full((700, 600, 3), 255, np.uint8)
    cv2.ellipse(page, (300, 330), (140, 190), 0, 0, 360, skin, -1)
    cv2.ellipse(page, (300, 330), (140, 190), 0, 0, 360, INK, line, cv2.LINE_AA)
    for x in (242, 358):
        cv2.ellipse(page, (x, 300), (28, 13), 0, 0, 360, (255, 255, 255), -1)
        cv2.ellipse(page, (x, 300), (28, 13), 0, 0, 360, INK, line, cv2.LINE_AA)
        cv2.circle(page, (x, 300), 9, INK, -1, cv2.LINE_AA)
        cv2.ellipse(page, (x, 275), (34, 12), 0, 200, 340, INK, line + 2, cv2.LINE_AA)
    cv2.polylines(page, [np.array([[300, 310], [288, 375], [312, 378]])], False, INK, line, cv2.LINE_AA)
    cv2.ellipse(page, (300, 430), (50, 18), 0, 10, 170, INK, line, cv2.LINE_AA)
    cv2.line(page, (255, 432), (345, 432), INK, line, cv2.LINE_AA)
    return page


def test_a_photograph_of_a_bare_face_says_nothing(bare):
    picture, face = bare
    assert prior.odd(["anna"], [picture], [face]) == []
    assert prior.odd(["anna"], [picture.astype(np.float32) / 255], [face]) == []  # as a run has it


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [1.0, 0.3])
def test_glasses_are_said_however_large_the_photograph(bare, dark, size):
    picture, face = bare
    painted = with_glasses(picture, face, dark)
    small = cv2.resize(painted, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    found = Face(face.points * size, face.presence, face.frontal)
    (finding,) = prior.odd(["bare", "anna"], [picture, small], [face, found])
    assert finding.code == "face-glasses" and finding.views == ("anna",) and "'anna'" in finding.sentence


@pytest.mark.parametrize("skin", [(255, 255, 255), (235, 190, 160)])
def test_a_drawing_that_passes_for_a_face_is_said(landmarker, skin):
    page = drawing(skin, 4)
    face = landmarker.find(page)
    assert face is not None  # it passes
    (finding,) = prior.odd(["page"], [page], [face])
    assert finding.code == "face-drawn" and finding.cure


def test_an_eye_that_looks_away_is_not_judged(bare):
    picture, face = bare
    painted = with_glasses(picture, face, True)
    away = Face(face.points, face.presence, np.full(len(face.points), 0.1))
    assert not appearance.wears_glasses(painted, away)
    assert prior.odd(["side"], [painted], [None]) == []
