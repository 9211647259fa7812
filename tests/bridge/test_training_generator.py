"""The generator's truth: normals, canonical points and mattes against geometry that the test computes itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bridge.training.appearance import Appearance
from bridge.training.group import CANONICAL_RANGE, World, make_group, render
from bridge.training.models import AvatarModel, load_avatars, load_ict
from bridge.training.noise import noise3
from bridge.training.raster import relief_gradient
from bridge.training.shapes import Material, blob, garment, glasses, headgear, warped
from bridge.training.staging import cameras, head_sphere, light
from bridge.training.subject import Subject, joined, vertex_normals, weld_index

DATA = Path(os.environ.get("SKULLPTOR_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "ict_facekit.npz").is_file(), reason="the head model is not here")


def bumpy_ball(rows: int = 60, columns: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A closed head-like surface without symmetry: vertices [V, 3], faces [F, 3] outward."""
    theta = np.linspace(0.001, np.pi - 0.001, rows)[:, None]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    radius = 0.8 * (1 + 0.08 * np.sin(3 * theta) * np.cos(2 * phi + 0.4) + 0.1 * np.cos(theta))
    points = np.stack(
        [
            radius * np.sin(theta) * np.sin(phi),
            1.2 * radius * np.cos(theta) + 0 * phi,
            radius * np.sin(theta) * np.cos(phi),
        ],
        -1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)])
    return points.astype(np.float32), faces.astype(np.int32)


def avatar() -> AvatarModel:
    vertices, faces = bumpy_ball()
    texture = np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32)
    uv = np.random.default_rng(1).random((len(faces), 3, 2)).astype(np.float32)
    return AvatarModel("ball", vertices, faces, uv, np.zeros(len(faces), np.int32), texture, weld_index(vertices), 0.1)


def plain_subject() -> Subject:
    vertices, faces = bumpy_ball()
    n = len(vertices)
    subject = Subject(
        vertices=vertices,
        faces=faces,
        template=vertices.copy(),
        weld=weld_index(vertices),
        albedo=np.full((n, 3), 0.5, np.float32),
        bump=np.zeros(n, np.float32),
        kind=np.zeros(n, np.int32),
        gloss=np.zeros(n, np.float32),
        uv=np.zeros((len(faces), 3, 2), np.float32),
        texture_id=np.full(len(faces), -1, np.int32),
        textures=np.zeros((1, 2, 2, 3), np.float32),
    )
    subject.update_normals()
    return subject


@pytest.fixture(scope="module")
def views():
    """Renders of the plain subject: list of camera and maps at 128 px."""
    rng = np.random.default_rng(4)
    subject = plain_subject()
    appearance = Appearance(subject, 0.0, np.full(4, 8.0), 20.0, False)
    lighting = light(rng, subject, True)
    return [(c, render(appearance, lighting, c, 128, 3)) for c in cameras(rng, subject, 5)]


def test_normals_are_unit_and_face_the_camera(views):
    for camera, (_, normal, _, matte) in views:
        inside = matte > 0
        assert 0.05 < inside.mean() < 0.98
        assert np.allclose(np.linalg.norm(normal[inside], axis=-1), 1, atol=1e-4)
        v, u = np.nonzero(inside)
        x, y = (u + 0.5 - 64) / 128 / camera.focal, (v + 0.5 - 64) / 128 / camera.focal
        ray = np.stack([x, -y, -np.ones(len(u))], -1)
        assert ((normal[inside] * ray).sum(-1) < 0).all()


def test_canonical_points_project_to_their_own_pixels(views):
    """The template is the geometry here, so a canonical point must land where it was seen."""
    for camera, (_, _, canonical, matte) in views:
        v, u = np.nonzero(matte > 0)
        points = (canonical[v, u] - camera.position) @ camera.R.T
        pixel = points[:, :2] / points[:, 2:] * camera.focal * 128 + 64
        assert np.abs(pixel - np.stack([u + 0.5, v + 0.5], 1)).max() < 0.02


def test_normals_are_those_of_the_depth_that_is_seen(views):
    """Finite differences of the visible points, in the camera's OpenGL axes."""
    import cv2

    for camera, (_, normal, canonical, matte) in views:
        points = (canonical - camera.position) @ camera.R.T * np.array([1, -1, -1])
        right = points[1:-1, 2:] - points[1:-1, :-2]
        up = points[:-2, 1:-1] - points[2:, 1:-1]
        measured = np.cross(right, up)
        measured /= np.linalg.norm(measured, axis=-1, keepdims=True) + 1e-12
        inner = cv2.erode((matte > 0).astype(np.uint8), np.ones((7, 7), np.uint8))[1:-1, 1:-1] > 0
        angle = np.degrees(np.arccos(np.clip((measured * normal[1:-1, 1:-1]).sum(-1), -1, 1)))[inner]
        assert np.median(angle) < 2 and np.mean(angle) < 3


def test_cameras_frame_the_head(views):
    subject = plain_subject()
    centre, radius = head_sphere(subject)
    for camera, _ in views:
        assert np.allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-6) and np.linalg.det(camera.R) > 0
        pixel = camera.R @ (centre - camera.position)
        assert np.abs(pixel[:2] / pixel[2] * camera.focal).max() < 0.25  # the centre is near the middle


def test_a_group_is_a_function_of_its_seed():
    world = World(None, [avatar()])
    one, two, other = make_group(7, world, 3, 48), make_group(7, world, 3, 48), make_group(8, world, 3, 48)
    for name in ("image", "normal", "canonical", "matte", "rotation", "distance"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.image, other.image)
    inside = one.matte > 127
    length = np.linalg.norm(one.normal[inside].astype(float) / 127, axis=-1)
    assert inside.any() and np.abs(length - 1).max() < 0.02
    assert (one.normal[~inside] == 0).all()
    assert np.abs(one.canonical[inside].astype(float) * CANONICAL_RANGE / 127).max() < 2


def test_noise_and_relief_gradients_match_differences():
    rng = np.random.default_rng(0)
    for p in rng.uniform(-5, 5, (50, 3)):
        value, *gradient = noise3(*p, 3)
        for axis in range(3):
            q = p.copy()
            q[axis] += 1e-4
            assert (noise3(*q, 3)[0] - value) / 1e-4 == pytest.approx(gradient[axis], abs=5e-3)
        assert abs(value) <= 1
    assert all(np.isfinite(relief_gradient(0.0, 0.5, 0.0, k, 1, 20.0)).all() for k in range(4))


def test_parts_join_with_their_own_indices():
    rng = np.random.default_rng(2)
    parts = [
        plain_subject(),
        blob([0, 0, -1], [0.3, 0.3, 0.3], rng, Material(np.ones(3), 1, 0.0)),
        garment(rng, -1, 0, 0.4),
        headgear(rng),
        *glasses(rng, np.array([0.2, 0, 0.8]), np.array([-0.2, 0, 0.8])),
    ]
    whole = joined(parts)
    assert whole.faces.max() == len(whole.vertices) - 1
    assert len(whole.uv) == len(whole.texture_id) == len(whole.faces)
    assert len(whole.weld) == len(whole.bump) == len(whole.kind) == len(whole.vertices)
    start = len(parts[0].vertices)
    alone = vertex_normals(parts[1].vertices, parts[1].faces, parts[1].weld)
    whole.update_normals()
    assert np.allclose(whole.normals[start : start + len(alone)], alone, atol=1e-6)


@pytest.mark.parametrize("name", ["blob", "headgear"])
def test_parts_face_outward(name):
    rng = np.random.default_rng(5)
    part = (
        headgear(rng)
        if name == "headgear"
        else blob([0, 0, 0], [1, 1, 1], rng, Material(np.ones(3), 0, 0), roughness=0)
    )
    normals = vertex_normals(part.vertices, part.faces, part.weld)
    outward = (part.vertices - part.vertices.mean(0)) * [1, 0, 1]  # of a brim, the upper side is outside
    walls = np.linalg.norm(normals[:, ::2], axis=1) > 0.7
    normals, outward = normals[walls], outward[walls]
    assert ((normals * outward).sum(-1) > 0).mean() > 0.9


def test_a_warp_is_smooth_and_moderate():
    vertices, faces = bumpy_ball()
    moved = warped(vertices, np.random.default_rng(1), 1.0)
    assert 0.003 < np.abs(moved - vertices).mean() < 0.15
    before, after = (vertex_normals(v, faces, weld_index(vertices)) for v in (vertices, moved))
    assert (before * after).sum(-1).min() > 0.3


@needs_data
def test_the_head_model_stands_where_the_avatars_stand():
    ict = load_ict(DATA / "ict_facekit.npz")
    assert np.allclose(ict.mean[ict.landmarks[30]], [0, -0.31, 0.87], atol=0.01)
    assert ict.identity.shape[1:] == ict.mean.shape and ict.faces.max() < len(ict.mean)
    normals = vertex_normals(ict.mean, ict.faces, ict.weld)
    assert normals[ict.landmarks[30], 2] > 0.7
    assert (ict.part == 6).sum() > 20 and (ict.part == 7).sum() > 4


@needs_data
def test_held_out_avatars_are_not_trained_on():
    from bridge.training.models import HELD_OUT

    names = {p.parent.name for p in (DATA / "training_heads").glob("*/head.json")}
    assert set(HELD_OUT) <= names
    assert {a.name for a in load_avatars(DATA / "training_heads", True)} == set(HELD_OUT)


def test_missing_data_is_named(tmp_path):
    with pytest.raises(ValueError, match="ict_facekit"):
        load_ict(tmp_path / "ict_facekit.npz")
