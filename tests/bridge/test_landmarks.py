"""Landmarks: triangulation on exact geometry, detection on rendered people."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from bridge.capture.cameras import Camera
from bridge.head.landmarks import COUNT, Face, Landmarker
from bridge.head.triangulate import triangulate
from bridge.model.load import load_template
from bridge.model.package import HM08, LANDMARKS, find
from bridge.wrap.landmark_maps import paint, photograph, rig


def faces_of(cameras: list[Camera], points: np.ndarray, noise: float, rng: np.random.Generator) -> list[Face]:
    found = []
    for camera in cameras:
        pixels, _ = camera.project(points)
        pixels = pixels + rng.normal(0, noise, pixels.shape)
        found.append(Face(np.c_[pixels, np.zeros(COUNT)], 1.0, np.ones(COUNT)))
    return found


def test_points_come_back_and_a_wrong_view_is_outvoted():
    rng = np.random.default_rng(0)
    points = rng.uniform(-70, 70, (COUNT, 3))
    cameras = rig(np.zeros(3))
    faces = faces_of(cameras, points, 0.5, rng)
    faces[3] = Face(faces[3].points + [25, -15, 0], 1.0, np.ones(COUNT))
    found = triangulate(cameras, faces)
    error = np.linalg.norm(found.points - points, axis=1)
    assert np.median(error) < 0.4 and error.max() < 2
    assert 0.3 < np.median(error / found.sigma) < 3  # the uncertainty that is told is the one there is
    assert found.known.all() and len(found.views) == len(cameras)


def test_views_from_the_side_count_less_and_one_face_is_not_enough():
    rng = np.random.default_rng(1)
    points = rng.uniform(-70, 70, (COUNT, 3))
    cameras = rig(np.zeros(3))
    faces = faces_of(cameras, points, 0.0, rng)
    for i in range(0, len(cameras), 2):
        faces[i] = Face(faces[i].points + rng.normal(0, 8, (COUNT, 3)), 1.0, np.full(COUNT, 0.1))
    error = np.linalg.norm(triangulate(cameras, faces).points - points, axis=1)
    assert np.median(error) < 0.2
    assert triangulate(cameras, [faces[0], *[None] * (len(cameras) - 1)]) is None
    absent = [Face(face.points, 0.3, face.frontal) for face in faces]
    assert triangulate(cameras, absent) is None


def test_a_face_is_found_upright_and_on_its_side():
    if find(LANDMARKS) is None or find_spec("ai_edge_litert") is None or find(HM08) is None:
        pytest.skip("the landmark models are not here: python -m bridge weights landmarks")
    template, rng = load_template("hm08"), np.random.default_rng(0)
    head = template.vertices[template.of_part("skin")]
    cameras = rig(np.array([0, head[:, 1].max() - 130, head[:, 2].max() - 90]))[4:6]
    color = paint(template, template.landmarks, rng)
    pictures = photograph(template, template.vertices, color, cameras, rng)
    landmarker = Landmarker(find(LANDMARKS))
    true, _ = cameras[0].project(template.landmarks.points(template.vertices))
    face = landmarker.find(pictures[0])
    assert face.presence > 0.95
    assert np.median(np.linalg.norm(face.points[:, :2] - true, axis=1)) < 5
    assert face.frontal[1] > 0.8
    lying = landmarker.find(np.rot90(pictures[0], 1).copy())
    side = pictures[0].shape[1]
    back = np.stack([side - lying.points[:, 1], lying.points[:, 0]], 1)
    assert np.median(np.linalg.norm(back - face.points[:, :2], axis=1)) < 2
    assert landmarker.find(np.full((200, 200, 3), 0.4, np.float32)) is None
