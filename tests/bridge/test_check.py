"""The pre-flight on a lumpy body whose cameras are known: each fault must be named, and a good capture left alone."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bridge.capture import images
from bridge.capture import record as captures
from bridge.capture.cameras import OPENGL, Camera
from bridge.check import INFO, inspect, rig
from bridge.check.matches import fundamental, sampson
from bridge.check.photographs import blur
from bridge.head.canonical import Canonical
from bridge.mattes.hull import carve
from bridge.mattes.silhouettes import BoundingSphere, Silhouette
from bridge.mesh.topology import icosphere
from bridge.raster import make_rasteriser
from tests.support.synthetic import look_at

SIZE = 192


def body() -> tuple[np.ndarray, np.ndarray]:
    """No symmetry: a mirrored or turned silhouette is another one."""
    vertices, faces = icosphere(4)
    rng = np.random.default_rng(3)
    radius = np.ones(len(vertices))
    for _ in range(6):
        axis = rng.normal(size=3)
        radius += 0.35 * np.exp(4 * (vertices @ (axis / np.linalg.norm(axis)) - 1))
    return vertices * radius[:, None] * [0.8, 0.7, 1.0], faces


@pytest.fixture(scope="module")
def views() -> tuple[list[Camera], list[np.ndarray], list[np.ndarray]]:
    """Eight cameras, photographs with a fine pattern that sticks to the surface, masks."""
    cameras = []
    for i in range(8):
        a, e = 2 * np.pi * i / 8 + 0.1, (0.4 if i % 2 else -0.3)
        away = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        aim = 0.05 * np.array([np.sin(3 * i), np.cos(5 * i), np.sin(7 * i)])
        cameras.append(look_at(f"cam{i}", aim, 6 * away, SIZE, 1.9, roll=0.05 * i))
    vertices, faces = body()
    pattern = 0.5 + 0.2 * np.sin(9 * vertices).sum(1, keepdims=True) / 3
    render = make_rasteriser("cpu", cameras).render(vertices, faces, pattern)
    masks = [(triangle >= 0).astype(np.float32) for triangle in render.triangle]
    photos = [
        np.repeat(np.where(mask[..., None] > 0, found, 0.2), 3, 2).astype(np.float32)
        for mask, found in zip(masks, render.attributes)
    ]
    return cameras, photos, masks


def told(cameras, photos, masks, **more) -> dict[str, set[str]]:
    """code -> names, infos left out."""
    result = inspect(cameras, photos, masks, [True] * len(masks), **more)
    found: dict[str, set[str]] = {}
    for finding in result.findings:
        if finding.severity != INFO:
            found.setdefault(finding.code, set()).update(finding.views)
    return found


def swapped(values: list, i: int, value) -> list:
    return [value if k == i else v for k, v in enumerate(values)]


def turned(camera: Camera, vector) -> Camera:
    R = Rotation.from_rotvec(vector).as_matrix()
    return replace(camera, R=R @ camera.R, t=R @ camera.t)


def test_a_good_capture_is_left_alone(views):
    assert told(*views) == {}


def test_photographs_leave_the_memory_with_the_last_who_asks_for_them(views):
    """They are large, and Python may not look for cycles for a long time."""
    cameras, photos, masks = views
    photos = [photo.copy() for photo in photos[:4]]
    left = [weakref.ref(photo) for photo in photos]
    gc.collect()
    gc.disable()
    try:
        told(cameras[:4], photos, masks[:4])
        del photos
        assert not any(photo() is not None for photo in left)
    finally:
        gc.enable()


def test_a_good_subset_is_left_alone(views):
    assert told(*([values[i] for i in (0, 2, 3, 5, 7)] for values in views)) == {}


CAMERA_FAULTS = {
    "camera-axes": lambda c: replace(c, R=OPENGL[:, None] * c.R, t=OPENGL * c.t),
    "camera-rolled": lambda c: turned(c, [0, 0, np.pi]),
    "camera-focal": lambda c: replace(c, K=c.K @ np.diag([1.2, 1.2, 1])),
    "camera-turned": lambda c: turned(c, np.radians([6.0, -8.0, 0.0])),
    "camera-center": lambda c: replace(c, K=c.K + [[0, 0, 7.5], [0, 0, -3.0], [0, 0, 0]]),
}


@pytest.mark.parametrize("code, i", list(zip(CAMERA_FAULTS, (1, 4, 5, 0, 6))))
def test_a_wrong_camera_is_named_with_its_fault(views, code, i):
    cameras, photos, masks = views
    assert told(swapped(cameras, i, CAMERA_FAULTS[code](cameras[i])), photos, masks) == {code: {f"cam{i}"}}


def test_how_wrong_the_focal_length_is(views):
    cameras, photos, masks = views
    wrong = swapped(cameras, 2, CAMERA_FAULTS["camera-focal"](cameras[2]))
    sentence = inspect(wrong, photos, masks, [True] * 8).findings[0].sentence
    assert any(f"{percent}% too long" in sentence for percent in (19, 20, 21)), sentence


def test_a_mirrored_photograph(views):
    cameras, photos, masks = views
    photos, masks = swapped(photos, 3, photos[3][:, ::-1]), swapped(masks, 3, masks[3][:, ::-1])
    assert told(cameras, photos, masks) == {"photo-mirrored": {"cam3"}}


def test_two_photographs_exchanged(views):
    cameras, photos, masks = views
    order = [0, 5, 2, 3, 4, 1, 6, 7]
    assert told(cameras, [photos[k] for k in order], [masks[k] for k in order]) == {
        "photos-exchanged": {"cam1", "cam5"}
    }


def test_two_faults_at_once(views):
    cameras, photos, masks = views
    wrong = swapped(cameras, 0, CAMERA_FAULTS["camera-focal"](cameras[0]))
    wrong = swapped(wrong, 6, CAMERA_FAULTS["camera-rolled"](cameras[6]))
    assert told(wrong, photos, masks) == {"camera-focal": {"cam0"}, "camera-rolled": {"cam6"}}


def test_the_cause_comes_first_and_side_effects_are_withheld(views):
    """Size, light and sharpness of the others are judged through the wrong camera."""
    cameras, photos, masks = views
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, 0.02, photo.shape).astype(np.float32) for photo in photos]
    noisy[4] = noisy[4] * 0.5 ** (1.5 / 2.2)
    noisy[1] = cv2.GaussianBlur(noisy[1], (0, 0), 4)
    assert set(told(cameras, noisy, masks, unit_mm=10_000.0)) == {"photo-exposure", "photo-blurred", "scale"}
    wrong = swapped(cameras, 6, CAMERA_FAULTS["camera-rolled"](cameras[6]))
    result = inspect(wrong, noisy, masks, [True] * 8, unit_mm=10_000.0)
    assert [(f.code, f.views) for f in result.findings] == [("camera-rolled", ("cam6",)), ("withheld", ())]
    assert result.findings[1].sentence.startswith("3 more findings")


def test_advice_on_the_unit_is_right_for_the_capture_and_for_the_scene(views):
    """A scene's unit scale is metres, a capture's unit millimetres."""
    (finding,) = [f for f in inspect(*views, [True] * 8, unit_mm=10_000.0).findings if f.code == "scale"]
    words = finding.cure.split()
    assert float(words[3]) == pytest.approx(1000 * float(words[10].rstrip("),")))


def test_a_mask_that_shows_half_the_head(views):
    cameras, photos, masks = views
    half = masks[2].copy()
    half[SIZE // 2 :] = 0
    found = told(cameras, photos, swapped(masks, 2, half))
    assert set.union(*found.values()) == {"cam2"} and not set(found) & {"photo-mirrored", "photos-exchanged"}


def test_predicted_masks_are_not_to_blame_beside_a_wrong_camera(views):
    """The network was told that camera: what it says about the others is spoilt too."""
    cameras, photos, masks = views
    cameras, cut = swapped(cameras, 0, CAMERA_FAULTS["camera-focal"](cameras[0])), masks[5].copy()
    cut[:, : SIZE // 2 - 20] = 0
    named = [
        {
            view
            for finding in inspect(cameras, photos, swapped(masks, 5, cut), [given] * 8).findings
            if finding.severity != INFO
            for view in finding.views
        }
        for given in (True, False)
    ]
    assert named == [{"cam0", "cam5"}, {"cam0"}]


def test_all_cameras_in_opengl_axes(views):
    cameras, photos, masks = views
    assert "rig-axes" in told([CAMERA_FAULTS["camera-axes"](camera) for camera in cameras], photos, masks)


def test_twins_blur_and_exposure(views):
    cameras, photos, masks = views
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, 0.02, photo.shape).astype(np.float32) for photo in photos]
    assert told(cameras, noisy, masks) == {}
    soft = cv2.GaussianBlur(noisy[1], (0, 0), 4)
    assert told(cameras, swapped(noisy, 1, soft), masks) == {"photo-blurred": {"cam1"}}
    assert blur(soft, masks[1]) > blur(noisy[1], masks[1])
    dark = noisy[4] * 0.5 ** (1.5 / 2.2)
    assert told(cameras, swapped(noisy, 4, dark), masks) == {"photo-exposure": {"cam4"}}
    twins = [*cameras, replace(cameras[7], name="again")]
    found = told(twins, [*noisy, noisy[7]], [*masks, masks[7]])
    assert found == {"camera-twin": {"cam7", "again"}, "photo-twin": {"cam7", "again"}}


def test_a_unit_ten_times_too_large(views):
    assert told(*views, unit_mm=100.0) == {}
    assert "scale" in told(*views, unit_mm=1000.0 * 10)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (1.0, None),
        (1.35, None),  # heads differ, and so does the network
        (10.0, "10 times too large"),
        (2.54, "2.54 times too large"),  # the outlines alone would not tell: a bust may be that large
        (1 / 25.4, "25.4 times too small"),
        (2.08, "2 times too large"),
        (1 / 1000, "1000 times too small"),
    ],
)
def test_a_unit_that_the_head_contradicts_is_named_with_its_factor(views, wrong, says):
    cameras, _, masks = views
    silhouettes = [Silhouette.of(camera, mask) for camera, mask in zip(cameras, masks)]
    sphere = BoundingSphere.around(silhouettes)
    hull = carve(silhouettes, sphere, [True] * len(cameras))
    true = 120.0
    head = Canonical(1.04 * true / 140, np.eye(3), np.zeros(3), 0.7)
    found = [f for f in rig.check(cameras, sphere, hull, true * wrong, head) if f.code == "scale"]
    assert [says in finding.sentence for finding in found] == ([True] if says else [])
    for finding in found:
        assert float(finding.cure.split()[3]) == pytest.approx(true, rel=0.05)


def test_a_side_that_nobody_sees_is_mentioned(views):
    cameras, photos, masks = ([values[i] for i in (0, 1, 2, 3)] for values in views)
    result = inspect(cameras, photos, masks, [True] * 4)
    gap = [finding for finding in result.findings if finding.code == "coverage-gap"]
    assert (
        gap
        and gap[0].severity == INFO
        and "'cam0' and 'cam3'" in gap[0].sentence.replace("'cam3' and 'cam0'", "'cam0' and 'cam3'")
    )


def test_an_empty_mask_and_too_few_views(views):
    cameras, photos, masks = ([values[i] for i in (0, 2, 4)] for values in views)
    assert set(told(cameras, photos, swapped(masks, 1, np.zeros_like(masks[1])))) == {"mask-empty", "too-few-views"}


def test_points_of_one_place_lie_on_their_epipolar_lines(views):
    a, b = views[0][0], views[0][1]
    points = np.random.default_rng(1).normal(size=(20, 3)) * 0.3
    x, y = a.project(points)[0], b.project(points)[0]
    F = fundamental(a, b)
    assert sampson(F, x, y).max() < 1e-9
    line = np.append(x[0], 1) @ F.T  # 2 px across the line: the first-order distance shares it between the images
    off = y[:1] + 2 * line[:2] / np.linalg.norm(line[:2])
    assert 1.0 < sampson(F, x[:1], off)[0] < 2.0


def test_the_command_names_the_view_and_the_file(views, tmp_path, capsys):
    from bridge.job.check import main

    cameras, photos, masks = views
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    records = []
    for camera, photo, mask in zip(cameras, photos, masks):
        image, matte = tmp_path / "images" / f"{camera.name}.png", tmp_path / "masks" / f"{camera.name}.png"
        images.write(image, (photo[..., ::-1] * 255).astype(np.uint8))
        images.write(matte, (mask * 255).astype(np.uint8))
        records.append(captures.View(camera, image, matte))
    records[5] = replace(records[5], camera=CAMERA_FAULTS["camera-focal"](cameras[5]))
    captures.save(captures.Capture("lumps", tuple(records), None), tmp_path)
    (tmp_path / "images" / "cam2.png").write_bytes(b"no image")
    report, picture = tmp_path / "r.json", tmp_path / "p.png"
    assert main([str(tmp_path), "--json", str(report), "--picture", str(picture)]) == 1
    body = json.loads(report.read_text())
    assert {(f["code"], *f["views"]) for f in body["findings"] if f["severity"] == "error"} == {
        ("image-unreadable", "cam2"),
        ("camera-focal", "cam5"),
    }
    assert not body["ok"] and len(body["views"]) == 7
    assert cv2.imread(str(picture)).shape[0] > 400
    assert "too long" in capsys.readouterr().out
