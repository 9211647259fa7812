"""Sculpt Mesh: quads with Multires that carry the head's detail, made by a Blender of its own."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from mathutils.bvhtree import BVHTree
from skullptor_extension.skullptor_blender.link import session
from skullptor_extension.skullptor_blender.scene import quads, sculpt

from .test_mesh_after import bust, head_of

PLACE = np.array([1.0, -2.0, 3.0])


def wrinkled() -> tuple[np.ndarray, np.ndarray]:
    """A bust with folds of three millimetres, which quads of half a centimetre cannot show by themselves."""
    vertices, faces = bust(150, 140)
    fold = 0.0015 * np.sin(vertices[:, 2] * 400) * (vertices[:, 2] > -0.1)
    vertices[:, :2] *= 1 + fold[:, None] / np.maximum(np.linalg.norm(vertices[:, :2], axis=1, keepdims=True), 0.02)
    return vertices, faces


def distances_mm(vertices: np.ndarray, ob: bpy.types.Object) -> np.ndarray:
    """From points of the world to what the object looks like with its modifiers."""
    bpy.context.view_layer.update()
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    tree = BVHTree.FromPolygons(
        [evaluated.matrix_world @ v.co for v in mesh.vertices], [p.vertices for p in mesh.polygons]
    )
    return 1000 * np.array([tree.find_nearest(point)[3] for point in vertices])


@pytest.fixture(scope="module")
def arrays():
    return wrinkled()


def test_quads_carry_the_heads_detail(fresh, arrays):
    head = head_of(*arrays)
    head.location = PLACE
    bpy.context.view_layer.update()
    assert bpy.ops.skullptor.sculpt_mesh(faces="5000") == {"FINISHED"}
    made = bpy.context.view_layer.objects.active
    assert sculpt.is_sculpt(made) and made.select_get()
    assert {len(face.vertices) for face in made.data.polygons} == {4}
    assert 3500 < len(made.data.polygons) < 6500
    modifier = made.modifiers[quads.MODIFIER]
    assert modifier.type == "MULTIRES"
    assert len(made.data.polygons) * 4**modifier.total_levels >= len(head.data.vertices)
    assert made.data.validate() is False
    assert "color" in made.data.color_attributes
    assert head.hide_get()  # it stays, and nothing else is left behind
    assert not bpy.data.libraries
    assert {ob.name for ob in bpy.data.objects} == {"Head", "Head Sculpt"}
    folds = arrays[0][np.abs(arrays[0][:, 2]) < 0.08][::7]
    folds += PLACE
    carried = distances_mm(folds, made)
    assert np.mean(carried) < 0.2  # the facets of the bust itself are wider than those of a head
    modifier.levels = 0
    assert np.mean(distances_mm(folds, made)) > 2 * np.mean(carried)  # it is the Multires that carries it


def test_what_has_no_surface_is_told_in_one_sentence(fresh):
    head = head_of(*bust(8, 8))
    head.data.clear_geometry()
    with pytest.raises(RuntimeError, match="no quads can be laid"):
        bpy.ops.skullptor.sculpt_mesh()
    assert session.outcome.code == "bridge"


def test_as_many_levels_as_the_head_is_dense():
    assert quads.levels_for(100_000, 5_000) == 3
    assert quads.levels_for(100_000, 20_000) == 2
    assert quads.levels_for(1_000, 20_000) == 1
    assert quads.levels_for(5_000_000, 5_000) == quads.MOST_LEVELS
