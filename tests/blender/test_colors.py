"""The photographs' colours arrive on the head: a colour attribute in sRGB and one material that shows it."""

from __future__ import annotations

import bpy
import numpy as np
from skullptor_extension.skullptor_blender.scene import result as scene_result

ARRAYS = {
    "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "faces": np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32),
    "color": np.array([[255, 0, 0], [0, 128, 0], [0, 0, 255], [10, 20, 30]], np.uint8),
}


def test_colours_come_back_as_they_were_and_share_one_material():
    scene, layer = bpy.context.scene, bpy.context.view_layer
    first, second = (scene_result.create(scene, layer, ARRAYS, "Head", {scene_result.MARK: "1"}) for _ in range(2))
    attribute = first.data.color_attributes["color"]
    assert (attribute.domain, attribute.data_type) == ("POINT", "BYTE_COLOR")
    stored = np.empty(16, np.float32)
    attribute.data.foreach_get("color_srgb", stored)
    np.testing.assert_allclose(stored.reshape(4, 4)[:, :3] * 255, ARRAYS["color"], atol=0.51)
    assert first.data.materials[0] == second.data.materials[0]
    base = first.data.materials[0].node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    assert base.links[0].from_node.layer_name == "color"


def test_a_result_without_colours_has_no_material():
    scene, layer = bpy.context.scene, bpy.context.view_layer
    plain = {key: value for key, value in ARRAYS.items() if key != "color"}
    head = scene_result.create(scene, layer, plain, "Head", {scene_result.MARK: "1"})
    assert not head.data.materials and not head.data.color_attributes
