"""Calibrations and photographs as real projects bring them: other formats, folders, groups, masks, several models."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("cv2")

from PIL import Image  # noqa: E402

from bridge import importers  # noqa: E402
from bridge.calibrate import photographs  # noqa: E402
from bridge.capture import images  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.importers import cli  # noqa: E402
from bridge.importers.write import write  # noqa: E402
from tests.support import cameras  # noqa: E402
from tests.support.cameras import HEIGHT, WIDTH  # noqa: E402


@pytest.fixture
def rig():
    return cameras.rig()


def names(rig, suffix=".png", folder=""):
    return [f"{folder}{camera.name}{suffix}" for camera in rig]


def transforms(file, rig, folder="", suffix=".png"):
    frames = []
    for camera in rig:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera.R.T @ cameras.FLIP, camera.center
        frames.append({"file_path": f"{folder}{camera.name}{suffix}", "transform_matrix": pose.tolist()})
    file.write_text(json.dumps({"fl_x": 80.0, "w": WIDTH, "h": HEIGHT, "frames": frames}))
    return file


def csv_table(file, rig, delimiter=",", point=".", k1=0.0):
    """Internal/external parameters: heading, pitch and roll of the rig's cameras, as the table's documentation says."""
    rows = [["#name", "x", "y", "alt", "heading", "pitch", "roll", "f", "px", "py", "k1", "k2", "k3", "k4", "t1", "t2"]]
    for camera in rig:
        world = camera.R.T @ cameras.FLIP  # camera -> world, OpenGL axes: Rz(-heading) Rx(pitch) Ry(roll)
        pitch = np.arcsin(np.clip(world[2, 1], -1, 1))
        heading = np.arctan2(world[0, 1], world[1, 1])
        roll = np.arctan2(-world[2, 0], world[2, 2])
        angles = np.degrees([heading, pitch, roll])
        f = camera.K[0, 0] * 36 / max(camera.width, camera.height)
        numbers = [*camera.center, *angles, f, 0, 0, k1, 0, 0, 0, 0, 0]
        rows.append([f"{camera.name}.png", *(f"{number:.12f}".replace(".", point) for number in numbers)])
    file.write_text("\n".join(delimiter.join(row) for row in rows))
    return file


# photographs


@pytest.mark.parametrize("suffix", [".heic", ".avif", ".webp"])
def test_photographs_of_telephones_are_imported_and_become_what_blender_shows(tmp_path, rig, suffix):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    cameras.photos(tmp_path / "images", names(rig, suffix))
    source = cameras.metashape(tmp_path / "cameras.xml", rig)
    capture = write(importers.read("metashape", source), tmp_path / "capture")
    assert {view.image.suffix for view in capture.views} == {".webp" if suffix == ".webp" else ".jpg"}
    photo = images.read_photo(capture.views[3])
    np.testing.assert_allclose(photo.pixels[20, 30] * 255, [3, 90, 120], atol=6)


def test_a_folder_of_heic_can_be_calibrated(tmp_path):
    pytest.importorskip("pillow_heif")
    cameras.photos(tmp_path, [f"IMG_{i}.HEIC" for i in range(4)])
    found, notes = photographs.gather(tmp_path)
    assert [(p.name, p.width, p.height) for p in found][0] == ("IMG_0.HEIC", WIDTH, HEIGHT) and not notes
    assert [p.path.suffix for p in photographs.upright(found, tmp_path / "out")] == [".jpg"] * 4


def test_raw_photographs_are_counted_and_the_cure_is_to_export_them(tmp_path):
    for i in range(5):
        (tmp_path / f"IMG_{i}.CR2").write_bytes(b"raw")
    (tmp_path / "IMG_5.NEF").write_bytes(b"raw")
    with pytest.raises(BridgeError) as raised:
        photographs.gather(tmp_path)
    assert "6 raw files (CR2, NEF): export them as JPEG or TIFF." in str(raised.value)


def test_an_import_beside_raw_photographs_counts_them(tmp_path, rig):
    for camera in rig:
        (tmp_path / f"{camera.name}.DNG").write_bytes(b"raw")
    with pytest.raises(BridgeError) as raised:
        importers.read("metashape", cameras.metashape(tmp_path / "cameras.xml", rig))
    assert "4 raw files (DNG): export them as JPEG or TIFF." in raised.value.sentence


def test_photographs_one_folder_deeper_are_found_and_several_folders_are_named(tmp_path):
    cameras.photos(tmp_path / "album", [f"day 1/{i}.jpg" for i in range(3)])
    found, notes = photographs.gather(tmp_path / "album")
    assert len(found) == 3 and "'day 1'" in notes[0]
    cameras.photos(tmp_path / "album", [f"day 2/{i}.jpg" for i in range(3)])
    with pytest.raises(BridgeError, match="folders of them: 'day 1', 'day 2'"):
        photographs.gather(tmp_path / "album")


@pytest.mark.parametrize("suffix", ["HEIC", "CR2", "dng", "TIF"])
def test_the_jpeg_of_the_stem_is_taken_for_a_photograph_in_another_format_and_said(tmp_path, rig, suffix):
    cameras.photos(tmp_path / "images", names(rig, ".JPG"))
    file = cameras.metashape(tmp_path / "cameras.xml", rig)
    for camera in rig:
        file.write_text(file.read_text().replace(f'label="{camera.name}"', f'label="{camera.name}.{suffix}"'))
    found = importers.read("metashape", file)
    assert [view.image.name for view in found.views] == names(rig, ".JPG")
    assert any("in another format" in note and "cam00.JPG" in note for note in found.notes)


def test_a_label_with_the_right_ending_says_nothing(tmp_path, rig):
    cameras.photos(tmp_path / "images", names(rig, ".jpeg"))
    assert not importers.read("transforms", transforms(tmp_path / "transforms.json", rig, suffix=".JPG")).notes


@pytest.mark.parametrize("folder", ["images_4/", "undistorted/", "./images_4/"])
def test_the_exact_relative_path_wins_over_the_folder_called_images(tmp_path, rig, folder):
    cameras.photos(tmp_path / folder, names(rig))
    cameras.photos(tmp_path / "images", names(rig))
    found = importers.read("transforms", transforms(tmp_path / "transforms.json", rig, folder))
    assert {view.image.parent.name for view in found.views} == {folder.strip("./")}
    shutil.rmtree(tmp_path / folder)
    found = importers.read("transforms", transforms(tmp_path / "transforms.json", rig, folder))
    assert {view.image.parent.name for view in found.views} == {"images"}


def test_a_photograph_calibrated_as_exif_turns_it_is_turned(tmp_path):
    """Stored 400 x 300 with EXIF orientation 6: the calibration is for 300 x 400."""
    stored = Image.new("RGB", (400, 300), (0, 0, 0))
    stored.paste((255, 255, 255), (0, 0, 400, 60))  # the stored top edge is the right edge of the upright picture
    exif = Image.Exif()
    exif[0x0112] = 6
    rig = [camera.resize(300, 400) for camera in cameras.rig()]
    (tmp_path / "images").mkdir()
    for camera in rig:
        stored.save(tmp_path / "images" / f"{camera.name}.jpg", exif=exif, quality=95)
    capture = write(importers.read("metashape", cameras.metashape(tmp_path / "c.xml", rig)), tmp_path / "capture")
    photo = images.read_photo(capture.views[0])
    assert photo.pixels.shape == (400, 300, 3)
    assert photo.pixels[200, 285].min() > 0.9 and photo.pixels[200, 15].max() < 0.1


# rigs


def test_a_slave_camera_stands_where_its_master_and_its_sensor_put_it(tmp_path, rig):
    """Metashape multi-camera system: slave pose = master pose x the sensor's offset."""
    cameras.photos(tmp_path, names(rig))
    file = cameras.metashape(tmp_path / "cameras.xml", rig)
    poses = []
    for camera in rig:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera.R.T, camera.center
        poses.append(pose)
    offset = np.linalg.inv(poses[0]) @ poses[2]
    text = file.read_text()
    start = text.index("<transform>", text.index('label="cam02"'))
    text = text[:start] + text[text.index("</transform>", start) + len("</transform>") :]
    text = text.replace('<camera id="2"', '<camera id="2" master_id="0"')
    rotation = " ".join(f"{v:.17g}" for v in offset[:3, :3].ravel())
    location = " ".join(f"{v:.17g}" for v in offset[:3, 3])
    text = text.replace(
        '<sensor id="2" label="s2" type="frame">',
        '<sensor id="2" label="s2" type="frame" master_id="0">'
        f'<rotation locked="false">{rotation}</rotation><location locked="false">{location}</location>',
    )
    file.write_text(text)
    found = [view.camera for view in importers.read("metashape", file).views]
    assert len(found) == 4
    assert max(cameras.error(a, b) for a, b in zip(rig, found)) < 1e-6


def test_the_group_decides_between_photographs_of_one_name(tmp_path, rig):
    labels = [("A", "DSC_1"), ("A", "DSC_2"), ("B", "DSC_1"), ("B", "DSC_2")]
    cameras.photos(tmp_path / "images", [f"{group}/{label}.jpg" for group, label in labels])
    text = cameras.metashape(tmp_path / "cameras.xml", rig).read_text()
    for camera, (_, label) in zip(rig, labels):
        text = text.replace(f'label="{camera.name}"', f'label="{label}"')
    text = text.replace("<group>", '<group label="A">')
    split = text.index('<camera id="2"')
    (tmp_path / "cameras.xml").write_text(text[:split] + '</group><group label="B">' + text[split:])
    found = importers.read("metashape", tmp_path / "cameras.xml")
    got = [(view.image.parent.name, view.image.stem) for view in found.views]
    assert got == labels
    assert max(cameras.error(a, view.camera) for a, view in zip(rig, found.views)) < 1e-6


def test_of_several_colmap_models_the_largest_is_taken_and_said(tmp_path, rig):
    cameras.photos(tmp_path / "images", names(rig))
    cameras.colmap_text(tmp_path / "sparse" / "0", rig[:2])
    cameras.colmap_text(tmp_path / "sparse" / "1", rig)
    found = importers.read("colmap", tmp_path)
    assert len(found.views) == 4 and any("the largest, number 1" in note for note in found.notes)
    assert len(importers.read("colmap", tmp_path / "sparse" / "0").views) == 2  # asked for by name


def test_sidecars_in_subfolders_belong_to_the_photographs_beside_them(tmp_path, rig):
    for group, part in (("left", rig[:2]), ("right", rig[2:])):
        cameras.xmp(tmp_path / group, part)
        cameras.photos(tmp_path / group, names(part))
    for part in rig[2:]:  # the same names in both folders
        for suffix in (".xmp", ".png"):
            number = int(part.name[-2:]) - 2
            (tmp_path / "right" / f"{part.name}{suffix}").rename(tmp_path / "right" / f"cam0{number}{suffix}")
    found = importers.read("realitycapture", tmp_path)
    assert [view.image.parent.name for view in found.views] == ["left", "left", "right", "right"]
    assert max(cameras.error(a, view.camera, scale=1) for a, view in zip(rig, found.views)) < 1e-6


# tables


def test_decimal_commas_are_read_between_semicolons(tmp_path, rig):
    cameras.photos(tmp_path, names(rig))
    points = importers.read("realitycapture", csv_table(tmp_path / "a.csv", rig)).views
    commas = importers.read("realitycapture", csv_table(tmp_path / "b.csv", rig, ";", ",")).views
    assert [view.name for view in commas] == [camera.name for camera in rig]
    for a, b in zip(points, commas):
        np.testing.assert_array_equal(a.camera.K, b.camera.K)
        np.testing.assert_array_equal(a.camera.R, b.camera.R)
        np.testing.assert_array_equal(a.camera.t, b.camera.t)


def test_decimal_commas_between_commas_are_explained(tmp_path, rig):
    cameras.photos(tmp_path, names(rig))
    with pytest.raises(BridgeError) as raised:
        importers.read("realitycapture", csv_table(tmp_path / "a.csv", rig, ",", ","))
    assert "decimal commas" in raised.value.sentence and "semicolons" in raised.value.cure


# masks


@pytest.mark.parametrize("spelling", ["{0}.png", "{0}_mask.png", "{0}.jpg.png", "{0}.jpg.mask.png", "{0}.mask.png"])
def test_masks_are_found_however_they_are_spelt(tmp_path, rig, spelling):
    cameras.photos(tmp_path / "images", names(rig, ".jpg"))
    cameras.photos(tmp_path / "masks", [spelling.format(camera.name) for camera in rig])
    source = cameras.metashape(tmp_path / "cameras.xml", rig)
    found = importers.read("metashape", source, masks=tmp_path / "masks")
    assert [view.mask.name for view in found.views] == [spelling.format(camera.name) for camera in rig]


def test_a_folder_of_masks_that_fits_no_photograph_is_an_error(tmp_path, rig):
    cameras.photos(tmp_path / "images", names(rig))
    cameras.photos(tmp_path / "masks", ["one.png", "two.png"])
    source = cameras.metashape(tmp_path / "cameras.xml", rig)
    with pytest.raises(BridgeError) as raised:
        importers.read("metashape", source, masks=tmp_path / "masks")
    assert raised.value.code == "mask-missing"


# recognition


@pytest.mark.parametrize("kind", ["metashape", "csv", "transforms", "colmap", "dense", "idr", "xmp"])
def test_import_auto_takes_a_folder_as_it_is(tmp_path, rig, kind, capsys):
    cameras.photos(tmp_path / "p" / "images", names(rig))
    place = tmp_path / "p"
    if kind == "metashape":
        cameras.metashape(place / "cameras.xml", rig)
    elif kind == "csv":
        csv_table(place / "internal_external.csv", rig)
    elif kind == "transforms":
        transforms(place / "transforms_train.json", rig)
    elif kind == "idr":
        cameras.idr(place / "cameras.npz", rig)
    elif kind == "xmp":
        cameras.xmp(place, rig)
    else:
        cameras.colmap_text(place / ("colmap/sparse/0" if kind == "colmap" else "dense/sparse"), rig)
    assert cli.import_main(["auto", str(place), "-o", str(tmp_path / "capture")]) == 0
    assert "Imported 4 views" in capsys.readouterr().out


def test_import_auto_names_a_folder_without_cameras(tmp_path, capsys):
    assert cli.import_main(["auto", str(tmp_path), "-o", str(tmp_path / "capture")]) == 1
    assert "holds no cameras of a program that is known here" in capsys.readouterr().err
