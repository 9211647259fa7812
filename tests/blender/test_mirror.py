"""Mirrored sculpting on the demo head: what a stroke meets on one side it meets on the other."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils.bvhtree import BVHTree
from skullptor_extension.skullptor_blender.link import worker
from skullptor_extension.skullptor_blender.scene import placing, profile, rigs

from .helpers import BRIDGE, needs_bridge

CAPTURE = Path(__file__).resolve().parents[2] / "demo" / "capture"
UP, FRONT = np.array([0.0, 0, 1]), np.array([0.0, -1, 0])


@pytest.mark.slow
@needs_bridge
def test_the_demo_head_is_its_own_mirror_image_within_two_millimetres(monkeypatch):
    """The whole way: import, the real engine, centring. On the face, where strokes are mirrored: brow to chin."""
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(BRIDGE))
    monkeypatch.delenv(worker.COMMAND_VARIABLE)
    bpy.ops.skullptor.import_capture(filepath=str(CAPTURE), turn_upright=True)
    empty = rigs.empty(rigs.active(bpy.context.scene))
    beside = empty.matrix_world.copy()
    assert bpy.ops.skullptor.reconstruct_head(preset="draft") == {"FINISHED"}
    head = bpy.data.objects["Head"]
    assert empty.matrix_world != beside  # the rig went along
    co = placing.vertices_of(head.data).astype(float)
    height = profile.head_height(co, UP, FRONT)
    assert 0.2 < height < 0.27
    assert 0.058 < bpy.context.scene.skullptor.eye_distance < 0.068
    above_chin = co[:, 2] - (co[:, 2].max() - height)
    middle = np.median(co[above_chin > 0, 1])
    face = co[(above_chin > 0) & (above_chin < 0.6 * height) & (co[:, 1] < middle)]
    mesh = head.data
    mesh.calc_loop_triangles()
    tree = BVHTree.FromPolygons(co.tolist(), [tuple(triangle.vertices) for triangle in mesh.loop_triangles])
    off = 1000 * np.array([tree.find_nearest(point * [-1, 1, 1])[3] for point in face[::10]])
    print(f"mirrored face: {off.mean():.2f} mm, 95 % below {np.percentile(off, 95):.2f}, worst {off.max():.2f}")
    assert np.percentile(off, 95) < 2.0
