"""A rig is a thing: two imports never mix, each keeps its settings and heads, a camera can be left out."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import session
from skullptor_extension.skullptor_blender.operators import import_cameras, photographs
from skullptor_extension.skullptor_blender.scene import result as scene_result
from skullptor_extension.skullptor_blender.scene import rigs
from skullptor_extension.skullptor_blender.ui import disk_cache, panels

from .helpers import photo, read_cameras, texts, write_capture


@pytest.fixture
def two(tmp_path):
    """Two people, imported one after the other, with photographs of different sizes."""
    disk_cache.forget()
    for name, views, size in (("Anna", 4, (64, 48)), ("Bela", 3, (48, 64))):
        folder = write_capture(tmp_path / name, views, size)
        text = (folder / "capture.json").read_text().replace('"name": "rig"', f'"name": "{name}"')
        (folder / "capture.json").write_text(text)
        bpy.ops.skullptor.import_capture(filepath=str(folder))
    return {rig.name: rig.id for rig in rigs.rigs(bpy.context.scene)}


def coordinates(ob) -> np.ndarray:
    found = np.empty(3 * len(ob.data.vertices), np.float32)
    ob.data.vertices.foreach_get("co", found)
    return found


def test_a_second_import_is_in_use_and_the_first_one_is_not_mixed_in(two, draw):
    assert list(two) == ["Anna", "Bela"]
    assert [view.camera for view in read_cameras().usable] == ["cam00.001", "cam01.001", "cam02.001"]
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert "3 cameras ready" in said
    assert "Anna" in said
    assert bpy.ops.skullptor.use_rig(rig=two["Anna"]) == {"FINISHED"}
    assert "4 cameras ready" in texts(draw(panels.SKULLPTOR_PT_reconstruct))
    # the frame that its cameras were calibrated in is back as well
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y) == (64, 48)
    assert not [finding for finding in read_cameras().findings if finding.severity != "INFO"]


def test_each_rig_keeps_its_settings(two):
    settings = bpy.context.scene.skullptor
    settings.preset, settings.mask_folder = "fine", "/masks of Bela"
    bpy.ops.skullptor.use_rig(rig=two["Anna"])
    assert (settings.preset, settings.mask_folder) == ("standard", "")
    settings.refine_cameras = False
    bpy.ops.skullptor.use_rig(rig=two["Bela"])
    assert (settings.preset, settings.mask_folder, settings.refine_cameras) == ("fine", "/masks of Bela", True)


def test_the_first_rigs_head_is_untouched_by_the_seconds(two):
    bpy.ops.skullptor.use_rig(rig=two["Anna"])
    bpy.ops.skullptor.reconstruct_head()
    first = bpy.data.objects["Head"]
    before = coordinates(first)
    bpy.ops.skullptor.use_rig(rig=two["Bela"])
    assert not first.visible_get()
    bpy.ops.skullptor.reconstruct_head()
    second = bpy.data.objects[session.outcome.object_name]
    assert not first.hide_render  # not taken for an older head of the same person
    np.testing.assert_array_equal(coordinates(first), before)
    bpy.ops.skullptor.use_rig(rig=two["Anna"])
    assert first.visible_get()
    assert not second.visible_get()
    used = rigs.active(bpy.context.scene)
    assert scene_result.of_rig(used, bpy.context.view_layer) == [first]
    # their cameras are hidden and shown with them
    cameras = [ob for ob in bpy.data.objects if ob.type == "CAMERA"]
    assert {ob.name for ob in cameras if ob.visible_get()} == {f"cam{i:02d}" for i in range(4)}


def test_what_was_made_of_a_head_comes_and_goes_with_its_rig(two):
    bpy.ops.skullptor.use_rig(rig=two["Anna"])
    bpy.ops.skullptor.reconstruct_head()
    head = bpy.data.objects["Head"]
    sculpt = bpy.data.objects.new("Head Sculpt", head.data.copy())
    sculpt[scene_result.SCULPT_OF], sculpt[rigs.KEY] = head.name, head[rigs.KEY]
    bpy.context.scene.collection.objects.link(sculpt)
    head.hide_set(True)
    bpy.ops.skullptor.use_rig(rig=two["Bela"])
    assert not sculpt.visible_get()
    bpy.context.view_layer.objects.active = sculpt
    assert not panels.SKULLPTOR_PT_result.poll(bpy.context)  # not of this rig
    bpy.ops.skullptor.use_rig(rig=two["Anna"])
    assert sculpt.visible_get() and not head.visible_get()  # as it was left


def test_the_artists_own_cameras_are_a_rig_as_well(capture, two):
    data = bpy.data.cameras.new("own")
    own = bpy.data.objects.new("own", data)
    bpy.context.scene.collection.objects.link(own)
    assert len(rigs.rigs(bpy.context.scene)) == 2  # a camera without a photograph, such as a new file's, is none
    data.show_background_images = True
    data.background_images.new().image = bpy.data.images.load(str(capture / "images" / "cam00.png"))
    assert [rig.id for rig in rigs.rigs(bpy.context.scene)] == ["", two["Anna"], two["Bela"]]
    bpy.ops.skullptor.use_rig(rig="")
    assert [view.camera for view in read_cameras().views] == ["own"]


def test_a_rig_that_is_deleted_leaves_the_other_in_use(two):
    bpy.data.collections.remove(bpy.data.collections["Bela"])
    assert rigs.active(bpy.context.scene).name == "Anna"


def test_a_tick_or_hiding_leaves_a_camera_out_but_hiding_all_does_not(rig):
    rig[0].data.skullptor.use = False
    assert [view.camera for view in read_cameras().views] == ["cam01", "cam02", "cam03"]
    rig[0].data.skullptor.use = True
    rig[1].hide_set(True)
    assert [view.camera for view in read_cameras().views] == ["cam00", "cam02", "cam03"]
    for ob in rig:
        ob.hide_set(True)
    assert len(read_cameras().views) == 4


def test_cameras_and_photographs_go_out_of_the_way_and_stay_in_use(rig):
    scene, layer = bpy.context.scene, bpy.context.view_layer
    assert scene.skullptor.show_cameras
    scene.skullptor.show_cameras = False
    assert rigs.layer_collection(layer, rigs.active(scene).collection).hide_viewport
    assert not any(ob.visible_get() for ob in rig)
    background = rig[0].data.background_images[0]
    scene.skullptor.photograph_blend = 0.4
    assert (background.display_depth, round(background.alpha, 3)) == ("FRONT", 0.4)
    scene.skullptor.photograph_blend = 0.0
    assert (background.display_depth, background.alpha) == ("BACK", 1.0)
    scene.skullptor.show_photographs = False
    assert background.alpha == 0.0
    assert len(read_cameras().usable) == 4


def test_the_empty_of_a_rig_does_not_stand_in_the_way(capture):
    bpy.ops.skullptor.import_capture(filepath=str(capture))
    empty = bpy.data.objects["Rig"]
    assert empty.hide_select
    assert empty.empty_display_type == "PLAIN_AXES"
    assert empty.empty_display_size * max(empty.scale) < 0.05
    assert not empty.show_name


class Door:
    """The decision of the one door, without a file browser."""

    def __init__(self, path, anew=False):
        self.anew = anew
        self.filepath, self.directory, self.format = str(path), "", import_cameras.AUTO
        cls = photographs.SKULLPTOR_OT_add_photographs
        self.chosen, self.kind = cls.chosen.__get__(self), cls.kind.__get__(self)


def test_one_door_tells_cameras_from_photographs(tmp_path, capture):
    assert Door(capture).kind() == "cameras"
    assert Door(capture / "capture.json").kind() == "cameras"
    assert Door(capture, anew=True).kind() == "photographs"  # where both are, the browser asks
    photos = tmp_path / "photos"
    picture = photo(photos / "a.png", 8, 8)
    assert Door(photos).kind() == "photographs"
    assert Door(capture / "images").chosen() == capture  # its photographs have their cameras already
    assert Door(capture / "images" / "cam00.png").kind() == "cameras"
    assert Door(tmp_path / "nothing").kind(photos) == "photographs"  # where the browser has gone
    assert Door(picture).chosen() == photos
    assert Door(picture).kind() == "photographs"
    assert Door(tmp_path / "nothing").kind() == ""


def test_the_door_imports(capture):
    assert bpy.ops.skullptor.add_photographs(filepath=str(capture)) == {"FINISHED"}
    assert len(read_cameras().usable) == 4
    with pytest.raises(RuntimeError, match="no file"):
        bpy.ops.skullptor.add_photographs(filepath=str(capture / "nothing"))


def test_the_demo_is_one_click():
    assert bpy.ops.skullptor.import_demo() == {"FINISHED"}
    assert len(read_cameras().usable) == 10


def test_a_first_save_brings_the_photographs_out_of_the_cache(tmp_path, capture, draw):
    cache = tmp_path / "runs" / "captures"
    kept = cache / "head"
    kept.parent.mkdir(parents=True)
    capture.rename(kept)
    bpy.ops.skullptor.import_capture(filepath=str(kept))
    assert "Save Scene and Photographs..." in texts(draw(panels.SKULLPTOR_PT_reconstruct))
    target = tmp_path / "project" / "shot.blend"
    target.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(target))
    home = target.parent / "captures" / "head"
    assert (home / "capture.json").is_file()
    assert "Save Scene and Photographs..." not in texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert bpy.data.objects["Rig"]["skullptor_capture"] == str(home)
    (kept / "images" / "cam00.png").unlink()  # the cache may be emptied
    bpy.ops.wm.open_mainfile(filepath=str(target))
    assert len(read_cameras().usable) == 4
    bpy.ops.wm.save_mainfile()
    assert [path.name for path in home.parent.iterdir()] == ["head"]  # once
