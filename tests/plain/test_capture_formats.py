"""Which program wrote a file is told from its name and a look inside."""

from __future__ import annotations

import pytest
from skullptor_extension.skullptor_blender.link import capture_formats as formats

FILES = {
    "capture.json": ('{"schema": 1, "views": []}', "capture", False),
    "anything.json": ('{"frames": []}', "transforms", False),
    "transforms_train.json": ('{"frames": [', "transforms", False),  # damaged: its reader says so
    "cameras.txt": ("", "colmap", True),
    "images.bin": ("", "colmap", True),
    "points3D.bin": ("", "colmap", True),
    "Cameras.XML": ("", "metashape", False),
    "params.csv": ("", "realitycapture", False),
    "IMG_1.xmp": ("", "realitycapture", True),
    "KRT": ("", "multiface", False),
    "cameras.npz": ("", "idr", False),
}


@pytest.mark.parametrize("name", FILES)
def test_guesses(tmp_path, name):
    text, expected, folder = FILES[name]
    path = tmp_path / name
    path.write_text(text)
    assert formats.guess(path) == (expected, tmp_path if folder else path)


@pytest.mark.parametrize("name", ["photo.jpg", "notes.txt", "odd.json"])
def test_what_is_no_calibration_is_named(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(formats.UnknownFormat, match=name):
        formats.guess(tmp_path / name)


def test_folders(tmp_path):
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    (tmp_path / "sparse" / "0" / "cameras.bin").touch()
    assert formats.guess(tmp_path) == ("colmap", tmp_path / "sparse" / "0")
    (tmp_path / "capture.json").touch()
    assert formats.guess(tmp_path)[0] == "capture"
    (tmp_path / "photos").mkdir()
    with pytest.raises(formats.UnknownFormat, match="holds no cameras"):
        formats.guess(tmp_path / "photos")
    with pytest.raises(formats.UnknownFormat, match="There is no file"):
        formats.guess(tmp_path / "none.xml")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["cameras.xml"], "metashape"),
        (["doc.xml", "photo.jpg"], "metashape"),
        (["aligned heads.xml"], "metashape"),
        (["cameras.npz"], "idr"),
        (["internal_external.csv"], "realitycapture"),
        (["A/IMG_1.xmp", "B/IMG_1.xmp"], "realitycapture"),
        (["transforms_train.json", "transforms_test.json"], "transforms"),
        (["colmap/sparse/0/cameras.bin"], "colmap"),
        (["dense/sparse/cameras.txt", "dense/images/a.jpg"], "colmap"),
        (["sparse/0/cameras.bin", "sparse/1/cameras.bin"], "colmap"),
        (["sparse/0/cameras.bin", "cameras.xml"], "colmap"),
        (["transforms.json", "sparse/0/cameras.bin"], "transforms"),
    ],
)
def test_a_folder_is_recognised_in_the_window_and_on_the_command_line_alike(tmp_path, files, expected):
    from bridge.importers.detect import detect

    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"frames": []}')
    name, source = formats.guess(tmp_path)
    assert name == detect(tmp_path) == detect(source) == expected


def test_an_override_takes_the_folder_where_the_format_is_one(tmp_path):
    (tmp_path / "my_cameras.txt").touch()
    assert formats.source("colmap", tmp_path / "my_cameras.txt") == ("colmap", tmp_path)
    assert formats.source("multiface", tmp_path / "my_cameras.txt") == ("multiface", tmp_path / "my_cameras.txt")


def test_every_format_of_the_bridge_has_a_name():
    pytest.importorskip("numpy")
    from bridge.importers import FORMATS

    assert {name for name, _, _ in formats.FORMATS} == {"capture", *FORMATS}
