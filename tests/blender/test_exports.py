"""A head leaves Blender whole: glTF by Khronos' own validator, colours in glTF, OBJ, FBX and PLY."""

from __future__ import annotations

import bpy
import numpy as np
import pytest

from tests.support import gltf

from .test_mesh_after import bust, head_of


@pytest.fixture
def head():
    made = head_of(*bust(60, 40))
    colors = made.data.color_attributes["color"]
    rgba = np.ones((len(made.data.vertices), 4), np.float32)
    rgba[:, 0], rgba[:, 1] = np.linspace(0, 1, len(rgba)), 0.25
    colors.data.foreach_set("color_srgb", rgba.ravel())
    bpy.ops.object.select_all(action="DESELECT")
    made.select_set(True)
    return made


@pytest.mark.parametrize("step", ["as made", "trimmed", "confidence"])
def test_gltf_without_a_complaint_and_valid(head, tmp_path, capfd, step):
    if step == "trimmed":
        bpy.ops.skullptor.trim_at_neck()
    if step == "confidence":
        bpy.ops.skullptor.show_confidence(show="confidence")
    target = tmp_path / "head.glb"
    capfd.readouterr()
    assert bpy.ops.export_scene.gltf(filepath=str(target), use_selection=True, export_attributes=True) == {"FINISHED"}
    # 4.2 as a module lacks the library for compression, which is not used, and says so
    said = "\n".join(line for line in "".join(capfd.readouterr()).splitlines() if "Draco" not in line)
    assert "WARNING" not in said and "ERROR" not in said, said
    issues = gltf.report(target)["issues"]
    assert issues["numErrors"] == 0, issues["messages"]
    assert issues["numWarnings"] == 0, issues["messages"]


def test_obj_and_ply_carry_the_colours(head, tmp_path):
    target = tmp_path / "head.obj"
    bpy.ops.wm.obj_export(filepath=str(target), export_selected_objects=True, export_colors=True)
    rows = [line.split()[1:] for line in target.read_text().splitlines() if line.startswith("v ")]
    colors = np.array(rows, float)[:, 3:]
    assert colors.shape == (len(head.data.vertices), 3)
    np.testing.assert_allclose(colors[:, 0], np.linspace(0, 1, len(rows)), atol=0.01)
    target = tmp_path / "head.ply"
    bpy.ops.wm.ply_export(filepath=str(target), export_selected_objects=True, export_colors="SRGB", ascii_format=True)
    assert "property uchar red" in target.read_text().partition("end_header")[0]


def test_fbx_carries_the_colours(head, tmp_path):
    target = tmp_path / "head.fbx"
    bpy.ops.export_scene.fbx(filepath=str(target), use_selection=True, colors_type="SRGB")
    vertices = len(head.data.vertices)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(target), colors_type="SRGB")
    (back,) = [ob for ob in bpy.data.objects if ob.type == "MESH"]
    assert len(back.data.vertices) == vertices
    (attribute,) = back.data.color_attributes
    corner = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color_srgb", corner)
    assert np.ptp(corner.reshape(-1, 4)[:, 0]) > 0.9
