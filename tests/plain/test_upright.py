"""Rigs of any world come to stand on their feet, the face to the front, to scale; what stands already stays."""

from __future__ import annotations

import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link.preflight import ViewRecord
from skullptor_extension.skullptor_blender.scene import upright

K = np.array([[2000.0, 0, 750], [0, 2000.0, 1000], [0, 0, 1]])


def view(eye, target=(0, 0, 0), roll=0.0, name="v"):
    """A camera that looks at target with z up, turned about its axis by roll."""
    eye, target = np.array(eye, float), np.array(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    c, s = np.cos(roll), np.sin(roll)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ np.stack([right, np.cross(forward, right), forward])
    return ViewRecord(name, "", 1500, 2000, K, R, -R @ eye)


def arc(low, high, count=8, height=0.3, radius=1.0, roll=0.0):
    """Cameras at azimuths in degrees; -90 is in front of the face (-Y)."""
    angles = np.radians(np.linspace(low, high, count))
    heights = height * (1 + 0.5 * np.cos(3 * np.arange(count)))
    rolls = roll * np.sin(5 * np.arange(count))
    return [view((radius * np.cos(a), radius * np.sin(a), h), roll=r) for a, h, r in zip(angles, heights, rolls)]


def moved(views, scale, R, t):
    """The same photographs in another world: x' = scale R x + t."""
    return [ViewRecord(v.name, "", v.width, v.height, v.K, v.R @ R.T, scale * v.t - v.R @ R.T @ t) for v in views]


def random_rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_what_stands_upright_is_not_touched():
    placed = upright.place(arc(-150, -30), 1000.0)
    np.testing.assert_array_equal(placed.matrix, np.eye(4))
    assert placed.said == ()
    np.testing.assert_array_equal(upright.place(arc(-150, -30), 10.0).matrix, np.diag([0.01, 0.01, 0.01, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_any_world_comes_to_stand(seed):
    """Feet down, face to -Y, metres; the head's middle at the origin. Fails for a mirror, an axis, a factor."""
    truth = arc(-160, -20, roll=0.05)
    R, t = random_rotation(seed), np.array([5.0, -3.0, 11.0])
    placed = upright.place(moved(truth, 37.0, R, t), 1000.0 / 37.0)
    A = placed.matrix[:3, :3]
    assert np.linalg.det(A) == pytest.approx(1 / 37.0**3)
    assert upright.angle(A @ R @ [0, 0, 1], [0, 0, 1]) < np.radians(4)
    assert upright.angle(A @ R @ [0, -1, 0], [0, -1, 0]) < np.radians(8)
    np.testing.assert_allclose((placed.matrix @ [*t, 1])[:3], 0, atol=0.06)
    # the rig as a whole is as large as it was
    np.testing.assert_allclose(
        np.linalg.norm(A @ (moved(truth, 37.0, R, t)[0].center - moved(truth, 37.0, R, t)[4].center)),
        np.linalg.norm(truth[0].center - truth[4].center),
    )


def test_cameras_that_look_down_do_not_tilt_the_head():
    placed = upright.place(moved(arc(-170, -10, height=0.9), 1.0, random_rotation(9), np.zeros(3)), 1000.0)
    up = placed.matrix[:3, :3] @ random_rotation(9) @ [0, 0, 1]
    assert upright.angle(up, [0, 0, 1]) < np.radians(2)


def test_y_up_worlds_are_turned_by_exactly_a_quarter():
    quarter = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up -> y up
    placed = upright.place(moved(arc(-140, -40), 1.0, quarter, np.zeros(3)), 1000.0)
    np.testing.assert_allclose(placed.matrix[:3, :3], quarter.T, atol=1e-12)


def test_an_even_ring_says_that_its_front_is_unknown():
    placed = upright.place(arc(0, 315, 8), 1000.0)
    np.testing.assert_array_equal(placed.matrix, np.eye(4))
    assert any("turn the rig" in said for said in placed.said)


def test_unknown_size_is_guessed_from_the_pictures_and_said():
    # a head of 25 cm that fills 60 % of the smaller side of the photographs, in a world of feet
    distance = 0.25 / 0.6 * 2000 / 1500
    views = moved(arc(-150, -30, radius=distance, height=0.0), 3.28, np.eye(3), np.zeros(3))
    placed = upright.place(views, None)
    assert placed.scale == pytest.approx(1 / 3.28, rel=1e-6)
    assert any("guessed" in said for said in placed.said)


def test_upside_down_is_half_a_turn():
    flipped = np.diag([1.0, -1.0, -1.0])
    placed = upright.place(moved(arc(-150, -30), 1.0, flipped, np.zeros(3)), 1000.0)
    up = placed.matrix[:3, :3] @ flipped @ [0, 0, 1]
    assert upright.angle(up, [0, 0, 1]) < 1e-6
    assert np.linalg.det(placed.matrix[:3, :3]) == pytest.approx(1)


def test_the_front_may_be_named():
    views = [ViewRecord(f"cam{i}", "", v.width, v.height, v.K, v.R, v.t) for i, v in enumerate(arc(0, 315, 8))]
    placed = upright.place(views, 1000.0, "cam2.jpg")  # at 90 degrees: the back, as things stand
    np.testing.assert_allclose(placed.matrix[:3, :3], np.diag([-1, -1, 1]), atol=1e-9)
    assert placed.said == ()
    with pytest.raises(KeyError):
        upright.place(views, 1000.0, "cam9")
