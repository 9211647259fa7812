"""Structure from motion on photographs of a body whose cameras are known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycolmap")

from PIL import Image  # noqa: E402

from bridge.calibrate import cli, photographs  # noqa: E402
from bridge.capture import images  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from tests.support import ROOT  # noqa: E402
from tests.support import photographs as synthetic  # noqa: E402

SIZE, COUNT = 320, 8
RIG = synthetic.arc(COUNT, 100, SIZE)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return synthetic.album(tmp_path_factory.mktemp("album") / "photos", RIG)


@pytest.fixture(scope="module")
def calibrated(album):
    """(exit code, folder) of a plain run."""
    folder = album.parent / "capture"
    return cli.calibrate_main([str(album), "-o", str(folder)]), folder


# the rig's principal point is 4 pixels (0.7 degrees) off the middle, which eight photographs alone do not tell


def compare(capture):
    """Worst rotation error in degrees and worst centre error as a share of the distance, after a similarity."""
    known = {camera.name: camera for camera in RIG}
    found = [camera for camera in capture.cameras if camera.name in known]
    truth = [known[camera.name] for camera in found]
    centers = [np.stack([camera.center for camera in rig]) for rig in (found, truth)]
    scale, R, offset = synthetic.aligned(*centers)
    away = np.linalg.norm(scale * centers[0] @ R.T + offset - centers[1], axis=1) / 5.0
    turned = [synthetic.angle_deg(a.R @ R.T, b.R) for a, b in zip(found, truth)]
    return max(turned), float(away.max())


def test_the_cameras_are_found(calibrated):
    code, folder = calibrated
    assert code == 0
    capture = captures.load(folder)
    report = json.loads((folder / "calibration.json").read_text())
    assert [view.name for view in capture.views] == [camera.name for camera in RIG]
    turned, away = compare(capture)
    assert turned < 1 and away < 0.02, (turned, away)
    for camera in capture.cameras:
        assert camera.K[0, 0] == pytest.approx(RIG[0].K[0, 0], rel=0.04)
    assert report["joined"] == report["photographs"] == COUNT and report["error_px"] < 0.5
    assert capture.unit_mm is None and report["failed"] == [] and (folder / "points.ply").is_file()
    assert not list(folder.parent.glob(".*partial"))
    # one camera is held still, all others have a spread of the size of their error
    assert sorted(view["loose_deg"] > 0 for view in report["views"]) == [False] + [True] * (COUNT - 1)
    assert all(view["loose_deg"] < 0.5 for view in report["views"])


def test_the_capture_stands_upright_and_says_how(calibrated):
    capture = captures.load(calibrated[1])
    # the rig was level with +z up and stood before the -y side, so after the turn every camera must do so, too
    for found, known in zip(capture.cameras, RIG):
        assert synthetic.angle_deg(found.R, known.R) < 4
    # 1.5 units either side of the middle were in the picture: the head of 0.45 of that has the radius of a head
    scale = 0.15 / (0.45 * 1.5)
    assert np.abs(capture.cameras[3].center / scale - RIG[3].center).max() < 0.5
    back = np.linalg.inv(capture.upright.rotation)
    assert np.allclose(back @ capture.upright.rotation, np.eye(3)) and capture.upright.scale > 0


def test_the_same_photographs_give_the_same_cameras(album, calibrated, tmp_path):
    assert cli.calibrate_main([str(album), "-o", str(tmp_path / "again")]) == 0
    for a, b in zip(captures.load(calibrated[1]).cameras, captures.load(tmp_path / "again").cameras):
        # Ceres orders some of its sums by addresses in memory, so that the last digits may differ from run to run
        for found, again in ((a.K, b.K), (a.R, b.R), (a.t, b.t)):
            assert np.allclose(found, again, rtol=1e-9, atol=1e-9)


def test_who_did_not_join_is_named_with_the_reason(album, tmp_path, capsys):
    photos = tmp_path / "photos"
    shutil.copytree(album, photos)
    (photos / "photo00.png").rename(photos / "other.png")
    volume = synthetic.pattern(seed=8)  # another body
    cv2.imwrite(str(photos / "other.png"), synthetic.shoot(RIG[0], volume))
    Image.new("RGB", (SIZE, SIZE), (40, 40, 40)).save(photos / "dark.png")
    code = cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture"), "--report", str(tmp_path / "r.json")])
    said = capsys.readouterr()
    failed = {item["image"]: item["why"] for item in json.loads((tmp_path / "r.json").read_text())["failed"]}
    assert code == 0 and set(failed) == {"other.png", "dark.png"}
    assert "only 0 features" in failed["dark.png"] and "shares" in failed["other.png"]
    assert "7 of 9 photographs joined; shoot with more overlap" in said.err
    assert "did not join" in said.out
    assert len(captures.load(tmp_path / "capture").views) == 7


def test_too_few_end_in_one_sentence_and_leave_nothing(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        volume = synthetic.pattern(seed=20 + i)
        cv2.imwrite(str(photos / f"{i}.png"), synthetic.shoot(RIG[i], volume))
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture")]) == 1
    said = capsys.readouterr().err
    assert "Error: Only 0 of 4 photographs could be joined." in said and "at least every 15 degrees" in said
    assert not (tmp_path / "capture").exists()
    (photos / "0.png").unlink()
    (photos / "1.png").rename(photos / "1.cr2")
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture")]) == 1
    said = capsys.readouterr().err
    assert "holds 2 photographs that can be read; a calibration needs at least 3" in said
    assert "1 raw file (CR2): export them as JPEG or TIFF." in said


def test_masks_ignore_a_background_that_does_not_turn_with_the_head(album, tmp_path):
    """On a turntable the background stands still, and without masks it says that the camera never moved."""
    backdrop = cv2.resize(np.random.default_rng(1).integers(0, 255, (80, 80), np.uint8), (SIZE, SIZE))
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos, masks):
        folder.mkdir()
    for camera in RIG:
        body = cv2.imread(str(album / f"{camera.name}.png"))
        inside = body[..., 0] > 0
        body[~inside] = backdrop[~inside, None]
        cv2.imwrite(str(photos / f"{camera.name}.png"), body)
        cv2.imwrite(str(masks / f"{camera.name}.png"), inside.astype(np.uint8) * 255)
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "with"), "--masks", str(masks)]) == 0
    capture = captures.load(tmp_path / "with")
    assert len(capture.views) == COUNT and all(view.mask for view in capture.views)
    turned, away = compare(capture)
    assert turned < 1 and away < 0.02, (turned, away)
    kept = [str(photos), "-o", str(tmp_path / "kept"), "--masks", str(masks), "--keep-background"]
    if cli.calibrate_main(kept) == 0:  # may well find nothing at all
        assert (
            len(captures.load(tmp_path / "kept").views) < COUNT or compare(captures.load(tmp_path / "kept"))[1] > 0.02
        )


def test_a_camera_that_hangs_loose_is_named():
    from bridge.calibrate import motion, report
    from bridge.calibrate.photographs import Photograph

    def joined(camera, loose):
        photograph = Photograph(Path(f"{camera.name}.png"), SIZE, SIZE)
        return motion.Registered(photograph, camera, 0, 1000, 200, 0.2, loose)

    loose = [0.0, 0.01, 0.012, 0.03, 0.011, 0.25, 0.01, 0.009]
    found = motion.Motion(tuple(map(joined, RIG, loose)), (), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), 0.2)
    assert [sentence[:44] for sentence in report.advice(found)] == ["The camera of 'photo05' is held far more loo"]


@pytest.mark.parametrize(("second", "model"), [(8.0, "RADIAL"), (0.0, "SIMPLE_RADIAL")])
def test_a_lens_that_bends_back_at_the_rim_gets_a_second_term(second, model):
    """With one term alone the focal length takes the blame: 0.5 % of it and more."""
    import pycolmap

    from bridge.calibrate import motion

    pycolmap.set_random_seed(0)
    truth = [1300.0, 800.0, 600.0, -0.8, second]  # strong: what is made lies in the middle of the pictures
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=12, num_points3D=600, camera_width=1600,
        camera_height=1200, camera_model_id=pycolmap.CameraModelId.RADIAL, camera_params=truth,
    )  # fmt: skip
    solved = pycolmap.synthesize_dataset(options)
    pycolmap.synthesize_noise(pycolmap.SyntheticNoiseOptions(point2D_stddev=0.4), solved)
    for camera in solved.cameras.values():
        params = camera.params[:4]
        camera.model = pycolmap.CameraModelId.SIMPLE_RADIAL
        camera.params = params
    one, _ = motion._adjusted(pycolmap.Reconstruction(solved), "simple")
    auto, _ = motion._adjusted(pycolmap.Reconstruction(solved), motion.AUTO)
    (plain,), (found,) = one.cameras.values(), auto.cameras.values()
    assert (plain.model.name, found.model.name) == ("SIMPLE_RADIAL", model)
    assert abs(found.params[0] / truth[0] - 1) < 0.002
    assert (abs(plain.params[0] / truth[0] - 1) > 0.005) == (second > 0)


# scale


def picks(point, names):
    found = []
    for camera in RIG:
        if camera.name in names:
            (x, y), _ = camera.project(np.array([point]))[0][0], None
            found.append(f"{camera.name}:{x:.2f},{y:.2f}")
    return found


def test_a_known_length_gives_the_unit(calibrated, tmp_path, capsys):
    ends = [[0.3, -0.8, 0.2], [-0.4, -0.7, 0.1]]
    distance = float(np.linalg.norm(np.subtract(*ends)))
    names = ("photo02", "photo04", "photo06")
    between = [part for end in ends for part in ("--between", *picks(end, names))]
    shutil.copytree(calibrated[1], tmp_path / "capture")
    assert cli.scale_main([str(tmp_path / "capture"), "--length", "63", *between]) == 0
    capture = captures.load(tmp_path / "capture")
    # 63 mm are `distance` units of the true rig, whose cameras are 5 units from the middle
    far = np.linalg.norm(capture.cameras[3].center - capture.cameras[0].center) * capture.unit_mm
    truth = np.linalg.norm(RIG[3].center - RIG[0].center) / distance * 63
    assert far == pytest.approx(truth, rel=0.04)
    assert "One unit of" in capsys.readouterr().out

    def refused(*picked):
        assert cli.scale_main([str(tmp_path / "capture"), "--interpupillary", *picked]) == 1
        return capsys.readouterr().err

    ok = ["--between", *picks(ends[1], names)]
    assert "picked in one photograph only" in refused("--between", *picks(ends[0], names[:1]), *ok)
    assert "No view is called 'nobody'" in refused("--between", "nobody:1,2", "photo02:3,4", *ok)
    assert "do not meet" in refused("--between", "photo00:10,10", "photo07:20,300", *ok)
    assert "outside 'photo00'" in refused("--between", "photo00:1000,10", "photo07:20,30", *ok)
    with pytest.raises(SystemExit):
        cli.scale_main([str(tmp_path / "capture"), "--length", "63", "--between", "photo02", *ok])


def test_printed_markers_give_the_unit(tmp_path, capsys):
    """A square of 0.4 units stands before the body; it is 30 mm wide."""
    tile = cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50), 7, 200)
    sheet = cv2.copyMakeBorder(tile, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)
    plane = np.array([[0.4 / 200, 0, -0.28], [0, 0, -1.3], [0, -0.4 / 200, 0.28]])  # sheet's (x, y, 1) -> world
    views = []
    for camera in RIG[1:7:2]:
        camera = camera.resize(600, 600)
        onto = camera.K @ (camera.R @ plane + np.outer(camera.t, [0, 0, 1]))
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # pixel centres on both sides
        path = tmp_path / f"{camera.name}.png"
        picture = cv2.warpPerspective(sheet, np.linalg.inv(half) @ onto @ half, (600, 600), borderValue=90)
        images.write(path, cv2.merge([picture] * 3))
        views.append(captures.View(camera, path))
    captures.save(captures.Capture("markers", tuple(views)), tmp_path)
    assert cli.scale_main([str(tmp_path), "--marker", "30"]) == 0
    assert captures.load(tmp_path).unit_mm == pytest.approx(30 / 0.4, rel=0.01)
    assert "median of 1 marker." in capsys.readouterr().out
    captures.save(captures.Capture("markers", tuple(views[:1])), tmp_path)
    assert cli.scale_main([str(tmp_path), "--marker", "30"]) == 1
    assert "No square marker was found in two photographs" in capsys.readouterr().err


def test_opencv_is_loaded_before_pycolmap():
    """The other way round its first use crashes the process."""
    code = (
        "import sys, bridge.calibrate.motion, numpy, cv2; order = list(sys.modules);"
        "assert order.index('cv2') < order.index('pycolmap');"
        "ok, png = cv2.imencode('.png', numpy.zeros((64, 64), numpy.uint8));"
        "print(cv2.erode(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), numpy.ones((5, 5), numpy.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "(64, 64)", done.stderr


# files


def test_photographs_are_turned_as_their_exif_says(tmp_path):
    tall = np.zeros((40, 30, 3), np.uint8)
    tall[:10] = 200  # bright at the top, as it was seen
    for orientation, quarter in ((6, 1), (8, -1), (3, 2)):
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(tall, quarter)))
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif.get_ifd(0x8769)[0xA405] = 26
        name = f"turned{orientation}.jpg"
        stored.save(tmp_path / name, exif=exif, quality=95)
        found = photographs.read(tmp_path / name)
        assert (found.width, found.height) == (30, 40) and found.turned
        assert found.focal_px == pytest.approx(26 * 50 / np.hypot(36, 24), rel=1e-6)
        (upright,) = photographs.upright([found], tmp_path / "out")
        pixels = np.asarray(Image.open(upright.path))
        assert pixels.shape == (40, 30, 3) and pixels[:8].mean() > 180 and pixels[12:].mean() < 20
        assert Image.open(upright.path).getexif().get(0x0112, 1) == 1


def test_the_sensors_own_resolution_gives_the_focal_length(tmp_path):
    exif = Image.Exif()
    values = exif.get_ifd(0x8769)
    values[0x920A] = 50.0  # mm
    values[0xA20E], values[0xA210] = 60.0 / 24 * 10, 3  # pixels a centimetre: 60 pixels on 24 mm
    values[0xA002], values[0xA003] = 60, 40
    Image.new("RGB", (30, 20)).save(tmp_path / "half.jpg", exif=exif)  # scaled down since
    assert photographs.read(tmp_path / "half.jpg").focal_px == pytest.approx(50 / 24 * 30, rel=1e-6)


def test_lenses_are_shared_by_what_was_taken_alike(album, tmp_path):
    from bridge.calibrate.motion import lens_groups

    found, notes = photographs.gather(album)
    assert notes == [] and lens_groups(found, True) == [0] * COUNT and lens_groups(found, False) == list(range(COUNT))
    Image.new("RGB", (20, 30)).save(tmp_path / "a.png")
    other = photographs.read(tmp_path / "a.png")
    assert lens_groups([found[0], other, found[1]], True) == [0, 1, 0]


def test_a_truncated_photograph_and_two_of_one_name_are_refused(album, tmp_path, capsys):
    photos = tmp_path / "photos"
    shutil.copytree(album, photos)
    shutil.copy(photos / "photo01.png", photos / "photo01.bmp")
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture")]) == 1
    assert "'photo01.bmp' and 'photo01.png' would become one view" in capsys.readouterr().err
    (photos / "photo01.bmp").unlink()
    (photos / "photo01.png").write_bytes(b"no picture")
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture")]) == 1
    assert "The photograph 'photo01.png' cannot be read" in capsys.readouterr().err
    (photos / "photo01.png").unlink()
    Image.open(photos / "photo02.png").save(photos / "photo01.jpg", quality=95)
    whole = (photos / "photo01.jpg").read_bytes()
    (photos / "photo01.jpg").write_bytes(whole[: len(whole) // 2])  # its header is good
    assert cli.calibrate_main([str(photos), "-o", str(tmp_path / "capture")]) == 1
    assert "The photograph 'photo01.jpg' cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "capture").exists()


def test_without_pycolmap_the_cure_is_one_sentence(album, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.calibrate_main([str(album), "-o", str(tmp_path / "capture")]) == 1
    said = capsys.readouterr().err
    assert "lacks" in said and "pip install 'pycolmap" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for a child")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancel_leaves_nothing_behind(tmp_path, number):
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for i in range(6):  # large and rich, so that the features take a while
        images.write(photos / f"{i}.png", noise.integers(0, 255, (1500, 2000, 3), np.uint8))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-u", "-m", "bridge", "calibrate", str(photos), "-o", str(tmp_path / "capture")]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    for line in child.stdout:
        if "Finding features" in line:
            break
    assert list(Path(temporary).glob("skullptor-calibrate-*"))
    time.sleep(0.3)
    child.send_signal(number)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 1 and "Stopped." in error and "Traceback" not in error and "Aborted" not in error
    assert not (tmp_path / "capture").exists() and not list(temporary.iterdir())
