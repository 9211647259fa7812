"""The canonical frame from canonical coordinates that are noisy, partly wrong, and seen by cameras in another world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bridge.capture.normal_map import NormalMap
from bridge.head.canonical import UNIT_MM, locate, robust_similarity
from bridge.head.eyes import EYES, eyes
from bridge.head.find import head_in
from tests.support.synthetic import AXES, ring, trace

TURN = Rotation.from_rotvec([0.4, -1.1, 2.0]).as_matrix()
SCALE, OFFSET = 0.37, np.array([3.0, -2.0, 5.0])


def test_thirty_percent_outliers_and_noise():
    rng = np.random.default_rng(1)
    world = rng.normal(size=(800, 3)) * [4, 3, 5] + 20
    target = SCALE * world @ TURN.T + OFFSET + rng.normal(0, 0.05, world.shape)
    wrong = rng.random(800) < 0.3
    target[wrong] = rng.uniform(target.min(0), target.max(0), (wrong.sum(), 3))
    found = robust_similarity(world, target)
    assert found.scale == pytest.approx(SCALE, rel=0.01)
    assert np.degrees(Rotation.from_matrix(found.rotation @ TURN.T).magnitude()) < 0.5
    assert np.abs(found.apply(world[~wrong]) - target[~wrong]).mean() < 0.06
    assert 0.65 < found.inlier_share < 0.78 and found.trusted


def test_a_mirrored_head_is_never_fitted_by_a_mirror():
    world = np.random.default_rng(2).normal(size=(300, 3)) * [1.0, 1.2, 0.9]
    found = robust_similarity(world, world * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1) and not found.trusted


def test_noise_alone_is_not_trusted():
    rng = np.random.default_rng(3)
    assert not robust_similarity(rng.normal(size=(400, 3)), rng.normal(size=(400, 3))).trusted


def test_from_the_maps_of_several_views():
    """Cameras look at an ellipsoid in the world; its canonical twin is turned, scaled and shifted."""
    center, size = np.array([10.0, 0.0, -4.0]), 96
    rng, maps = np.random.default_rng(4), []
    cameras = ring(6, center, 2.0, size)
    for camera in cameras:
        normals, depth = trace(camera, center, 2.0)
        y, x = np.mgrid[:size, :size] + 0.5
        rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1)).reshape(size, size, 3)
        points = camera.center + rays * (depth / (rays @ camera.forward))[..., None]
        canonical = (SCALE * (points - center) @ TURN.T).astype(np.float32)
        spoiled = rng.random((size, size)) < 0.1
        canonical[spoiled] = rng.normal(0, 1, (spoiled.sum(), 3))
        maps.append(NormalMap(camera, normals, (depth > 0).astype(np.float32), None, canonical))
    directions = rng.normal(size=(1500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    surface = center + 2.0 * AXES * directions
    normals = directions / AXES
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    seen = np.stack([((camera.center - surface) * normals).sum(1) > 0 for camera in cameras])
    found = locate(maps, surface, normals, seen)
    assert found.trusted
    assert found.unit_mm == pytest.approx(SCALE * UNIT_MM, rel=0.03)
    assert np.allclose(found.center, center, atol=0.1)
    assert found.up @ TURN[1] > 0.999 and found.front @ TURN[2] > 0.999
    # the eyes stand where the canonical head has them, and are not guessed where no map tells
    placed = eyes(maps, surface, normals)
    np.testing.assert_allclose(placed, center + EYES @ TURN / SCALE, atol=0.05)
    apart = np.linalg.norm(EYES[0] - EYES[1]) / SCALE
    assert np.linalg.norm(placed[0] - placed[1]) == pytest.approx(apart, rel=0.03)
    assert eyes([replace(found, canonical=None) for found in maps], surface, normals) is None


def test_the_head_of_a_rig_from_its_maps_alone():
    """Surface and views that see it are found from the mattes; canonical coordinates that make no sense are not
    believed."""
    center, size = np.array([10.0, 0.0, -4.0]), 96
    maps = []
    for camera in ring(6, center, 2.0, size):
        normals, depth = trace(camera, center, 2.0)
        y, x = np.mgrid[:size, :size] + 0.5
        rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1)).reshape(size, size, 3)
        points = camera.center + rays * (depth / (rays @ camera.forward))[..., None]
        canonical = (SCALE * (points - center) @ TURN.T).astype(np.float32)
        maps.append(NormalMap(camera, normals, (depth > 0).astype(np.float32), None, canonical))
    found = head_in(maps)
    assert found.up @ TURN[1] > 0.995 and found.front @ TURN[2] > 0.995
    assert np.allclose(found.center, center, atol=0.2) and found.unit_mm == pytest.approx(SCALE * UNIT_MM, rel=0.05)
    rng = np.random.default_rng(0)
    noise = [replace(m, canonical=rng.normal(0, 1, m.canonical.shape).astype(np.float32)) for m in maps]
    assert head_in(noise) is None
    empty = [replace(m, matte=np.zeros_like(m.matte)) for m in maps]
    assert head_in(empty) is None


def test_too_few_points_say_nothing():
    assert locate([], np.zeros((10, 3)), np.ones((10, 3)), np.zeros((0, 10), bool)) is None
