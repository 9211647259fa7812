"""Every importer against cameras written here independently, and against the team's samples of real layouts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge import importers  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.cameras import Distortion  # noqa: E402
from bridge.importers import cli  # noqa: E402
from tests.support import cameras, shared  # noqa: E402

EXACT = 1e-6  # pixels, for files that were written with all digits
TURN = cv2.Rodrigues(np.array([0.3, -1.1, 0.7]))[0]


@pytest.fixture
def rig():
    return cameras.rig()


@pytest.fixture
def folder(tmp_path, rig):
    cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in rig])
    return tmp_path


def read(name, source, **options):
    return [view.camera for view in importers.read(name, source, **options).views]


def same(expected, found, scale=1.0, tolerance=EXACT):
    assert [c.name for c in found] == [c.name for c in expected]
    worst = max(cameras.error(a, b, scale=scale) for a, b in zip(expected, found))
    assert worst <= tolerance, worst


# the samples: one set of ten cameras in every format


@pytest.mark.parametrize(
    ("name", "source", "scale", "tolerance"),
    [
        ("colmap", "colmap/text", 1.0, 1e-4),
        ("colmap", "colmap/bin", 1.0, 1e-4),
        ("transforms", "transforms.json", 1.0, 1e-4),
        ("metashape", "metashape_cameras.xml", 0.14, 1e-4),  # the file's world is in metres
        ("realitycapture", "realitycapture_internal_external.csv", 1.0, 1e-4),
        ("realitycapture", "realitycapture_xmp", 1.0, 1e-4),
        ("multiface", "KRT", 140.0, 1e-4),  # millimetres
        ("idr", "cameras_idr_neus_h3ds.npz", 140.0, 1e-4),
    ],
)
def test_samples(tmp_path, name, source, scale, tolerance):
    reference = captures.load(shared("data", "captures", "valid_wf2", "capture.json"))
    source = shared("data", "camera_formats", *source.split("/"))
    images = reference.views[0].image.parent
    if name == "multiface":  # the sample's cameras have numbers for names
        for index, view in enumerate(reference.views):
            (tmp_path / f"{400000 + index}.jpg").symlink_to(view.image)
        images = tmp_path
    found = importers.read(name, source, images=images)
    assert len(found.views) == (3 if name == "realitycapture" and source.is_dir() else 10)
    by_pixels = {view.image.resolve(): view.camera for view in found.views}
    worst = 0.0
    for view in reference.views:
        if camera := by_pixels.get(view.image.resolve()):
            worst = max(worst, cameras.error(view.camera, camera, scale=scale))
    assert 0 < worst < tolerance, worst
    expected_unit = {"metashape": 1000.0, "multiface": 1.0}.get(name)
    assert found.unit_mm == expected_unit
    if expected_unit:
        assert reference.unit_mm == pytest.approx(expected_unit * scale)


def test_the_sample_of_the_old_photoscan_dialect(tmp_path):
    source = shared("data", "camera_formats", "photoscan12_chunk_doc.xml")
    cameras.photos(tmp_path, [f"DSC_{i:04d}.jpg" for i in (254, 255, 256)], (4928, 3264))
    first, *_ = found = read("metashape", source, images=tmp_path)
    assert len(found) == 3
    np.testing.assert_allclose(
        first.K, [[3785.6640543048848, 0, 2507.7285949541611], [0, 3785.6640543048848, 1634.4246251309005], [0, 0, 1]]
    )
    d = first.distortion
    # the Lens manual of that time: x' = .. + P2 (r^2 + 2 x^2) + 2 P1 x y, which is OpenCV's order
    assert (d.k1, d.k3, d.p1) == (-0.091036111208473117, 0.0029678361024349652, 0.00042297471816851685)
    # all three look at the sculpture from one side: the world's point before them is in front of all and in the images
    target = np.array([[0.9, -0.2, 8.5]])
    for camera in found:
        pixels, depth = camera.project(target)
        assert depth > 0 and (pixels > 0).all() and (pixels < [4928, 3264]).all()


# each format's own file, written by the test


def test_colmap_text(folder, rig):
    same(rig, read("colmap", cameras.colmap_text(folder / "sparse" / "0", rig)))
    same(rig, read("colmap", folder))  # finds sparse/0 itself


def test_colmap_text_without_the_lines_of_points(folder, rig):
    model = cameras.colmap_text(folder / "sparse", rig)
    lines = [line for line in (model / "images.txt").read_text().splitlines() if line and not line.startswith("1.5")]
    (model / "images.txt").write_text("\n".join(lines))
    same(rig, read("colmap", model))


COLMAP_MODELS = {
    "SIMPLE_PINHOLE": ((), {}),
    "PINHOLE": ((), {}),
    "SIMPLE_RADIAL": ((0.08,), {"k1": 0.08}),
    "RADIAL": ((0.08, -0.03), {"k1": 0.08, "k2": -0.03}),
    "OPENCV": ((0.08, -0.03, 0.004, -0.006), {"k1": 0.08, "k2": -0.03, "p1": 0.004, "p2": -0.006}),
    "FULL_OPENCV": (
        (0.08, -0.03, 0.004, -0.006, 0.02, 0.01, 0.03, -0.02),
        {"k1": 0.08, "k2": -0.03, "p1": 0.004, "p2": -0.006, "k3": 0.02, "k4": 0.01, "k5": 0.03, "k6": -0.02},
    ),
}


@pytest.mark.parametrize("model", COLMAP_MODELS)
def test_colmap_models(folder, rig, model):
    extra, terms = COLMAP_MODELS[model]
    expected = [replace(camera, distortion=Distortion(**terms) if terms else None) for camera in rig]
    found = read("colmap", cameras.colmap_text(folder / "sparse", rig, model, extra))
    same(expected, found)
    assert all((camera.distortion is None) == (not terms) for camera in found)


def gl_pose(camera):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = camera.R.T @ cameras.FLIP, camera.center
    return pose.tolist()


def test_transforms(folder, rig):
    frames = [
        {
            "file_path": f"./images/{c.name}",
            "fl_x": c.K[0, 0],
            "cx": c.K[0, 2],
            "cy": c.K[1, 2],
            "transform_matrix": gl_pose(c),
        }
        for c in rig
    ]  # no extension, no w, h, fl_y: what the original NeRF leaves out
    frames.append({"file_path": "images/unknown", "transform_matrix": None})
    body = {"k1": 0.1, "k2": 0.02, "p1": 0.003, "p2": -0.004, "k3": 0.01, "aabb_scale": 16, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(body))
    expected = [replace(c, distortion=Distortion(0.1, 0.02, 0.003, -0.004, 0.01)) for c in rig]
    same(expected, read("transforms", folder))
    assert "Skipped 1" in importers.read("transforms", folder).notes[0]


def test_transforms_with_an_angle_and_no_principal_point(folder, rig):
    angle = 2 * np.arctan(cameras.WIDTH / 2 / 80.0)
    frames = [{"file_path": f"images/{c.name}.png", "transform_matrix": gl_pose(c)[:3]} for c in rig]
    (folder / "t.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    middle = np.array([[80.0, 0, cameras.WIDTH / 2], [0, 80.0, cameras.HEIGHT / 2], [0, 0, 1]])
    same([replace(c, K=middle) for c in rig], read("transforms", folder / "t.json"))


def test_metashape_with_affinity_skew_and_a_chunk_in_space(folder, rig):
    expected = [replace(c, K=c.K + np.array([[1.5, 0.7, 0], [0, 0, 0], [0, 0, 0]])) for c in rig]
    assert expected[0].K[0, 1] == 0.7  # b2 makes K upper triangular
    for where in ("chunk", "component"):
        world = (0.35, TURN, np.array([4.0, -2.0, 11.0]))
        file = cameras.metashape(folder / "cameras.xml", expected, world=world, where=where)
        same(expected, read("metashape", file))
    assert importers.read("metashape", file).unit_mm == 1000.0
    same(expected, read("metashape", cameras.metashape(file, expected)))
    assert importers.read("metashape", file).unit_mm is None


@pytest.mark.parametrize("k4", [0.0, 0.05])
def test_metashape_distortion_is_its_manuals(folder, rig, k4):
    """New dialect: p1 goes with r^2 + 2 x^2, b1 and b2 act on the distorted x', k4 is a fourth power of r^2."""
    k1, k2, k3, p1, p2, b1, b2 = -0.12, 0.06, -0.02, 0.004, -0.007, 1.25, -0.8

    def calibration(c):
        terms = (
            f"<k1>{k1}</k1><k2>{k2}</k2><k3>{k3}</k3><k4>{k4}</k4><p1>{p1}</p1><p2>{p2}</p2><b1>{b1}</b1><b2>{b2}</b2>"
        )
        cx, cy = float(c.K[0, 2] - c.width / 2), float(c.K[1, 2] - c.height / 2)
        return f"<f>{float(c.K[1, 1])}</f><cx>{cx}</cx><cy>{cy}</cy>{terms}"

    world = cameras.points()
    for camera, found in zip(rig, read("metashape", cameras.metashape(folder / "c.xml", rig, calibration))):
        X, Y, Z = camera.R @ world.T + camera.t[:, None]
        x, y = X / Z, Y / Z
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
        bent_x = x * radial + p1 * (r2 + 2 * x * x) + 2 * p2 * x * y
        bent_y = y * radial + p2 * (r2 + 2 * y * y) + 2 * p1 * x * y
        f = camera.K[1, 1]
        u = camera.K[0, 2] + bent_x * f + bent_x * b1 + bent_y * b2
        v = camera.K[1, 2] + bent_y * f
        inside = (u > 0) & (u < camera.width) & (v > 0) & (v < camera.height)
        assert inside.sum() > 100
        difference = np.abs(cameras.project(found, world) - np.stack([u, v], 1))[inside]
        assert difference.max() < (0.01 if k4 else EXACT)


def test_metashape_old_dialect(folder, rig):
    def calibration(c):
        K = c.K
        terms = "<k1>-0.1</k1><p1>0.004</p1><p2>-0.007</p2><skew>0.3</skew>"
        return f"<fx>{K[0, 0]}</fx><fy>{K[1, 1]}</fy><cx>{K[0, 2]}</cx><cy>{K[1, 2]}</cy>{terms}"

    expected = []
    for camera in rig:
        K = camera.K.copy()
        K[0, 1] = 0.3
        expected.append(replace(camera, K=K, distortion=Distortion(k1=-0.1, p1=0.004, p2=-0.007)))
    same(expected, read("metashape", cameras.metashape(folder / "doc.xml", rig, calibration)))


@pytest.mark.parametrize("as_elements", [False, True])
def test_realitycapture_xmp(folder, rig, as_elements):
    model = ("brown4t2", "0.1 0.02 0.01 0 0.005 -0.003")  # t1 is OpenCV's p2
    source = cameras.xmp(folder / "images", rig, *model, as_elements)
    expected = [replace(c, distortion=Distortion(0.1, 0.02, -0.003, 0.005, 0.01)) for c in rig]
    same(expected, read("realitycapture", source))


@pytest.mark.parametrize("normalised", [False, True])
def test_realitycapture_csv(folder, rig, normalised):
    header = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"
    if normalised:
        header = "#name,x,y,alt,yaw,pitch,roll,f_35mm,px_norm,py_norm,k1,k2,k3,k4,t1,t2"
    lines = [f"#cameras {len(rig)}", header]
    for c in rig:
        M = c.R.T @ cameras.FLIP  # camera -> world, OpenGL: Rz(-heading) Rx(pitch) Ry(roll)
        pitch = np.arcsin(M[2, 1])
        heading, roll = np.arctan2(M[0, 1], M[1, 1]), np.arctan2(-M[2, 0], M[2, 2])
        longer = max(c.width, c.height)
        px, py = (c.K[:2, 2] - [c.width / 2, c.height / 2]) / longer * (1 if normalised else 36)
        angles = np.degrees([heading, pitch, roll])
        values = [*c.center, *angles, c.K[0, 0] * 36 / longer, px, py, 0.1, 0, 0, 0, 0.005, -0.003]
        lines.append(f"{c.name}.png," + ",".join(f"{v:.17g}" for v in values))
    (folder / "cameras.csv").write_text("\r\n".join(lines))
    expected = [replace(c, distortion=Distortion(k1=0.1, p1=-0.003, p2=0.005)) for c in rig]
    same(expected, read("realitycapture", folder / "cameras.csv"))
    assert bool(importers.read("realitycapture", folder / "cameras.csv").notes) != normalised


def test_multiface(folder, rig):
    file = cameras.krt(folder / "KRT", rig, "0.1 0.02 0.003 -0.004 0.01")
    found = importers.read("multiface", file)
    expected = [replace(c, distortion=Distortion(0.1, 0.02, 0.003, -0.004, 0.01)) for c in rig]
    same(expected, [view.camera for view in found.views])
    assert found.unit_mm == 1.0 and "distortion of 4" in found.notes[0]
    # K of an OpenCV calibration counts from the centre of the first pixel
    shifted = cli.half_pixel(found, 0.5).views[0].camera
    np.testing.assert_allclose(shifted.K[:2, 2], rig[0].K[:2, 2] + 0.5)


def test_multiface_takes_the_first_frame_of_a_camera(tmp_path, rig):
    names = [f"images/{camera.name}/{frame:06d}.png" for camera in rig for frame in (120, 121)]
    cameras.photos(tmp_path, names)
    found = importers.read("multiface", cameras.krt(tmp_path / "KRT", rig))
    assert [view.image.name for view in found.views] == ["000120.png"] * 4
    assert [view.name for view in found.views] == [camera.name for camera in rig]


def test_idr(folder, rig):
    found = importers.read("idr", cameras.idr(folder / "cameras.npz", rig))  # P of a negative scale
    same(rig, [view.camera for view in found.views])
    assert found.unit_mm is None and "--unit-mm" in found.notes[0]


def test_realitycaptures_angles_are_those_of_its_makers_knowledge_base(folder):
    """The matrix printed there ("Registration export and camera orientations"), world -> camera in OpenCV axes."""
    header = "#name,x,y,alt,heading,pitch,roll,f\n"
    angles = np.array([[0.0, 0, 0], [30, 75, -10], [-140, 100, 25], [200, -20, 170]])
    rows = [f"cam{i:02d}.png,1,2,3,{y!r},{p!r},{r!r},50\n" for i, (y, p, r) in enumerate(angles.tolist())]
    (folder / "c.csv").write_text(header + "".join(rows))
    found = read("realitycapture", folder / "c.csv", images=folder / "images")
    for camera, (y, p, r) in zip(found, np.radians(angles)):
        cx, cy, cz, sx, sy, sz = np.cos(r), np.cos(p), np.cos(y), np.sin(r), np.sin(p), np.sin(y)
        expected = [
            [cx * cz + sx * sy * sz, -cx * sz + cz * sx * sy, -cy * sx],
            [-cy * sz, -cy * cz, -sy],
            [cx * sy * sz - cz * sx, cx * cz * sy + sx * sz, -cx * cy],
        ]
        np.testing.assert_allclose(camera.R, expected, atol=1e-12)
    # all zero: it looks down, its picture's top towards +Y; a point to the north appears above the middle
    pixels, depth = found[0].project(np.array([[1.0, 2.5, 0.0]]))
    assert depth[0] == pytest.approx(3) and pixels[0, 1] < cameras.HEIGHT / 2
