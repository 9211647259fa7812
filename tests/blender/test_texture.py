"""Texture maps in Blender: the material wears them, packed or beside the file, and exports keep them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.headless import options, tasks
from skullptor_extension.skullptor_blender.link import job, session
from skullptor_extension.skullptor_blender.operators import texture
from skullptor_extension.skullptor_blender.scene import eyes, materials
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.scene import template as scene_template
from skullptor_extension.skullptor_blender.ui import panels

from tests.support import gltf

from .test_result import ARRAYS
from .test_template import WRAPPED


def write_image(path: Path, color) -> None:
    image = bpy.data.images.new("made", 8, 8)
    image.pixels.foreach_set(np.tile(np.array([*color, 1], np.float32), 64))
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


@pytest.fixture()
def folder(tmp_path) -> Path:
    """What `python -m bridge texture` leaves: a square of two triangles with an albedo and a normal map."""
    made = tmp_path / "texture"
    made.mkdir()
    write_image(made / "albedo.png", (0.8, 0.2, 0.1))
    write_image(made / "normal.png", (0.5, 0.5, 1.0))
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = vertices[:, [0, 2]].astype(np.float32)
    np.savez(made / "textured.npz", vertices=vertices, faces=faces, uv=uv, faces_uv=faces)
    (made / "texture.json").write_text(json.dumps({"maps": {"albedo": ["albedo.png"], "normal": ["normal.png"]}}))
    return made


def load(folder, packed=True):
    return materials.load(bpy.context.scene, bpy.context.view_layer, folder, "Head", packed)


@pytest.mark.parametrize("packed", [True, False])
def test_the_material_wears_the_maps(folder, packed):
    ob = load(folder, packed)
    uv = np.empty(2 * len(ob.data.loops), np.float32)
    ob.data.uv_layers.active.uv.foreach_get("vector", uv)
    assert np.allclose(uv.reshape(-1, 2)[[0, 1, 2, 5]], [[0, 0], [1, 0], [1, 1], [0, 1]])
    (material,) = ob.data.materials
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    albedo = shader.inputs["Base Color"].links[0].from_node.image
    normal = shader.inputs["Normal"].links[0].from_node.inputs["Color"].links[0].from_node.image
    assert albedo.colorspace_settings.name == "sRGB" and normal.colorspace_settings.name == "Non-Color"
    assert bool(albedo.packed_file) is packed and shader.inputs["Subsurface Weight"].default_value > 0
    assert material.node_tree.nodes.active.image == albedo  # what solid view shows


def sources(ob) -> dict[str, bpy.types.Image]:
    """Which images feed the colour and the normal of an object's only material."""
    (material,) = ob.data.materials
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    color, normal = (shader.inputs[name].links[0].from_node for name in ("Base Color", "Normal"))
    while normal.type != "TEX_IMAGE":  # a normal map node, and what an importer puts before it
        normal = next(socket.links[0].from_node for socket in normal.inputs if socket.is_linked)
    return {"albedo": color.image, "normal": normal.image}


@pytest.mark.parametrize("kind", ["gltf", "usd"])
def test_exports_keep_the_maps(folder, tmp_path, kind):
    """Khronos' validator has no complaint, and what is read back wears the same colours and normals."""
    ob = load(folder)
    ob.select_set(True)
    path = tmp_path / ("head.glb" if kind == "gltf" else "head.usdc")
    if kind == "gltf":
        bpy.ops.export_scene.gltf(filepath=str(path), use_selection=True, export_tangents=True)
    else:
        bpy.ops.wm.usd_export(filepath=str(path), selected_objects_only=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if kind == "gltf":
        bpy.ops.import_scene.gltf(filepath=str(path))
    else:
        bpy.ops.wm.usd_import(filepath=str(path))
    (back,) = (ob for ob in bpy.data.objects if ob.type == "MESH")
    found = sources(back)
    assert found["albedo"].pixels[:3] == pytest.approx((0.8, 0.2, 0.1), abs=0.01)
    assert found["normal"].pixels[:3] == pytest.approx((0.5, 0.5, 1.0), abs=0.01)
    assert found["normal"].colorspace_settings.name == "Non-Color"
    uv = np.empty(2 * len(back.data.loops), np.float32)
    back.data.uv_layers.active.uv.foreach_get("vector", uv)
    assert sorted(set(map(tuple, uv.reshape(-1, 2).round(3)))) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    if kind == "gltf":
        issues = gltf.report(path)["issues"]
        assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


def test_a_mesh_that_changed_is_refused_and_says_what_did(folder):
    ob = load(folder)
    before = materials.shape_of(ob.data)
    other = bpy.data.objects.new("other", bpy.data.meshes.new("other"))
    other.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    assert materials.difference(other.data, before) == (
        "it has 3 instead of 4 vertices and 3 instead of 6 corners and 1 instead of 2 faces"
    )
    with pytest.raises(materials.NoTexture, match="made for another mesh than 'other'"):
        materials.dress(bpy.context.scene, other, folder, True)


def test_a_folder_without_its_maps_says_which(folder, tmp_path):
    (folder / "normal.png").unlink()
    with pytest.raises(materials.NoTexture, match="'normal.png' is gone"):
        load(folder)
    with pytest.raises(materials.NoTexture, match="no texture.json"):
        materials.read_maps(tmp_path / "nothing")


@pytest.fixture()
def wrapped():
    """A template of a square of skin and an eye, on a head."""
    head = scene_result.create(bpy.context.scene, bpy.context.view_layer, ARRAYS, "Head", {scene_result.MARK: "1"})
    made = scene_template.create(head, WRAPPED, "Head hm08", {scene_template.KEY: "hm08", scene_template.OF: head.name})
    head.hide_set(True)
    bpy.context.view_layer.objects.active = made
    return made


@pytest.mark.parametrize("details", ["none", "shape", "all"])
def test_a_wrapped_template_takes_colours_and_details_of_its_head(
    wrapped, rig, folder, tmp_path, monkeypatch, draw, details
):
    """Its skin alone; one photograph is not asked; eyes keep their material."""
    settings = bpy.context.scene.skullptor_texture
    settings.details, settings.vignetting, settings.deep = details, details == "all", details == "all"
    eye = wrapped.data.materials[1]
    assert "details" in [args[1] for call, args, _ in draw(panels.SKULLPTOR_PT_texture) if call == "prop"]
    cameras = [ob for ob in bpy.data.objects if ob.type == "CAMERA"]
    cameras[1].data.skullptor.texture = False
    ticks = [args for call, args, _ in draw(panels.SKULLPTOR_PT_texture_photographs) if call == "prop"]
    assert len(ticks) == len(cameras)
    masks = [args for call, args, _ in draw(panels.SKULLPTOR_PT_texture_photographs) if call == "operator"]
    assert masks.count(("skullptor.edit_mask",)) == len(cameras)
    asked = {}

    class Caught:
        state, running, cancelled_at, error, title = job.FINISHED, False, None, None, "Texture Head"

        def __init__(self, title, interpreter, root, arguments, log, prepare, **keywords):
            prepare()
            asked["arguments"] = arguments
            asked["faces"] = [line for line in Path(arguments[1]).read_text().splitlines() if line.startswith("f ")]
            shutil.copytree(folder, arguments[arguments.index("-o") + 1])

    monkeypatch.setattr(texture, "BridgeCommand", Caught)
    monkeypatch.setattr(texture.preferences, "interpreter", lambda *_: tmp_path)
    bpy.ops.skullptor.texture_head()
    given = asked["arguments"]
    assert len(asked["faces"]) == 1  # the eye's triangle stays at home
    assert given[given.index("--without") + 1 :] == [cameras[1].name]
    assert ("--vignetting" in given, "--bits" in given) == (details == "all",) * 2
    assert ("--detail-from" in given, "--extras" in given) == (details != "none", details == "all")
    assert wrapped.data.materials[1] == eye and wrapped.data.materials[0].name == "Head hm08 Skin"


class Textured:
    """A bridge that has baked: it copies a folder to where maps were asked for."""

    state, running, cancelled_at, error, title = job.FINISHED, False, None, None, "Texture Head"
    maps: Path

    def __init__(self, title, interpreter, root, arguments, log, prepare, **keywords):
        prepare()
        shutil.copytree(self.maps, arguments[arguments.index("-o") + 1])


@pytest.fixture()
def baked(folder, monkeypatch):
    monkeypatch.setattr(Textured, "maps", folder, raising=False)
    monkeypatch.setattr(texture, "BridgeCommand", Textured)
    monkeypatch.setattr(texture.preferences, "interpreter", lambda *_: folder)
    return folder


def test_maps_that_are_not_packed_lie_beside_the_scene(wrapped, rig, baked, tmp_path):
    bpy.context.scene.skullptor_texture.packed = False
    with pytest.raises(RuntimeError, match="Maps beside the file need a file. Save the scene first"):
        bpy.ops.skullptor.texture_head()
    (tmp_path / "work").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "work" / "scene.blend"))
    bpy.ops.skullptor.texture_head()
    (node,) = [
        n for n in wrapped.data.materials[0].node_tree.nodes if n.type == "TEX_IMAGE" and "albedo" in n.image.name
    ]
    assert node.image.filepath == "//Head_hm08_texture/albedo.png"
    bpy.ops.wm.save_mainfile()
    (tmp_path / "work").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    image = next(image for image in bpy.data.images if "albedo" in image.name)
    assert image.has_data or image.pixels[0] == pytest.approx(0.8, abs=0.01)


def test_a_displaced_template_has_the_heights_of_its_head(wrapped, rig, baked):
    """Half a unit everywhere: the skin moves along its normals, the eye does not; a second time nothing is doubled."""
    heights = bpy.data.images.new("heights", 8, 8, float_buffer=True)
    heights.pixels.foreach_set(np.tile(np.array([-0.5, -0.5, -0.5, 1], np.float32), 64))
    heights.filepath_raw, heights.file_format = str(baked / "displacement.exr"), "OPEN_EXR"
    heights.save()
    names = ("albedo", "normal", "displacement")
    files = {name: [f"{name}.exr" if name == "displacement" else f"{name}.png"] for name in names}
    (baked / "texture.json").write_text(json.dumps({"maps": files}))
    settings = bpy.context.scene.skullptor_texture
    settings.details = "displaced"
    for _ in range(2):
        bpy.ops.skullptor.texture_head()
        assert [modifier.type for modifier in wrapped.modifiers] == ["SUBSURF", "DISPLACE"]
    shader = next(n for n in wrapped.data.materials[0].node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    assert not shader.inputs["Normal"].is_linked
    assert wrapped.modifiers[0].uv_smooth == "NONE"

    def height():  # of the skin's lowest place; the template's square lies at Z = 0 and looks up
        mesh = wrapped.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
        return min(v.co.z for v in mesh.vertices if v.co.x < 0.5)

    assert height() < -0.3
    settings.details = "shape"
    bpy.ops.skullptor.texture_head()
    assert not wrapped.modifiers and height() == pytest.approx(0, abs=0.01)


def test_the_batch_textures_its_head_and_keeps_the_maps(rig, baked, tmp_path, monkeypatch):
    def reconstruct(*_, **__):
        head = scene_result.create(bpy.context.scene, bpy.context.view_layer, ARRAYS, "Head", {scene_result.MARK: "1"})
        (tmp_path / "run.ply").write_bytes(b"ply")
        return session.Outcome(True, "a head", object_name=head.name, result=str(tmp_path / "run.npz"))

    plain = tasks.call
    monkeypatch.setattr(
        tasks,
        "call",
        lambda operator, **words: (reconstruct if "reconstruct" in repr(operator) else plain)(operator, **words),
    )
    asked = options.parser().parse_args(["--texture", "2048", "--ply", str(tmp_path / "out" / "a.ply")])
    (tmp_path / "out").mkdir()
    # a head of the folder's two triangles, which have UVs of their own there
    with np.load(baked / "textured.npz") as made:
        monkeypatch.setitem(ARRAYS, "vertices", made["vertices"])
        monkeypatch.setitem(ARRAYS, "faces", made["faces"])
    head, said, trouble = tasks.one(asked, None, 4)
    assert (said, trouble) == ("a head, 'Head' wears its photographs", "")
    assert head.data.materials[0].name == "Head Skin" and bpy.context.scene.skullptor_texture.size == "2048"
    assert {"albedo.png", "normal.png"} <= {path.name for path in (tmp_path / "out" / "a_texture").iterdir()}
    with pytest.raises(tasks.Trouble, match="--texture belongs to --task reconstruct"):
        options.check_usage(options.parser().parse_args(["--texture", "2048", "--task", "check"]))


def test_a_templates_eyes_have_the_iris_that_the_head_shows(tmp_path):
    """Two balls behind lids, a head whose vertices are green before the irises and white beside them."""
    vertices, faces, centers = [], [], np.array([[0.03, 0, 0], [-0.03, 0, 0]])
    for center in centers:  # a ball of rings around the gaze, which is -Y
        start = len(vertices)
        for ring in np.linspace(0.2, np.pi - 0.2, 9):
            for turn in np.arange(12) * np.pi / 6:
                offset = [np.sin(ring) * np.cos(turn), -np.cos(ring), np.sin(ring) * np.sin(turn)]
                vertices.append(center + 0.012 * np.array(offset))
        faces += [
            [
                start + 12 * r + k,
                start + 12 * r + (k + 1) % 12,
                start + 12 * r + 12 + (k + 1) % 12,
                start + 12 * r + 12 + k,
            ]
            for r in range(8)
            for k in range(12)
        ]
    count = len(vertices)
    lids = [c + [0, -0.013, s] for c in centers for s in (-0.004, 0.004)]
    vertices += [*lids, [0, -0.013, 0.02]]
    faces += [[count, count + 1, count + 4, -1], [count + 2, count + 3, count + 4, -1]]
    part = np.array([1] * 108 + [2] * 108 + [0] * 5, np.uint8)
    arrays = {
        "vertices": np.array(vertices), "faces": np.array(faces, np.int32), "part": part,
        "uv": np.zeros((count + 5, 2), np.float32), "faces_uv": np.array(faces, np.int32),
        "part_names": np.array(["skin", "eye_left", "eye_right"]), "region_lids": np.arange(count + 5) >= count,
        "shapes": np.zeros((0, count + 5, 3), np.float32), "shape_names": np.array([], "U4"),
        "distance": np.zeros(count + 5, np.float32),
    }  # fmt: skip
    x, z = np.meshgrid(np.linspace(-0.05, 0.05, 101), np.linspace(-0.01, 0.01, 21))
    front = np.stack([x, np.full_like(x, -0.0125), z], -1).reshape(-1, 3)
    green = (np.linalg.norm(front[:, None] - centers - [0, -0.0125, 0], axis=-1) < 0.0062).any(1)
    color = np.where(green[:, None], [60, 120, 70], [225, 220, 215]).astype(np.uint8)
    plate = {"vertices": front, "faces": np.array([[0, 1, 102]], np.int32), "color": color}
    head = scene_result.create(bpy.context.scene, bpy.context.view_layer, plate, "Head", {scene_result.MARK: "1"})
    ob = scene_template.create(head, arrays, "Head own", {scene_template.KEY: "own", scene_template.OF: head.name})
    before = ob.data.uv_layers.active.name
    assert eyes.dress(ob, head, 1.0, None)
    skin, left, right = ob.data.materials
    assert left == right != skin and ob.data.uv_layers.active.name == before
    image = next(node.image for node in left.node_tree.nodes if node.type == "TEX_IMAGE")
    picture = np.array(image.pixels).reshape(eyes.SIZE, eyes.SIZE, 4)[..., :3]
    uv = np.empty(2 * len(ob.data.loops), np.float32)
    ob.data.uv_layers.active.uv.foreach_get("vector", uv)  # the only ones that Solid view shows
    corners = np.array([loop.vertex_index for loop in ob.data.loops])

    def shown(degrees):  # the colour on the picture, so far off the gaze
        row = int(eyes.SIZE * (0.5 + degrees / 180))
        return picture[eyes.SIZE // 2, row]

    assert shown(0).max() < 0.1  # the pupil
    assert shown(18) == pytest.approx(np.array([60, 120, 70]) / 255, abs=0.03)  # asin(5.9 / 12) is 29 degrees
    assert shown(45) == pytest.approx(eyes.SCLERA, abs=0.01)
    # the corners of a ring lie as far from the picture's middle as the ring is off the gaze
    ring = np.isin(corners, np.arange(24, 36))
    assert len(ob.data.uv_layers) == 1 and not any(node.type == "UVMAP" for node in left.node_tree.nodes)
    uv = uv.reshape(-1, 2)
    assert uv[corners < 216, 0].min() >= 1 > uv[corners >= 216, 0].max()  # in a tile beside the skin's
    apart = np.linalg.norm(uv[ring] - [1.5, 0.5], axis=1)
    assert np.degrees(apart * np.pi) == pytest.approx(np.degrees(np.linspace(0.2, np.pi - 0.2, 9)[2]), abs=1)
    # without lids there is no telling where it looks
    ob.vertex_groups.remove(ob.vertex_groups["lids"])
    assert not eyes.dress(ob, head, 1.0, None)


def test_tiles_become_one_image_that_stays_with_the_file(folder, tmp_path):
    """UDIM: a template of two tiles, packed and saved, opened elsewhere."""
    for number, color in ((1001, (0.8, 0.2, 0.1)), (1002, (0.1, 0.6, 0.2))):
        write_image(folder / f"albedo.{number}.png", color)
    body = {"maps": {"albedo": ["albedo.1001.png", "albedo.1002.png"]}}
    (folder / "texture.json").write_text(json.dumps(body))
    ob = load(folder)
    image = ob.data.materials[0].node_tree.nodes.active.image
    assert image.source == "TILED" and [tile.number for tile in image.tiles] == [1001, 1002]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "tiled.blend"))
    shutil.rmtree(folder)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "tiled.blend"))
    (image,) = [image for image in bpy.data.images if "albedo" in image.name]
    assert len(image.packed_files) == 2 and [tile.number for tile in image.tiles] == [1001, 1002]


def test_without_any_photograph_the_cure_is_told(wrapped, rig, unchanged):
    for ob in bpy.data.objects:
        if ob.type == "CAMERA":
            ob.data.skullptor.texture = False
    with pytest.raises(RuntimeError, match=r"No photograph may give colours.*Tick some"):
        bpy.ops.skullptor.texture_head()


def test_the_panel_shows_the_controls(folder, draw):
    load(folder)
    assert panels.SKULLPTOR_PT_texture.poll(bpy.context)
    log = draw(panels.SKULLPTOR_PT_texture)
    shown = [args[1] for call, args, _ in log if call == "prop"]
    switches = ["equalise", "vignetting", "fill", "back_faces", "delight", "deep", "packed"]
    assert shown == ["size", "frontal", "silhouette", *switches]
    assert ("skullptor.texture_head",) in [args for call, args, _ in log if call == "operator"]
