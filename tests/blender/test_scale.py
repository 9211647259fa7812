"""Set Scale: what fits together before fits together after, and two places are as far apart as was said."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np
import pytest

from .helpers import project, read_cameras


def vertices_of(ob) -> np.ndarray:
    co = np.empty(3 * len(ob.data.vertices), np.float32)
    ob.data.vertices.foreach_get("co", co)
    return co.reshape(-1, 3)


def pixels(points) -> np.ndarray:
    return np.stack([project(view.record, points) for view in read_cameras().usable])


@pytest.mark.parametrize("upright", [False, True])
def test_two_vertices_of_the_head(capture, upright):
    bpy.ops.skullptor.import_capture(filepath=str(capture), turn_upright=upright)
    assert not bpy.ops.skullptor.set_scale.poll()
    bpy.ops.skullptor.reconstruct_head()
    head = bpy.data.objects["Head"]
    before, seen = vertices_of(head), pixels(vertices_of(head))
    bpy.context.view_layer.objects.active = head
    bpy.ops.object.mode_set(mode="EDIT")
    edited = bmesh.from_edit_mesh(head.data)
    edited.verts.ensure_lookup_table()
    for vertex in edited.verts:
        vertex.select = vertex.index in (3, 900)
    assert bpy.ops.skullptor.set_scale(length=0.5) == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    after = vertices_of(head)
    assert np.linalg.norm(after[3] - after[900]) == pytest.approx(0.5, rel=1e-5)
    factor = 0.5 / np.linalg.norm(before[3] - before[900])
    np.testing.assert_allclose(np.ptp(after, axis=0), factor * np.ptp(before, axis=0), rtol=1e-4)
    np.testing.assert_allclose(after[3] + after[900], before[3] + before[900], atol=1e-5)  # about their middle
    assert head.matrix_world.is_identity
    np.testing.assert_allclose(pixels(after), seen, atol=2e-3)
    if not upright:
        assert all(np.allclose(ob.scale, 1, atol=1e-5) for ob in bpy.data.objects if ob.type == "CAMERA")


def test_two_objects_and_one_undo_step(rig):
    for name, x in (("left", -0.2), ("right", 0.2)):
        marker = bpy.data.objects.new(name, None)
        marker.location.x = x
        bpy.context.scene.collection.objects.link(marker)
        marker.select_set(True)
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="before")
    place = tuple(rig[0].location)
    bpy.ops.skullptor.set_scale("EXEC_DEFAULT", True, length=0.1)
    left, right = (bpy.data.objects[name].matrix_world.translation for name in ("left", "right"))
    assert (left - right).length == pytest.approx(0.1)
    np.testing.assert_allclose(bpy.data.objects["cam00"].location, np.array(place) / 4, rtol=1e-5)
    bpy.ops.ed.undo()
    np.testing.assert_allclose(bpy.data.objects["cam00"].location, place)


def test_the_default_is_that_of_pupils_in_any_unit(rig):
    bpy.context.scene.unit_settings.scale_length = 0.01
    for name, x in (("left", -20), ("right", 20)):
        marker = bpy.data.objects.new(name, None)
        marker.location.x = x
        bpy.context.scene.collection.objects.link(marker)
        marker.select_set(True)
    bpy.context.view_layer.update()
    bpy.ops.skullptor.set_scale()
    left, right = (bpy.data.objects[name].matrix_world.translation for name in ("left", "right"))
    assert (left - right).length == pytest.approx(6.3)


def test_the_same_place_twice_is_refused(rig):
    for name in ("a", "b"):
        marker = bpy.data.objects.new(name, None)
        bpy.context.scene.collection.objects.link(marker)
        marker.select_set(True)
    with pytest.raises(RuntimeError, match="the same"):
        bpy.ops.skullptor.set_scale()


def test_the_scenes_own_camera_stays_where_it_is(rig):
    own = bpy.data.objects.new("own", bpy.data.cameras.new("own"))
    bpy.context.scene.collection.objects.link(own)
    own.location = (7.0, -6.0, 5.0)
    for ob in bpy.context.selected_objects:
        ob.select_set(False)
    for ob in rig[:2]:
        ob.select_set(True)
    before = rig[0].location.copy()
    assert bpy.ops.skullptor.set_scale(length=1.0) == {"FINISHED"}
    assert (rig[0].location - before).length > 0.01
    assert tuple(own.location) == (7.0, -6.0, 5.0)
