"""Every finding of the checks before a run, each with a rig or a file that has just that fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import image_header, preflight, reference_names
from skullptor_extension.skullptor_blender.link.preflight import ViewRecord

from tests.support import ROOT

PHOTO = ROOT / "demo" / "capture" / "images" / "cam01.jpg"
PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x03\x08\x02\0\0\0" + bytes(4) + b"\0\0\0\0IEND\xaeB`\x82"
)  # a header and an end are all that is read


def camera(name, eye, target=(0, 0, 0), size=1000):
    eye, target = np.array(eye, float), np.array(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[2000.0, 0, size / 2], [0, 2000.0, size / 2], [0, 0, 1]])
    return ViewRecord(name, "", size, size, K, R, -R @ eye)


def ring(count=6, radius=2.0):
    turns = np.linspace(0, 5, count)
    return [camera(f"cam{i}", (radius * np.cos(a), radius * np.sin(a), 0.3)) for i, a in enumerate(turns)]


def codes(findings):
    return [finding.code for finding in findings]


def test_a_good_rig_has_no_findings():
    assert preflight.check_rig(ring()) == []
    assert preflight.check_rig(ring(3)) == []
    assert preflight.check_rig(ring(26)) == []


def test_the_common_point_is_where_the_cameras_look():
    target = (3.0, -1.0, 7.0)
    views = [camera(f"c{i}", np.add(target, offset), target) for i, offset in enumerate(np.eye(3) * 2 + 0.1)]
    point, seen = preflight.common_point(views)
    np.testing.assert_allclose(point, target, atol=1e-9)
    assert all(seen)


def test_none_is_too_few_and_one_is_enough():
    (finding,) = preflight.check_count([], 1)
    assert finding.code == "too-few-views"
    assert "1 other camera" in finding.sentence and "one at least" in finding.sentence
    assert preflight.check_count(ring()[:1]) == [] and preflight.check_rig(ring()[:1]) == []
    assert preflight.check_rig(ring()[:2]) == []


def test_one_camera_that_looks_away_is_named_and_left_out():
    views = ring(5)
    views.append(camera("stray", (2, 0, 0.5), (9, 3, 0.5)))
    (finding,) = preflight.check_rig(views)
    assert (finding.code, finding.view, finding.drop) == ("camera-away", "stray", True)


def test_a_camera_with_flipped_axes_looks_away():
    """The usual mistake: OpenCV axes put into Blender unchanged, so that it looks backwards."""
    views = ring(5)
    wrong, flip = views[2], np.diag([1, -1, -1])
    views[2] = ViewRecord("wrong", "", 1000, 1000, wrong.K, flip @ wrong.R, flip @ wrong.t)
    (finding,) = preflight.check_rig(views)
    assert (finding.code, finding.view) == ("camera-away", "wrong")


def test_a_crop_far_off_centre_does_not_look_away():
    """Its optical axis misses the head, its image does not."""
    views = ring(4)
    base = views[0]
    forward_shift = np.array([[2000.0, 0, 1900], [0, 2000.0, 500], [0, 0, 1]])
    turned = camera("crop", base.center, base.center + base.R.T @ np.array([0.7, 0, 1.0]))
    views[0] = ViewRecord("crop", "", 1000, 1000, forward_shift, turned.R, turned.t)
    assert preflight.check_rig(views) == []


def test_cameras_that_look_away_from_each_other():
    outward = [(np.cos(a), np.sin(a)) for a in (0, 2, 4)]
    views = [camera(f"c{x}", (x, y, 0), (9 * x, 9 * y, 0.1)) for x, y in outward]
    (finding,) = preflight.check_rig(views)
    assert finding.code == "cameras-apart"
    assert "away from each other" in finding.sentence


def test_parallel_cameras():
    views = [camera(f"c{i}", (i, 0, 0), (i, 9, 0)) for i in range(4)]
    (finding,) = preflight.check_rig(views)
    assert finding.code == "cameras-apart"
    assert "parallel" in finding.sentence


def test_two_cameras_in_one_place():
    views = ring(4)
    twin = views[1]
    views.append(ViewRecord("twin", "", 1000, 1000, twin.K, twin.R, twin.t))
    (finding,) = preflight.check_rig(views)
    assert (finding.code, finding.view) == ("camera-twin", "twin")
    assert codes(preflight.check_rig([views[0], views[1], views[-1]])) == ["camera-twin"]


def test_a_missing_file(tmp_path):
    (finding,) = preflight.check_file("cam7", str(tmp_path / "no.jpg"))
    assert finding.code == "image-missing"
    assert "cam7" in finding.sentence


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_jpeg(tmp_path, share):
    data = PHOTO.read_bytes()
    file = tmp_path / "cut.jpg"
    file.write_bytes(data[: int(len(data) * share)])
    (finding,) = preflight.check_file("cam7", str(file))
    assert (finding.code, finding.severity) == ("image-unreadable", "ERROR")


def test_whole_files_pass_and_their_size_is_read(tmp_path):
    assert preflight.check_file("cam1", str(PHOTO)) == []
    assert image_header.read(PHOTO) == image_header.Header(1024, 1024, True)
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    assert image_header.read(file) == image_header.Header(2, 3, True)
    file.write_bytes(PNG[:-12])
    assert codes(preflight.check_file("a", str(file))) == ["image-unreadable"]


def test_an_empty_file(tmp_path):
    file = tmp_path / "empty.jpg"
    file.touch()
    assert codes(preflight.check_file("a", str(file))) == ["image-unreadable"]


def test_a_stretched_image_and_a_wrong_size():
    square = np.diag([1000.0, 1000.0, 1.0])
    squashed = np.diag([1000.0, 700.0, 1.0])
    assert preflight.check_pixels("a", square, 10, 10, 1.0) == []
    assert preflight.check_pixels("a", squashed, 10, 10, 10 / 7) == []  # the render settings say so too
    assert codes(preflight.check_pixels("a", squashed, 10, 10, 1.0)) == ["image-size"]
    assert preflight.check_calibrated_size("a", 512, 512, [1024, 1024]) == []  # a proxy
    assert preflight.check_calibrated_size("a", 512, 400, None) == []
    (finding,) = preflight.check_calibrated_size("a", 1000, 800, [1024, 1024])
    assert "1000 x 800" in finding.sentence
    assert "1024 x 1024" in finding.sentence


def test_sequence_and_file_names():
    assert reference_names.sequence_file(Path("a/f_0008.png"), 4).name == "f_0012.png"
    assert reference_names.sequence_file(Path("a/v2_f1.png"), None, 105).name == "v2_f105.png"
    used = set()
    assert reference_names.file_stem("cam/1:", used) == "cam_1_"
    assert reference_names.file_stem("CAM_1_", {"cam_1_"}) == "CAM_1_~2"
    assert reference_names.file_stem("カメラ", used) == "カメラ"
