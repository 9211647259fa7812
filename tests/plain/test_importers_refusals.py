"""What must not be imported is refused with one sentence that names file and field; nothing ends in a traceback."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("cv2")

from bridge import importers  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.importers import export  # noqa: E402
from bridge.importers.write import write  # noqa: E402
from tests.support import cameras  # noqa: E402
from tests.support.cameras import HEIGHT, WIDTH  # noqa: E402


@pytest.fixture
def rig():
    return cameras.rig()


@pytest.fixture
def three(rig):
    """The fewest a head needs: none of them can be left out."""
    return rig[:3]


@pytest.fixture
def folder(tmp_path, rig):
    cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in rig])
    return tmp_path


def refusal(name, source, **options):
    with pytest.raises(BridgeError) as raised:
        write(importers.read(name, source, **options), source.parent / "capture")
    error = raised.value
    assert error.cure and "\n" not in str(error), str(error)
    return f"{error.code}: {error.sentence}"


def transforms(folder, rig, **changes):
    frames = []
    for camera in rig:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera.R.T @ cameras.FLIP, camera.center
        frames.append({"file_path": f"images/{camera.name}.png", "transform_matrix": pose.tolist()})
    frames[1] |= changes
    (folder / "transforms.json").write_text(json.dumps({"fl_x": 80.0, "w": WIDTH, "h": HEIGHT, "frames": frames}))
    return folder / "transforms.json"


MIRRORED = np.diag([-1.0, 1, 1, 1]).tolist()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"transform_matrix": MIRRORED},
            "camera-mirrored: frame 'images/cam01.png' of 'transforms.json' has a mirrored",
        ),
        (
            {"transform_matrix": (2 * np.eye(4)).tolist()},
            "'images/cam01.png' of 'transforms.json' has a pose that is no",
        ),
        ({"transform_matrix": [[1, 2], [3]]}, "must give transform_matrix as 4 x 4 finite numbers"),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "must give transform_matrix"),
        ({"file_path": "images/other.png"}, "image-missing: frame 'images/other.png' of 'transforms.json': the image"),
        ({"file_path": "a\nb.png"}, "image-missing: frame 'a b.png'"),
        ({"fl_x": 0}, "positive focal length"),
        ({"file_path": 3}, "'transforms.json' frame 1 must name its image as file_path"),
        ({"file_path": "images/cam00.png"}, "image-ambiguous: The cameras 'cam00' and 'cam00' both found"),
        ({"w": 32}, f"image-size: frame 'images/cam01.png' of 'transforms.json': the image 'cam01.png' has {WIDTH}"),
        ({"fl_x": "long"}, "must give fl_x as a finite number"),
        ({"fl_x": 10**400}, "must give fl_x as a finite number"),
        ({"fl_x": -3}, "positive focal length"),
        (
            {"camera_model": "EQUIRECTANGULAR"},
            "camera-model: frame 'images/cam01.png' of 'transforms.json' has the camera",
        ),
    ],
)
def test_transforms(folder, three, changes, says):
    assert says in refusal("transforms", transforms(folder, three, **changes))


@pytest.mark.parametrize("model", ["FOV", "THIN_PRISM_FISHEYE", "EUCM", "MYSTERY"])
def test_unknown_colmap_models(folder, rig, model):
    source = cameras.colmap_text(folder / "sparse", rig, model, (0.1,) * 8)
    counted = {"FOV": 5, "THIN_PRISM_FISHEYE": 12, "EUCM": 6}.get(model, 12)
    lines = [" ".join(line.split()[: 4 + counted]) for line in (source / "cameras.txt").read_text().splitlines()]
    (source / "cameras.txt").write_text("\n".join(lines))
    says = refusal("colmap", source)
    assert says.startswith("camera-model:") and model in says and "cameras.txt" in says


def test_colmap(folder, three):
    source = cameras.colmap_text(folder / "sparse", three)
    images = (source / "images.txt").read_text()
    (source / "images.txt").write_text(images.replace(" cam02.png", " cam09.png"))
    assert "image-missing: image 'cam09.png' of 'images.txt': the image 'cam09.png' is not in" in refusal(
        "colmap", source
    )
    (source / "images.txt").write_text(images.replace(" 3 cam02.png", " 7 cam02.png"))
    assert "uses camera 7, which 'cameras.txt' does not hold" in refusal("colmap", source)
    (source / "images.txt").write_text("# Number of images: 9\n" + images.split("\n", 1)[1])
    assert "announces 9 images and holds 3" in importers.read("colmap", source).notes[0]
    (source / "cameras.txt").unlink()
    assert "holds no COLMAP model" in refusal("colmap", source)


def test_long_names_show_both_ends(folder, three):
    """A lost line break makes one name of whole lines: the refusal stays readable."""
    source = cameras.colmap_text(folder / "sparse", three)
    name = "cam02." + " 0.8153261718476265" * 20 + " cam01.png"
    images = (source / "images.txt").read_text()
    (source / "images.txt").write_text(images.replace(" cam02.png", " " + name))
    says = refusal("colmap", source)
    assert f"image '{name[:50]} ... {name[-50:]}' of 'images.txt'" in says and len(says) < 400


def test_metashape(folder, rig):
    file = cameras.metashape(folder / "cameras.xml", rig)
    good = file.read_text()

    def with_change(old, new):
        assert old in good
        file.write_text(good.replace(old, new, 1))
        return refusal("metashape", file)

    assert "camera-model: sensor 's0' of 'cameras.xml' is of the type fisheye" in with_change(
        'type="frame" class="adjusted"', 'type="fisheye" class="adjusted"'
    )
    assert "sensor 's0' of 'cameras.xml' has the lens coefficients p3" in with_change("<b1>", "<p3>0.1</p3><b1>")
    assert "must give cx as a finite number" in with_change("<cx>", "<cx>x")
    assert "camera 'cam00' of 'cameras.xml' names the sensor '9'" in with_change('sensor_id="0"', 'sensor_id="9"')
    assert "declares entities" in with_change("<document", '<!DOCTYPE a [<!ENTITY b "c">]><document')
    assert "is no complete XML file" in with_change("</document>", "")
    file.write_text(
        good.replace('sensor_id="1" label', 'enabled="false" sensor_id="1" label').replace("0 1</tr", "0 1 </tr")
    )
    found = importers.read("metashape", file)
    assert len(found.views) == 3 and "disabled" in found.notes[0]
    start = good.index("<transform>", good.index("cam02"))
    file.write_text(good[:start] + good[good.index("</transform>", start) + len("</transform>") :])
    found = importers.read("metashape", file)
    assert len(found.views) == 3 and "Skipped 1 without a pose (not aligned): cam02." in found.notes


def test_realitycapture(folder, rig):
    source = cameras.xmp(folder / "images", rig, "division", "-0.2 0 0 0 0 0")
    assert "camera-model: 'cam00.xmp' has the distortion model division" in refusal("realitycapture", source)
    file = cameras.xmp(folder / "images", rig) / "cam01.xmp"
    good = file.read_text()
    file.write_text(good.replace("FocalLength35mm", "Focal"))
    assert "'cam01.xmp' has no FocalLength35mm" in refusal("realitycapture", source)
    file.write_text(good.replace("xcr:Position", "xcr:Place"))
    found = importers.read("realitycapture", source)
    assert len(found.views) == 3 and "cam01" in found.notes[0]
    (folder / "a.csv").write_text("#name,x,y\ncam00.png,1,2\n")
    assert "'a.csv' lacks the column 'alt'" in refusal("realitycapture", folder / "a.csv")


def test_idr(folder, rig):
    file = cameras.idr(folder / "cameras.npz", rig[:3])
    (folder / "images" / "cam00.png").rename(folder / "images" / "front.png")
    assert "holds 3 cameras, the folder 4 images" in refusal("idr", file)
    np.savez(file, world_mat_0=np.zeros((4, 4)))
    (folder / "one").mkdir()
    cameras.photos(folder / "one", ["a.png"])
    assert "world_mat_0 of 'cameras.npz' must be a projection matrix" in refusal("idr", file, images=folder / "one")
    np.savez(file, world_mat_0=np.array([{}], dtype=object))
    assert "'cameras.npz'" in refusal("idr", file)


def test_export_names_what_the_format_cannot_hold(folder, rig):
    from dataclasses import replace

    from bridge.capture.cameras import Distortion
    from bridge.capture.record import Capture, View

    image = folder / "images" / "cam00.png"
    skew = replace(rig[0], K=rig[0].K + np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]]))
    with pytest.raises(BridgeError, match="'cam00' has a skew"):
        export.colmap(Capture("c", (View(skew, image),)), folder / "out")
    bent = replace(rig[0], distortion=Distortion(k5=0.1))
    with pytest.raises(BridgeError, match="k4 to k6"):
        export.transforms(Capture("c", (View(bent, image),)), folder / "out")


# names of images


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("IMG_1.JPG", "img_1.jpg"),
        ("IMG_1.png", "IMG_1.tif"),
        ("day 1/IMG_1.png", "D:\\shoot\\day 1\\IMG_1.png"),
        ("grün é.png", "gru\u0308n e\u0301.png"),
        ("a.b.c.png", "a.b.c"),
        ("left/IMG_1.png", "photos/left/IMG_1.png"),
    ],
)
def test_names_are_found_in_any_spelling(tmp_path, file, name):
    from bridge.importers.pictures import Pictures

    cameras.photos(tmp_path, [file, "right/IMG_1.png", "other.png"] if "left" in file else [file, "other.png"])
    assert Pictures(tmp_path, tmp_path).find(name, "here") == tmp_path / file


def test_a_name_that_fits_two_images_is_refused(tmp_path):
    from bridge.importers.pictures import Pictures

    cameras.photos(tmp_path, ["left/1.png", "right/1.png", "masks/2.png", "photos/2.png"])
    with pytest.raises(BridgeError, match="fits several images: 'left/1.png', 'right/1.png'"):
        Pictures(tmp_path, tmp_path).find("1.png", "here")
    assert Pictures(tmp_path, tmp_path).find("2.png", "here").parent.name == "photos"
    assert Pictures(tmp_path, tmp_path).find("right/1.jpg", "here").parent.name == "right"


def test_views_of_one_name_get_their_folders(tmp_path, rig):
    cameras.photos(tmp_path / "images", ["left/1.png", "right/1.png"])
    source = cameras.colmap_text(tmp_path / "sparse", rig[:2])
    text = (source / "images.txt").read_text()
    (source / "images.txt").write_text(text.replace("cam00.png", "left/1.png").replace("cam01.png", "right/1.png"))
    capture = write(importers.read("colmap", source), tmp_path / "capture")
    assert [view.name for view in capture.views] == ["left_1", "right_1"]
