"""Sizes and places: the fields set the size of a rig from the start, and nothing but the rig and its heads moves."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import job as jobs
from skullptor_extension.skullptor_blender.scene import placing, profile, rigs

from .test_mesh_after import bust, head_of, portrait
from .test_scale import pixels, vertices_of

UP, FRONT = np.array([0.0, 0, 1]), np.array([0.0, -1, 0])


@pytest.fixture
def imported(capture):
    bpy.ops.skullptor.import_capture(filepath=str(capture))
    return bpy.context.scene.skullptor


def bystander() -> bpy.types.Object:
    """The scene's own camera, which is of no rig."""
    own = bpy.data.objects.new("own", bpy.data.cameras.new("own"))
    own.location = (3.0, 4.0, 5.0)
    bpy.context.scene.collection.objects.link(own)
    bpy.context.scene.camera = own
    return own


def face() -> tuple[np.ndarray, np.ndarray]:
    """A bust with two eyes, a nose and a chin, the same on both sides of X = 0."""
    vertices, faces = bust(240, 256)
    for place, out in (((-0.05, -0.08, 0.02), 0.03), ((0.05, -0.08, 0.02), 0.03), ((0.0, -0.08, -0.01), 0.03)):
        vertices[:, 1] -= out * np.exp(-((vertices - place) ** 2).sum(1) / 2e-4)
    return vertices, faces


def test_the_size_is_set_before_there_is_a_head_and_made_true_by_the_first(imported):
    own = bystander()
    assert 0.05 < imported.head_height < 1.0  # guessed from the photographs
    empty = rigs.empty(rigs.active(bpy.context.scene))
    before = empty.matrix_world.median_scale
    wished = 0.4 * imported.head_height
    imported.head_height = wished
    assert imported.head_height == pytest.approx(wished)
    assert empty.matrix_world.median_scale == pytest.approx(0.4 * before, rel=1e-5)
    bpy.ops.skullptor.reconstruct_head()
    assert imported.head_height == pytest.approx(wished, rel=1e-5)
    assert tuple(own.location) == (3.0, 4.0, 5.0)


def test_a_head_is_as_high_as_is_said_and_its_photographs_still_fit(imported):
    own = bystander()
    head = head_of(*face())
    head[rigs.KEY] = rigs.active(bpy.context.scene).id
    eyes = np.array([[0.03, -0.09, 0.02], [-0.03, -0.09, 0.02]])
    bpy.context.view_layer.update()
    shape = placing.study(vertices_of(head), UP, FRONT)
    placing.arrive(bpy.context.view_layer, head, shape, eyes, False)
    assert imported.eye_distance == pytest.approx(0.06)
    before, seen = vertices_of(head), pixels(vertices_of(head))
    imported.eye_distance = 0.066
    assert imported.eye_distance == pytest.approx(0.066)
    np.testing.assert_allclose(np.ptp(vertices_of(head), axis=0), 1.1 * np.ptp(before, axis=0), rtol=1e-5)
    np.testing.assert_allclose(pixels(vertices_of(head)), seen, atol=2e-3)
    moved = np.array(placing.moved(head))
    np.testing.assert_allclose(before @ moved[:3, :3].T + moved[:3, 3], vertices_of(head), atol=1e-6)
    assert tuple(own.location) == (3.0, 4.0, 5.0)
    other_height = imported.head_height
    imported.head_height = 2 * other_height
    assert imported.eye_distance == pytest.approx(2 * 0.066)  # both are of one head


def test_the_first_head_of_an_upright_rig_is_centred(imported, monkeypatch):
    """As the bridge delivers it: a head beside X = 0, turned."""
    vertices, faces = face()
    c, s = np.cos(0.12), np.sin(0.12)
    beside = vertices @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [0.03, 0.01, 0.0]
    arrays = {"vertices": beside, "faces": faces}
    monkeypatch.setattr(jobs.result_file, "load", lambda path: arrays)
    bpy.ops.skullptor.reconstruct_head()
    co = vertices_of(bpy.data.objects["Head"])
    part = vertices[:, 2] > -0.12
    scale = np.ptp(co[:, 2]) / np.ptp(vertices[:, 2])
    assert np.abs(co[:, 0] / scale - vertices[:, 0])[part].max() < 0.002
    # a second one does not move the rig under the artist's hands
    empty = rigs.empty(rigs.active(bpy.context.scene))
    before = empty.matrix_world.copy()
    bpy.ops.skullptor.reconstruct_head()
    assert empty.matrix_world == before


def test_a_collar_is_no_chin_where_the_eyes_are_known(imported):
    """It stands under the chin, a little behind it, and falls back more below than the chin does above it."""
    vertices, faces = portrait()
    front = (np.abs(vertices[:, 0]) < 0.08) & (vertices[:, 1] < 0)
    foremost = vertices[front & (np.abs(vertices[:, 2] + 0.075) < 0.005), 1].min()
    collar = front & (vertices[:, 2] > -0.107) & (vertices[:, 2] < -0.081)
    vertices[collar, 1] = np.minimum(vertices[collar, 1], foremost + 0.014)
    eyes = np.array([[0.031, -0.07, 0.035], [-0.031, -0.07, 0.035]])
    fooled = profile.head_height(vertices, UP, FRONT)
    assert fooled is None or fooled > 0.215
    assert profile.head_height(vertices, UP, FRONT, eyes) == pytest.approx(0.2, abs=0.01)
    head = head_of(vertices, faces)
    head[rigs.KEY] = rigs.active(bpy.context.scene).id
    bpy.context.view_layer.update()
    placing.arrive(bpy.context.view_layer, head, placing.study(vertices, UP, FRONT), eyes, False)
    assert imported.head_height == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("tilt", [0.0, 0.15])
def test_chin_to_crown_with_and_without_shoulders(tilt):
    vertices, _ = portrait()
    front = np.array([np.sin(tilt), -np.cos(tilt), 0.0])
    assert profile.head_height(vertices, UP, front) == pytest.approx(0.2, rel=0.05)
    assert profile.head_height(vertices[vertices[:, 2] > -0.15], UP, front) == pytest.approx(0.2, rel=0.05)
    assert profile.head_height(vertices[:50], UP, front) is None
