"""Head cameras against an analytic sphere: a mirrored or half-pixel-off warp fails here."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.capture.cameras import Camera
from bridge.capture.framing import HeadFrame
from bridge.normals import warp
from bridge.normals.warp import OPENGL, from_head, head_view, map_camera, to_head, turned_back

CENTRE, RADIUS = np.array([0.3, -0.2, 0.1]), 0.8


def looking_camera(azimuth: float, roll: float, width: int, height: int, aim: np.ndarray) -> Camera:
    """A camera 4 units away that looks near the sphere, rolled, with an off-centre principal point."""
    position = CENTRE + 4 * np.array([np.sin(azimuth), 0.25, np.cos(azimuth)])
    forward = CENTRE + aim - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    c, s = np.cos(roll), np.sin(roll)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ R
    f = 1.6 * min(width, height)
    K = np.array([[f, 0, width * 0.53], [0, f * 1.02, height * 0.46], [0, 0, 1]])
    return Camera("view", K, R, -R @ position, width, height)


def sphere(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Camera-space normals with OpenGL axes [h, w, 3] and mask [h, w] of the sphere, exactly."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = camera.rays(np.stack([u.ravel(), v.ravel()], 1))
    offset = camera.center - CENTRE
    b = rays @ offset
    root = b**2 - offset @ offset + RADIUS**2
    hit = root > 0
    points = camera.center + rays * (-b - np.sqrt(np.maximum(root, 0)))[:, None]
    normals = ((points - CENTRE) / RADIUS) @ camera.R.T @ OPENGL
    shape = (camera.height, camera.width)
    return (normals * hit[:, None]).reshape(*shape, 3).astype(np.float32), hit.reshape(shape)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


def inner(mask: np.ndarray, pixels: int = 4) -> np.ndarray:
    import cv2

    return cv2.erode(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0


FRAME = HeadFrame(CENTRE + [0.03, 0.05, -0.02], RADIUS * 1.1, np.array([0.05, 1.0, 0.0]) / np.linalg.norm([0.05, 1, 0]))
RIGS = [(0.4, 0.0, 640, 480), (-1.2, np.pi / 2, 480, 640), (2.7, -2.0, 500, 500), (0.1, 0.3, 701, 377)]


def round_trip_error(rig) -> float:
    """Mean angle between the sphere's true normals and the true head-camera normals taken back to the real camera."""
    camera = looking_camera(*rig, aim=np.array([0.2, -0.1, 0.1]))
    view = head_view(camera, FRAME)
    seen, _ = sphere(view.at(256))
    target = map_camera(camera, 400)
    values, known = from_head(seen, view, target)
    truth, mask = sphere(target)
    inside = inner(mask & known)
    assert inside.sum() > 2000
    return float(angles(turned_back(values, view), truth)[inside].mean())


@pytest.mark.parametrize("rig", RIGS)
def test_normals_return_to_the_real_camera(rig):
    assert round_trip_error(rig) < 0.12


def test_half_a_pixel_or_a_mirror_would_be_noticed(monkeypatch):
    exact = warp.sampling_map
    monkeypatch.setattr(warp, "sampling_map", lambda s, t: (exact(s, t)[0] + 0.5, *exact(s, t)[1:]))
    assert round_trip_error(RIGS[0]) > 0.2
    monkeypatch.setattr(warp, "sampling_map", lambda s, t: (s.width - 1 - exact(s, t)[0], *exact(s, t)[1:]))
    assert round_trip_error(RIGS[0]) > 5


@pytest.mark.parametrize("rig", RIGS)
def test_the_head_camera_sees_what_a_camera_there_would_see(rig):
    camera = looking_camera(*rig, aim=np.array([0.1, 0.1, 0.0]))
    view = head_view(camera, FRAME)
    world, mask = sphere(camera)
    world = (world @ (OPENGL @ camera.R)).astype(np.float32)  # a picture that does not depend on the camera's turn
    seen = to_head(np.concatenate([world, mask[..., None]], -1), view, 160)
    truth, truth_mask = sphere(view.at(160))
    truth = truth @ (OPENGL @ view.head.R)
    inside = inner(truth_mask & (seen[..., 4] > 0))
    assert inside.sum() > 1500
    assert np.abs(seen[..., :3] - truth)[inside].mean() < 2e-3
    assert seen[..., 3][inside].min() > 0.99


@pytest.mark.parametrize("rig", RIGS)
def test_the_head_stands_upright_in_the_middle_and_fills_the_frame(rig):
    camera = looking_camera(*rig, aim=np.array([0.2, -0.1, 0.1]))
    view = head_view(camera, FRAME)
    head = view.at(256)
    pixel, depth = head.project(np.stack([FRAME.center, FRAME.center + 0.1 * FRAME.up]))
    assert np.allclose(pixel[0], 128) and depth[0] > 0
    assert abs(pixel[1, 0] - 128) < 1e-6 and pixel[1, 1] < 128  # up is up
    assert np.allclose(head.center, camera.center)
    silhouette = np.tan(np.arcsin(1 / view.distance)) * head.K[0, 0]
    assert silhouette == pytest.approx(128 * warp.FILL)


def test_pixels_outside_the_photograph_are_marked():
    camera = looking_camera(0.0, 0.0, 300, 300, aim=np.array([0.9, 0, 0]))
    view = head_view(camera, FRAME)
    seen = to_head(np.ones((300, 300, 3), np.float32), view, 96)
    outside = seen[..., 3] == 0
    assert 0.05 < outside.mean() < 0.9
    assert (seen[outside][:, :3] == warp.OUTSIDE).all() and (seen[~outside][:, :3] > 0.9999).all()


def test_a_camera_inside_the_sphere_still_gives_a_finite_view():
    camera = looking_camera(0.0, 0.0, 300, 300, aim=np.zeros(3))
    view = head_view(camera, HeadFrame(CENTRE, 10.0, np.array([0, 1.0, 0])))
    assert view.distance == warp.NEAREST and np.isfinite(view.head.K).all()


def test_a_camera_straight_above_keeps_its_own_right():
    R = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # looks down, top of the picture is -z
    K = np.array([[500, 0, 100], [0, 500, 100], [0, 0, 1.0]])
    camera = Camera("top", K, R, -R @ np.array([0, 5.0, 0]), 200, 200)
    view = head_view(camera, HeadFrame(np.zeros(3), 1.0, np.array([0, 1.0, 0])))
    assert np.allclose(view.head.R, R)


def test_quaternions_match_their_rotations():
    torch = pytest.importorskip("torch")
    from bridge.normals.network import rotation_of
    from bridge.training.batches import quaternions

    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(20, 3, 3)))
    Q *= np.sign(np.linalg.det(Q))[:, None, None]
    Q[0], Q[1] = np.diag([-1.0, -1, 1]), np.eye(3)
    many = quaternions(Q)
    assert np.allclose(rotation_of(torch.from_numpy(many)).numpy(), Q, atol=1e-5)
    assert np.allclose(np.stack([warp.quaternion(R) for R in Q[1:]]), many[1:], atol=1e-6)
