"""Cameras that are off by a fraction of a pixel come back to where the photographs want them, right ones stay."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.photometric import Detail, poses, refine_surface  # noqa: E402
from bridge.photometric.pictures import Photographs, Pictures  # noqa: E402
from bridge.photometric.sight import Sights  # noqa: E402
from tests.bridge.test_refine_surface import ball, photographs, refined  # noqa: E402
from tests.bridge.test_stereo import CENTER, FRAME, RADIUS, rig  # noqa: E402


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, Pictures]:
    """The true ball in the head's frame, and its pictures."""
    vertices, faces = ball()
    vertices = FRAME.local(CENTER + vertices * RADIUS)
    return vertices, faces, Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, vertices)


def pushed(pictures: Pictures, pixels: float, seed: int = 0) -> np.ndarray:  # [views, 6]
    """Twists that move every picture by about so many pixels."""
    rng, camera = np.random.default_rng(seed), pictures.cameras[0]
    far = np.linalg.norm(camera.center)
    return pixels / camera.K[0, 0] * rng.normal(size=(8, 6)) * np.r_[np.ones(3), np.full(3, 0.5 * far)]


def off_px(pictures: Pictures, twists: np.ndarray) -> float:
    """Pixels between neighbours' pictures of the head that no common motion of the rig explains, on average: what is
    left of the places of points when each view may be moved by what all views share (in the world's axes)."""
    points = np.concatenate([poses.ENDS, [[0, 0, 0]]]) * RADIUS / FRAME.radius
    rows, away = [], []
    for camera, twist in zip(pictures.cameras, twists, strict=True):
        away.append(poses.moved(camera, twist).project(points)[0] - camera.project(points)[0])
        step = 1e-5
        columns = []
        for axis in range(7):  # a turn, a shift and a growth of the world
            change = np.zeros(7)
            change[axis] = step
            there = points + np.cross(change[:3], points) + change[3:6] + change[6] * points
            columns.append((camera.project(there)[0] - camera.project(points)[0]) / step)
        rows.append(np.stack(columns, -1))
    J, r = np.concatenate(rows).reshape(-1, 7), np.concatenate(away).ravel()
    rest = r - J @ np.linalg.lstsq(J, r, rcond=None)[0]
    return float(np.linalg.norm(rest.reshape(-1, 2), axis=1).mean())


def test_the_motion_of_pixels_is_that_of_a_moved_camera(scene):
    vertices, faces, pictures = scene
    sight = Sights.of(vertices, faces, pictures).whole(0)
    inside = sight.use > 0
    J = poses._motion(sight.first, sight.depth, inside, sight.camera)
    row, column = np.nonzero(inside)
    pixels = np.stack([sight.first[1] + column + 0.5, sight.first[0] + row + 0.5], 1)
    rays = np.column_stack([pixels, np.ones(len(row))]) @ np.linalg.inv(sight.camera.K).T
    points = (rays * sight.depth[inside][:, None] - sight.camera.t) @ sight.camera.R
    for axis in range(6):
        twist = np.eye(6)[axis] * 1e-4
        found = (poses.moved(sight.camera, twist).project(points)[0] - pixels) / 1e-4
        assert np.abs(found - J[:, :, axis]).max() < 1e-2 * np.abs(J).max()


@pytest.mark.parametrize("pixels", [0.4, 1.0])
def test_poses_come_back(scene, pixels):
    vertices, faces, pictures = scene
    wrong = pushed(pictures, pixels)
    found = poses.corrections(vertices, faces, poses.placed(pictures, wrong), np.ones(8))
    left = np.stack([poses._after(first, then) for first, then in zip(wrong, found, strict=True)])
    assert off_px(pictures, left) < 0.4 * off_px(pictures, wrong)


def test_right_poses_stay_to_the_bit(scene):
    vertices, faces, pictures = scene
    assert poses.corrections(vertices, faces, pictures, np.ones(8)) is None


def test_a_surface_that_is_off_moves_cameras_by_less(scene):
    """Its error goes along the epipolar lines, to one side for one partner and to the other for another."""
    vertices, faces, pictures = scene
    found = poses.corrections(vertices * (1 + pictures.pixel), faces, pictures, np.ones(8))
    assert found is None or off_px(pictures, found) < 0.3


def test_where_the_pictures_do_not_agree_afterwards_it_was_not_the_poses(scene, monkeypatch):
    vertices, faces, pictures = scene
    wrong = poses.placed(pictures, pushed(pictures, 1.0))
    assert poses.corrections(vertices, faces, wrong, np.ones(8)) is not None
    monkeypatch.setattr(poses, "GAIN", 0.0)
    assert poses.corrections(vertices, faces, wrong, np.ones(8)) is None


def test_views_that_go_on_disagreeing_must_gain_more(scene, monkeypatch):
    vertices, faces, pictures = scene
    wrong = poses.placed(pictures, pushed(pictures, 1.0))
    monkeypatch.setattr(poses, "GAIN_UNLIKE", 0.0)
    assert poses.corrections(vertices, faces, wrong, np.ones(8)) is not None
    monkeypatch.setattr(poses, "UNLIKE", 0.0)
    assert poses.corrections(vertices, faces, wrong, np.ones(8)) is None


def test_a_view_that_is_not_trusted_stays_and_pulls_nobody(scene):
    vertices, faces, pictures = scene
    wrong = pushed(pictures, 1.0)
    wrong[[0, 1, 2, 4, 5, 6, 7]] = 0
    trust = np.ones(8)
    trust[3] = 0
    assert poses.corrections(vertices, faces, poses.placed(pictures, wrong), trust) is None


def test_a_refined_surface_tells_its_cameras(scene):
    from bridge.mesh import Mesh

    pictures = scene[2]
    vertices, faces = ball()
    mesh = Mesh(CENTER + vertices * RADIUS, faces)
    right = refined(mesh)
    assert right.moved_px == 0
    wrong = pushed(pictures, 0.8)
    cameras = [poses.moved(camera, twist, FRAME.radius) for camera, twist in zip(rig(), wrong, strict=True)]
    found = refined(mesh, cameras=cameras)
    assert found.moved_px > 0.2
    kept = refine_surface(
        mesh, Photographs(photographs(), [None] * 8, cameras), FRAME, Detail(250, len(vertices), poses=False)
    )
    assert kept.moved_px == 0
    moves = [poses.moved(FRAME.normalise(a), np.zeros(6)) for a in found.cameras]
    truth = [FRAME.normalise(camera) for camera in rig()]
    left = np.stack([_twist(a, b) for a, b in zip(truth, moves, strict=True)])
    start = np.stack([_twist(a, FRAME.normalise(b)) for a, b in zip(truth, cameras, strict=True)])
    assert off_px(pictures, left) < 0.7 * off_px(pictures, start)


def _twist(start, end) -> np.ndarray:  # [6]
    from scipy.spatial.transform import Rotation

    turn = end.R @ start.R.T
    return np.r_[Rotation.from_matrix(turn).as_rotvec(), end.t - turn @ start.t]
