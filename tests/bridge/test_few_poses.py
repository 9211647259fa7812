"""Cameras of few photographs that contradict the face: landmarks and flow through the model head put them right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("numba")

from bridge.capture.cameras import Camera  # noqa: E402
from bridge.head.landmarks import Face  # noqa: E402
from bridge.model import head_model  # noqa: E402
from bridge.prior import poses  # noqa: E402
from bridge.prior.evidence import View  # noqa: E402
from bridge.prior.fit import fit  # noqa: E402
from bridge.prior.start import start  # noqa: E402
from bridge.raster import make_rasteriser  # noqa: E402
from bridge.refine.adjust import perturbed, triangulated  # noqa: E402
from bridge.refine.tracks import Tracks  # noqa: E402
from tests.bridge import test_few as few  # noqa: E402

YAWS = (0.0, 0.8, -0.8)
LARGER = 2.0  # than the photographs of test_few
WORLD, UNIT_MM, person = few.WORLD, few.UNIT_MM, few.person
OFF, SHIFT = 0.02, 0.3  # radians, centimetres


@pytest.fixture(scope="module")
def model():
    return head_model.load()


@pytest.fixture(scope="module")
def shots(model, person) -> list[tuple[Camera, np.ndarray, few.NormalMap, Face]]:
    """World camera, photograph, normal map and face of every view; the skin has blotches of some millimetres."""
    triangles = model.template.triangles_of("skin", "eye_left", "eye_right")
    waves = np.random.default_rng(2).normal(0, 0.5, (40, 3))
    skin = (0.5 + 0.06 * np.sin(person @ waves.T + np.arange(40)).sum(1, keepdims=True)).clip(0, 1)
    found = []
    for yaw in YAWS:
        local = few.camera(yaw)
        camera = local.resize(round(LARGER * local.width), round(LARGER * local.height))
        grey = make_rasteriser("cpu", [camera]).render(person, triangles, skin).attributes[0]
        normals, face = few.seen(model, person, local, WORLD)
        photo = np.repeat(grey, 3, 2).astype(np.float32)
        found.append((WORLD.camera(camera), photo, normals, replace(face, points=LARGER * face.points)))
    return found


def disagreement(model, person, right: list[Camera], cameras: list[Camera]) -> float:
    """Pixels by which the true images of the face's points miss one place, mean: rays of wrong cameras do not meet."""
    points = WORLD.points(person[model.template.regions["face"]])[::20]
    count, views = len(points), range(len(right))
    pixels = np.concatenate([camera.project(points)[0] for camera in right])
    tracks = Tracks(np.tile(np.arange(count), len(right)), np.repeat(views, count), pixels)
    met = triangulated(cameras, tracks)
    seen = np.concatenate([camera.project(met)[0] for camera in cameras])
    return float(np.linalg.norm(seen - pixels, axis=1).mean())


def test_right_cameras_are_left_alone_and_wrong_ones_are_put_right(model, person, shots):
    right = [camera for camera, _, _, _ in shots]
    faces = [face for _, _, _, face in shots]
    rng = np.random.default_rng(3)
    wrong = [perturbed(camera, rng.normal(0, OFF, 3), rng.normal(0, SHIFT, 3)) for camera in right]
    assert not poses.contradict(right, faces)
    assert poses.contradict(wrong, faces)
    before = disagreement(model, person, right, wrong)
    near = poses.by_landmarks(wrong, faces)
    assert near is not None
    by_marks = disagreement(model, person, right, near)
    assert by_marks < 0.3 * before

    surface = model.template.triangles_of("skin", "eye_left", "eye_right")
    cameras = near
    for _ in range(2):
        maps = [
            replace(found, camera=replace(found.camera, R=camera.R, t=camera.t))
            for (_, _, found, _), camera in zip(shots, cameras, strict=True)
        ]
        views = [View.of(found, face, right[0].width) for found, face in zip(maps, faces, strict=True)]
        fitted = fit(model, views, start(model.template, [view.camera for view in views],
                                         [view.face for view in views], UNIT_MM), UNIT_MM)  # fmt: skip
        shape = fitted.pose.points(fitted.vertices)
        cameras = poses.by_surface(cameras, [photo for _, photo, _, _ in shots], shape, surface)
        assert cameras is not None
    found = disagreement(model, person, right, cameras)
    print(f"pixels: {before:.1f} given, {by_marks:.2f} by landmarks, {found:.2f} through the head")
    assert found < 0.5 * by_marks and found < 0.7


def test_landmarks_that_err_by_themselves_move_no_camera(shots):
    cameras = [camera for camera, _, _, _ in shots]
    rng = np.random.default_rng(4)
    faces = [replace(face, points=face.points + rng.normal(0, 40, face.points.shape)) for _, _, _, face in shots]
    assert poses.contradict(cameras, faces) and poses.by_landmarks(cameras, faces) is None


def test_plain_skin_tells_nothing(model, person, shots):
    cameras = [camera for camera, _, _, _ in shots]
    plain = [np.full_like(photo, 0.5) for _, photo, _, _ in shots]
    surface = model.template.triangles_of("skin", "eye_left", "eye_right")
    assert poses.by_surface(cameras, plain, WORLD.points(person), surface) is None


def test_a_face_that_is_seen_once_contradicts_nobody(shots):
    cameras = [camera for camera, _, _, _ in shots]
    assert not poses.contradict(cameras, [shots[0][3], None, None])
