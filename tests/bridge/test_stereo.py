"""Matching the photographs: a textured ball whose surface is known, seen by cameras around it."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.capture.cameras import Camera
from bridge.capture.framing import HeadFrame
from bridge.errors import Cancelled
from bridge.mesh import Mesh
from bridge.mesh.boxtree import BoxTree
from bridge.mesh.intersections import crossing_faces
from bridge.mesh.topology import icosphere
from bridge.photometric import match_photographs
from bridge.photometric.match import _neighbour_support
from bridge.solve import untangled

CENTER, RADIUS = np.array([3.0, -1.0, 2.0]), 0.25  # a frame of its own: nothing may depend on the world's
FRAME = HeadFrame(CENTER, RADIUS * 1.2, np.array([0.0, 1.0, 0.0]))


def rig(count: int = 8, size: int = 320) -> list[Camera]:
    cameras = []
    for i in range(count):
        angle = 2 * np.pi * i / count
        direction = np.array([np.sin(angle), 0.25 * (-1) ** i, np.cos(angle)])
        direction /= np.linalg.norm(direction)
        position = CENTER + 5 * RADIUS * direction
        right = np.cross(-direction, [0, 1.0, 0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(-direction, right), -direction])
        K = np.array([[1.9 * size, 0, 0.51 * size], [0, 1.9 * size, 0.48 * size], [0, 0, 1]])
        cameras.append(Camera(f"cam{i}", K, R, -R @ position, size, size))
    return cameras


def texture(points: np.ndarray) -> np.ndarray:  # [..., 3] unit -> [..., 3]
    """Blobs of many sizes, without a direction or period."""
    rng = np.random.default_rng(3)
    waves = rng.normal(size=(60, 3)) * rng.uniform(4, 30, (60, 1))
    value = np.sin(points @ waves.T + rng.uniform(0, 6, 60)).mean(-1)
    return np.clip(0.5 + 1.6 * value[..., None] * np.array([1.0, 0.8, 0.6]), 0, 1)


def photograph(camera: Camera, flat: bool = False) -> np.ndarray:
    """The ball by its own rays, four to a pixel: no rasteriser of ours is in it."""
    total = np.zeros((camera.height, camera.width, 3))
    for du, dv in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        u, v = np.meshgrid(np.arange(camera.width) + du, np.arange(camera.height) + dv)
        rays = camera.rays(np.stack([u.ravel(), v.ravel()], 1))
        eye = camera.center - CENTER
        b = rays @ eye
        root = b**2 - eye @ eye + RADIUS**2
        hit = root > 0
        points = (eye + rays * (-b - np.sqrt(np.maximum(root, 0)))[:, None]) / RADIUS
        color = np.full((len(rays), 3), 0.5) if flat else texture(points)
        total += np.where(hit[:, None], color, 0.1).reshape(total.shape)
    return (total / 4).astype(np.float32)


def wrong_ball(level: int = 5) -> Mesh:
    """2 % too large, and dented by up to 3 % over broad regions, as wrong normals do."""
    vertices, faces = icosphere(level)
    dent = 0.02 + 0.02 * np.sin(3 * vertices[:, 0] + 1) * np.cos(2 * vertices[:, 1])
    return Mesh(CENTER + RADIUS * vertices.astype(np.float64) * (1 + dent[:, None]), faces)


def error(mesh: Mesh) -> np.ndarray:  # [V] of the radius
    return np.linalg.norm(mesh.vertices - CENTER, axis=1) / RADIUS - 1


@pytest.fixture(scope="module")
def photographs():
    cameras = rig()
    return [photograph(c) for c in cameras], cameras


def test_the_surface_goes_to_where_the_photographs_agree(photographs):
    """Within a tenth of a pixel on average (a pixel is 0.0105 of the radius here): half a pixel would be seen."""
    mesh = wrong_ball()
    found = match_photographs(mesh, *photographs, FRAME)
    belt = np.abs((mesh.vertices - CENTER)[:, 1]) < 0.6 * RADIUS
    assert np.abs(error(mesh))[belt].mean() > 0.016
    after = error(found.mesh)[belt]
    assert np.abs(after).mean() < 0.0012 and abs(after.mean()) < 0.0006
    assert (found.confidence[belt] > 0.1).mean() > 0.85
    assert np.array_equal(found.mesh.faces, mesh.faces)
    assert found.moved == pytest.approx(np.linalg.norm(found.mesh.vertices - mesh.vertices, axis=1).mean())


def test_what_more_vertices_than_are_searched_follow(photographs, monkeypatch):
    monkeypatch.setattr("bridge.photometric.match.SEARCHED", 4000)
    mesh = wrong_ball()
    belt = np.abs((mesh.vertices - CENTER)[:, 1]) < 0.6 * RADIUS
    assert np.abs(error(match_photographs(mesh, *photographs, FRAME).mesh))[belt].mean() < 0.002


def test_flat_colour_moves_nothing(photographs):
    cameras, mesh = photographs[1], wrong_ball(4)
    rng = np.random.default_rng(0)
    grainy = [photograph(c, flat=True) + rng.normal(0, 0.5 / 255, (320, 320, 1)).astype(np.float32) for c in cameras]
    found = match_photographs(mesh, grainy, cameras, FRAME)
    inner = np.abs((mesh.vertices - CENTER)[:, 1]) < 0.6 * RADIUS
    assert np.linalg.norm(found.mesh.vertices - mesh.vertices, axis=1)[inner].mean() < 0.002 * RADIUS


def test_matches_that_stand_alone_are_not_believed():
    """A ring of false matches in a region without others, and one among many that agree: both would be pimples."""
    points, _ = icosphere(5)
    points = points.astype(np.float64)
    certainty = (points[:, 0] > 0).astype(np.float32)
    steps = np.where(points[:, 0] > 0, 3 + 4 * points[:, 1], 0.0)  # a slope of less than a step between neighbours
    alone = int(np.argmin(points[:, 0]))
    spot = np.argsort(np.linalg.norm(points - points[alone], axis=1))[:7]
    certainty[spot], steps[spot] = 1, 9.0
    among = int(np.argmax(points[:, 0]))
    steps[among] += 8
    support = _neighbour_support(points, points, steps, certainty)
    assert support[(points[:, 0] > 0.2) & (np.arange(len(points)) != among)].min() > 0.9
    assert support[spot].max() < 0.3 and support[among] == 0
    assert _neighbour_support(points[:5], points[:5], np.zeros(5), np.ones(5)).max() <= 1  # fewer than it asks for


def test_one_camera_alone_moves_nothing(photographs):
    photos, cameras = photographs
    mesh = wrong_ball(3)
    found = match_photographs(mesh, photos[:1], cameras[:1], FRAME)
    assert np.allclose(found.mesh.vertices, mesh.vertices) and not found.confidence.any()


def test_cancel_ends_it(photographs):
    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        match_photographs(wrong_ball(3), *photographs, FRAME, check=check)


def test_untangled_keeps_what_is_sound():
    mesh, moved = wrong_ball(4), wrong_ball(4)
    moved.vertices[:] = CENTER + 1.1 * (moved.vertices - CENTER)
    assert np.allclose(untangled(mesh, moved, FRAME).vertices, moved.vertices, atol=1e-9)


def test_untangled_draws_back_what_crosses():
    mesh, moved = wrong_ball(4), wrong_ball(4)
    points = (moved.vertices - CENTER) / RADIUS
    spot = np.linalg.norm(points - points[100], axis=1) < 0.3
    rng = np.random.default_rng(1)
    moved.vertices[spot] += RADIUS * rng.normal(0, 0.1, (int(spot.sum()), 3))

    def crossing(m: Mesh) -> int:
        return int(crossing_faces(m.vertices, m.faces, BoxTree.of(m.vertices, m.faces)).sum())

    assert crossing(moved) > 20 and crossing(mesh) == 0
    sound = untangled(mesh, moved, FRAME)
    assert crossing(sound) == 0
    far = np.linalg.norm(points - points[100], axis=1) > 0.8
    assert np.allclose(sound.vertices[far], moved.vertices[far])
