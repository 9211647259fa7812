"""What is seen of a rig and its head: where the view would stand, what is hidden, whose head is whose."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.scene import covers, rigs, subject
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.ui import panels, view

from .helpers import read_cameras, texts


def cube(size: float, place=(0.0, 0.0, 0.0), **keywords) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=size, location=place, **keywords)
    return bpy.context.active_object


def test_a_head_is_looked_at_from_its_front_with_its_top_up(rig):
    seen = subject.head_of(read_cameras().records)
    np.testing.assert_allclose(seen.center, 0, atol=0.05)
    np.testing.assert_allclose(seen.up, [0, 0, 1], atol=1e-6)
    assert 0.1 < seen.half_height < 1.2  # of cameras 2 m away
    axes = view.facing(seen)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) > 0.99
    assert axes[2, 1] > 0.9  # the view's up
    assert axes[:, 2] @ seen.front > 0.9


def test_the_growing_mesh_tells_how_large_the_head_is_and_a_stray_corner_does_not(rig):
    dice = np.random.default_rng(0)
    cloud = dice.uniform(-1, 1, (5000, 3)) * [0.08, 0.1, 0.13] + [0.0, 0.0, 1.6]
    cloud[0] = 50.0
    seen = subject.head_of(read_cameras().records, cloud)
    np.testing.assert_allclose(seen.center, [0, 0, 1.6], atol=0.01)
    assert seen.half_height == pytest.approx(0.13, rel=0.05)


def test_what_covers_the_head_is_hidden_and_shown_again(rig, draw):
    around, beside = cube(2.0), cube(0.2, (5.0, 0.0, 0.0))
    wire = cube(2.0)
    wire.display_type = "WIRE"
    layer = bpy.context.view_layer
    seen = subject.head_of(read_cameras().records)
    found = covers.covering(layer, seen.center, seen.radius)
    assert found == [around]
    covers.hide(layer, found)
    assert not around.visible_get() and beside.visible_get() and wire.visible_get()
    assert f"{around.name} hidden" in texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert bpy.ops.skullptor.show_covered() == {"FINISHED"}
    assert around.visible_get()
    assert covers.KEY not in around
    assert not bpy.ops.skullptor.show_covered.poll()


def test_a_script_without_a_window_hides_nothing_and_moves_no_view(rig):
    around = cube(2.0)
    bpy.ops.skullptor.reconstruct_head()
    assert around.visible_get()


def test_the_head_arrives_selected_and_active_but_nobody_is_torn_from_his_work(rig, monkeypatch):
    looked_at = []
    monkeypatch.setattr(view, "space", lambda context: True)
    monkeypatch.setattr(view, "untouched", lambda context: True)
    monkeypatch.setattr(view, "look_at", lambda context, seen: looked_at.append(seen))
    other = cube(0.1, (3.0, 0.0, 0.0))
    bpy.ops.skullptor.reconstruct_head()
    head = bpy.data.objects["Head"]
    assert bpy.context.view_layer.objects.active == head
    assert bpy.context.selected_objects == [head]
    bpy.context.view_layer.objects.active = other
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.skullptor.reconstruct_head()
    assert bpy.context.view_layer.objects.active == other
    assert len(looked_at) == 1  # for the first head only
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_head_belongs_to_its_rig(rig):
    bpy.ops.skullptor.reconstruct_head()
    used = rigs.active(bpy.context.scene)
    assert [ob.name for ob in scene_result.of_rig(used, bpy.context.view_layer)] == ["Head"]
    assert used.collection is not None
