"""A mesh that works after: finite attributes, valid, cut cleanly at its neck, exported without a complaint."""

from __future__ import annotations

import json
import struct

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.scene import neck, profile, rigs
from skullptor_extension.skullptor_blender.scene import result as scene_result


def bust(rings: int = 120, around: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A head of 20 cm on a neck on shoulders with a ragged edge: a surface of revolution, flattened from front to
    back. The neck is narrowest at z = -0.14.
    """
    z = np.linspace(0.12, -0.30, rings)
    head = 0.10 * np.sqrt(np.clip(1 - (z / 0.121) ** 2, 0, 1))
    neck_ = 0.06 + 0.4 * (z + 0.14) ** 2
    shoulders = 0.06 + 0.19 * np.clip((-0.16 - z) / 0.08, 0, 1) ** 2
    radius = np.where(z > -0.08, np.maximum(head, 0.06), np.where(z > -0.16, neck_, shoulders))
    radius[0] = 1e-3
    # irregular, as a reconstructed mesh: an even grid is its own mirror image at many planes
    turn = np.cumsum(np.random.default_rng(1).uniform(0, np.pi / around, rings))[:, None]
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False) + turn
    x = radius[:, None] * np.cos(angle)
    y = 0.8 * radius[:, None] * np.sin(angle)
    ragged = z[:, None] + 0.02 * np.sin(7 * angle) * np.clip((-0.25 - z[:, None]) / 0.05, 0, 1)
    vertices = np.stack([x, y, ragged], -1).reshape(-1, 3)
    a = np.arange((rings - 1) * around).reshape(rings - 1, around)
    b = np.roll(a, -1, axis=1)
    c, d = a + around, b + around
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return vertices, faces.astype(np.int32)


def portrait() -> tuple[np.ndarray, np.ndarray]:
    """A bust with a person's proportions, 20 cm from chin to crown: a nose, and a chin at z = -0.08 over a throat."""
    vertices, faces = bust(300, 200)
    vertices[:, 0] *= 0.65
    jaw = np.clip((vertices[:, 2] + 0.08) / 0.012, 0, 1) * np.clip((0.02 - vertices[:, 2]) / 0.04, 0, 1)
    vertices[:, 1] -= 0.03 * jaw * np.exp(-((vertices[:, 0] / 0.03) ** 2)) * (vertices[:, 1] < 0)
    vertices[:, 1] -= 0.04 * np.exp(-(((vertices - [0.0, -0.08, -0.01]) / [0.02, 0.06, 0.02]) ** 2).sum(1))
    return vertices, faces


def head_of(vertices: np.ndarray, faces: np.ndarray) -> bpy.types.Object:
    count = len(vertices)
    arrays = {
        "vertices": vertices,
        "faces": faces,
        "color": np.full((count, 3), 100, np.uint8),
        "confidence": np.linspace(1, 0, count).astype(np.float32),
        "normal_error": np.where(np.arange(count) % 7, 3.0, np.nan).astype(np.float32),
    }
    made = scene_result.create(bpy.context.scene, bpy.context.view_layer, arrays, "Head", {scene_result.MARK: "1"})
    bpy.context.view_layer.objects.active = made
    return made


@pytest.fixture
def head():
    return head_of(*bust())


def values(mesh, name: str) -> np.ndarray:
    found = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes[name].data.foreach_get("value", found)
    return found


def test_no_attribute_holds_what_is_no_number(head):
    for name in ("confidence", "normal_error"):
        assert np.isfinite(values(head.data, name)).all()
    assert (values(head.data, "normal_error")[::7] == scene_result.UNSEEN).all()
    assert head.data.validate() is False


def test_a_bust_is_cut_where_its_neck_ends(head):
    normal, distance = profile.neck_plane(bust()[0], np.array([0.0, 0, 1]), np.array([0.0, -1, 0]))
    assert bpy.ops.skullptor.trim_at_neck() == {"FINISHED"}
    mesh = head.data
    z = np.array([v.co.z for v in mesh.vertices])
    assert -0.18 < z.min() < -0.15  # the shoulders begin at -0.16
    assert mesh.validate() is False
    assert {len(p.vertices) for p in mesh.polygons} == {3}
    faces_of = {edge.key: 0 for edge in mesh.edges}
    for polygon in mesh.polygons:
        for key in polygon.edge_keys:
            faces_of[key] += 1
    rim = {v for key, count in faces_of.items() if count == 1 for v in key}
    rim_at = np.array([normal @ mesh.vertices[i].co for i in rim])
    low = rim_at[rim_at < 0]
    assert len(low) >= 64
    assert np.abs(low - distance).max() < 1e-5  # a clean edge
    assert np.isfinite(values(mesh, "normal_error")).all()
    assert "color" in mesh.color_attributes


def test_the_cut_is_square_to_a_neck_that_leans_and_clears_the_chin():
    """A chin that hangs as deep as the neck is narrow: a level cut would go through it."""
    vertices, faces = portrait()
    head = head_of(vertices, faces)
    up, front = np.array([0.0, 0, 1]), np.array([0.0, -1, 0])
    chin = profile.chin(vertices, up, front)
    assert chin[2] == pytest.approx(-0.08, abs=0.01)
    assert bpy.ops.skullptor.trim_at_neck() == {"FINISHED"}
    co = np.array([v.co for v in head.data.vertices])
    normal, _ = profile.neck_plane(vertices, up, front)
    assert normal[2] > 0.9 and normal[1] < -0.3
    low = co @ normal
    rim = co[low < low.min() + 1e-5]
    assert len(rim) > 100  # a clean edge in one plane
    assert rim[rim[:, 1].argmin(), 2] < rim[rim[:, 1].argmax(), 2] - 0.01  # deeper in front
    assert low.min() < chin @ normal - 0.003
    assert head.data.validate() is False


def test_a_head_without_shoulders_loses_its_fringe_only():
    vertices, faces = bust()
    keep = vertices[:, 2] > -0.08
    count = int(keep.sum())
    faces = faces[(faces < count).all(1)]
    height = neck.level(vertices[:count], np.array([0.0, 0, 1]))
    assert -0.08 < height < -0.06


def test_gltf_export_holds_finite_numbers_only(head, tmp_path):
    target = tmp_path / "head.glb"
    bpy.ops.object.select_all(action="DESELECT")
    head.select_set(True)
    bpy.ops.export_scene.gltf(filepath=str(target), use_selection=True, export_attributes=True)
    data = target.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    body = json.loads(data[20 : 20 + length])
    binary = data[20 + length + 8 :]
    checked = 0
    for accessor in body["accessors"]:
        if accessor["componentType"] != 5126:
            continue
        view = body["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0)
        numbers = np.frombuffer(binary[start : start + view["byteLength"]], np.float32)
        assert np.isfinite(numbers).all()
        assert not any(isinstance(n, float) and n != n for n in accessor.get("min", []))
        checked += 1
    assert checked >= 3


def test_a_head_comes_to_stand_on_its_mirror_plane_with_its_rig(rig):
    """Features on both sides of a bust, then turned and moved as an import may leave it."""
    vertices, faces = bust(240, 256)
    for x in (-0.05, 0.05):
        lump = np.exp(-((vertices - [x, -0.08, 0.02]) ** 2).sum(1) / 2e-4)
        vertices[:, 1] -= 0.03 * lump
    nose = np.exp(-((vertices - [0.0, -0.08, -0.01]) ** 2).sum(1) / 2e-4)
    vertices[:, 1] -= 0.03 * nose
    straight = vertices.copy()
    c, s = np.cos(0.12), np.sin(0.12)
    vertices = vertices @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [0.03, 0.01, 0.0]
    head = head_of(vertices, faces)
    head["skullptor_rig"] = rigs.active(bpy.context.scene).id
    own = bpy.data.objects.new("own", bpy.data.cameras.new("own"))
    bpy.context.scene.collection.objects.link(own)
    before = rig[0].matrix_world.copy()
    relative = before.inverted() @ head.data.vertices[5].co
    assert bpy.ops.skullptor.centre_head() == {"FINISHED"}
    co = np.array([vertex.co for vertex in head.data.vertices])
    head_part = straight[:, 2] > -0.12
    assert np.abs(co[:, 0] - straight[:, 0])[head_part].max() < 0.002
    assert own.matrix_world.translation.length == 0
    assert (rig[0].matrix_world.inverted() @ head.data.vertices[5].co - relative).length < 1e-5
