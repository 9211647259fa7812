"""A solved sequence in the scene: one object, the cache plays, shapes and head move, frame numbers are kept."""

from __future__ import annotations

import json
import struct

import bpy
import numpy as np
import pytest

from .test_template import WRAPPED

FIRST, FRAMES = 101, 3
SHIFT = [[0, 0, 0], [0, 0, 0.5], [0, 0, 1.0]]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "take"
    made.mkdir()
    np.savez(made / "template.npz", **WRAPPED)
    points = WRAPPED["vertices"].astype("<f4")
    samples = [points + [0, 0.1 * i, 0] for i in range(FRAMES)]
    header = struct.pack("<12siiffi", b"POINTCACHE2\0", 1, len(points), float(FIRST), 1.0, FRAMES)
    (made / "point_cache.pc2").write_bytes(header + b"".join(sample.astype("<f4").tobytes() for sample in samples))
    body = {
        "first": FIRST, "frames": FRAMES, "interpolated": [], "unit_mm": 1000.0,
        "shapes": {"jawOpen": [0, 0.5, 1.0], "eyeBlinkLeft": [0, 0, 0]},
        "head": {"centre": [1, 0, 0], "rotation": [[0, 0, 0], [0, 0, 0], [0, 0, np.pi / 2]], "shift": SHIFT},
    }  # fmt: skip
    (made / "curves.json").write_text(json.dumps(body))
    return made


def evaluated(ob, frame):
    bpy.context.scene.frame_set(frame)
    found = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = found.to_mesh()
    points = np.array([found.matrix_world @ v.co for v in mesh.vertices])
    found.to_mesh_clear()
    return points


def test_the_object_plays_every_frame_where_it_was_taken(folder):
    before = set(bpy.data.objects)
    assert bpy.ops.skullptor.import_performance(filepath=str(folder / "point_cache.pc2")) == {"FINISHED"}
    (ob,) = set(bpy.data.objects) - before
    assert [len(p.vertices) for p in ob.data.polygons] == [4, 3]
    points = WRAPPED["vertices"]
    np.testing.assert_allclose(evaluated(ob, FIRST), points, atol=1e-5)
    np.testing.assert_allclose(evaluated(ob, FIRST + 1), points + [0, 0.1, 0.5], atol=1e-5)
    local = points + [0, 0.2, 0] - [1, 0, 0]
    turned = np.stack([-local[:, 1], local[:, 0], local[:, 2]], 1) + [1, 0, 1]
    np.testing.assert_allclose(evaluated(ob, FIRST + 2), turned, atol=1e-5)
    assert bpy.context.scene.frame_end >= FIRST + 2


def test_without_the_cache_the_shapes_play(folder):
    bpy.ops.skullptor.import_performance(filepath=str(folder))
    ob = bpy.context.view_layer.objects.active
    ob.modifiers[0].show_viewport = False
    bpy.context.scene.frame_set(FIRST + 1)
    keys = ob.data.shape_keys.key_blocks
    assert keys["jawOpen"].value == pytest.approx(0.5) and keys["eyeBlinkLeft"].value == 0
    assert evaluated(ob, FIRST + 1)[0, 2] == pytest.approx(0.125 + 0.5)  # half of the shape, and the head's shift


def test_a_folder_that_is_no_sequence_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="python -m bridge sequence"):
        bpy.ops.skullptor.import_performance(filepath=str(tmp_path))
