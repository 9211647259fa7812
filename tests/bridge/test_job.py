"""A whole reconstruction from measured normals, its files, its messages and its refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
trimesh = pytest.importorskip("trimesh")

from bridge.capture import images  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.job.cache import Cache  # noqa: E402
from bridge.job.runner import JobRunner  # noqa: E402
from bridge.report import evaluate  # noqa: E402
from bridge.service import protocol as p  # noqa: E402
from bridge.service.wire import Control  # noqa: E402
from tests.support import synthetic  # noqa: E402

SETTINGS = p.JobSettings(preset="draft", normals="measured", steps=60, max_vertices=2500)
CENTER = (40.0, -30.0, 25.0)  # a rig far from its world's origin


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    synthetic.write(folder, views=8, size=160, center=CENTER, scale=2.0, unit_mm=60.0)
    return folder


@pytest.fixture
def folder(source, tmp_path):
    shutil.copytree(source, tmp_path / "capture")
    return tmp_path / "capture"


def play(folder, output, settings=SETTINGS, control=None, on_message=lambda m: None, cache=None):
    heard = []

    def send(message):
        p.encode(message)  # whatever a job says must fit the wire
        heard.append(message)
        on_message(message)

    runner = JobRunner(cache or Cache(output / "cache"))
    runner.run(p.Run("j", str(folder), str(output), settings), send, control or Control())
    return heard


def the(kind, heard):
    return next((m for m in heard if isinstance(m, kind)), None)


@pytest.fixture(scope="module")
def done(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("done")
    return play(source, output), output


def test_the_result_is_a_closed_manifold_in_place_and_to_scale(done, source):
    heard, _ = done
    result = the(p.Result, heard)
    arrays = np.load(result.path)
    mesh = trimesh.Trimesh(arrays["vertices"], arrays["faces"], process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert mesh.euler_number == 2 and len(mesh.vertices) <= 2500
    np.testing.assert_allclose(mesh.bounds.mean(0), CENTER, atol=0.05)
    np.testing.assert_allclose(np.ptp(mesh.bounds, axis=0), 4 * synthetic.AXES, rtol=0.03)
    score = evaluate.evaluate(captures.load(source), mesh.vertices, mesh.faces)
    assert score.depth_mm < 1.2 and score.normal_deg < 4 and score.coverage_pct > 99  # the body is 29 cm high


def test_attributes_and_files(done):
    heard, output = done
    arrays = np.load(the(p.Result, heard).path)
    count = len(arrays["vertices"])
    assert arrays["vertices"].dtype == np.float64 and arrays["faces"].dtype == np.int32
    for name, kind in (("view_count", np.int32), ("confidence", np.float32), ("normal_error", np.float32)):
        assert arrays[name].shape == (count,) and arrays[name].dtype == kind
    waist = np.abs(arrays["vertices"][:, 2] - CENTER[2]) < 0.5 * 2.0 * synthetic.AXES[2]  # the ring sees it all
    assert arrays["view_count"].max() <= 8 and (arrays["view_count"][waist] >= 2).mean() > 0.98
    assert arrays["confidence"].min() >= 0 and arrays["confidence"].max() <= 1
    assert np.nanmedian(arrays["normal_error"]) < 4
    report = json.loads((output / "report.json").read_text())
    assert report["vertices"] == count and report["mask_iou"] > 0.97 and len(report["views"]) == 8
    for view in report["views"]:
        assert view["coverage_pct"] > 97 and 0.2 < view["confidence"] < 1 and view["normal_error_deg"] < 5
    assert {"Reading photos", "Carving the head"} <= set(report["seconds"])
    assert images.cv2.imread(str(output / "report.png")).shape[1] > 800
    assert not list(output.glob("*.tmp")) and not list(output.glob("preview*"))
    ply = trimesh.load(output / "head.ply", process=False)
    np.testing.assert_allclose(ply.vertices, arrays["vertices"])


def test_progress_never_falls_and_ends_at_one(done):
    heard, _ = done
    fractions = [m.fraction for m in heard if isinstance(m, p.Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
    assert the(p.Error, heard) is None


def test_same_seed_same_mesh(done, source, tmp_path):
    again = play(source, tmp_path)
    first, second = (np.load(the(p.Result, heard).path) for heard in (done[0], again))
    np.testing.assert_array_equal(first["vertices"], second["vertices"])
    np.testing.assert_array_equal(first["faces"], second["faces"])


def test_finish_keeps_what_is_there(source, tmp_path):
    control = Control()

    def impatient(message):
        if isinstance(message, p.Progress) and message.stage == "Carving the head" and message.done == 15:
            control.finish.set()

    heard = play(source, tmp_path, control=control, on_message=impatient)
    arrays = np.load(the(p.Result, heard).path)
    assert trimesh.Trimesh(arrays["vertices"], arrays["faces"], process=False).is_watertight
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["finished_early"] and report["steps"] <= 16


def test_cancel_leaves_no_result(source, tmp_path):
    control = Control()

    def stop(message):
        if isinstance(message, p.Progress) and message.stage == "Carving the head" and message.done == 5:
            control.cancel.set()

    heard = play(source, tmp_path, control=control, on_message=stop)
    assert the(p.Result, heard) is None and the(p.Error, heard) is None
    assert not (tmp_path / "head.npz").exists()


def test_the_prediction_alone_leaves_maps_masks_and_a_sheet(source, tmp_path):
    settings = p.JobSettings(normals="measured", stage="normals")
    heard = play(source, tmp_path / "out", settings)
    result = the(p.Result, heard)
    body = json.loads((tmp_path / "out" / "normals.json").read_text())
    assert [view["name"] for view in body["views"]] == [f"cam{i:02d}" for i in range(8)]
    assert result.path == str(tmp_path / "out" / "normals.json") and not list((tmp_path / "out").glob("head*"))
    view = body["views"][0]
    assert view["mask_given"] and 5 < view["head_pct"] < 90
    mask = images.cv2.imread(str(tmp_path / "out" / view["mask"]), -1)
    assert (mask > 127).mean() * 100 == pytest.approx(view["head_pct"], abs=0.01)
    sheet = images.cv2.imread(result.picture)
    assert sheet.shape[0] > 3 * 200 and sheet.std() > 20
    fractions = [m.fraction for m in heard if isinstance(m, p.Progress)]
    assert fractions == sorted(fractions) and fractions[-1] > 0.9


def edit(folder, change):
    body = json.loads((folder / "capture.json").read_text())
    change(body)
    (folder / "capture.json").write_text(json.dumps(body))


def truncated_image(folder):
    file = folder / "images" / "cam02.png"
    file.write_bytes(file.read_bytes()[:300])


def missing_image(folder):
    (folder / "images" / "cam02.png").unlink()


def other_size(folder):
    images.write(folder / "images" / "cam02.png", np.zeros((50, 70, 3), np.uint8))


def black_mask(folder):
    images.write(folder / "masks" / "cam02.png", np.zeros((160, 160), np.uint8))


def looks_away(folder):
    def turn(body):
        view = body["views"][2]
        R = np.diag([-1.0, 1, -1]) @ np.array(view["R"])  # half a turn about its own vertical
        view["t"] = (np.diag([-1.0, 1, -1]) @ np.array(view["t"])).tolist()
        view["R"] = R.tolist()

    edit(folder, turn)


def no_normals(folder):
    edit(folder, lambda b: b["views"][2].update(normals=None))


@pytest.mark.parametrize(
    ("damage", "code", "culprit"),
    [
        (truncated_image, "image-unreadable", "cam02"),
        (missing_image, "image-missing", "cam02"),
        (other_size, "image-size", "70 x 50"),
        (black_mask, "mask-empty", "cam02"),
        (looks_away, "cameras-apart", "cam02"),
        (no_normals, "normals-missing", "cam02"),
        (lambda folder: shutil.rmtree(folder), "capture", "capture"),
    ],
)
def test_refusals_are_one_sentence_with_culprit_and_cure(folder, tmp_path, damage, code, culprit):
    damage(folder)
    heard = play(folder, tmp_path / "out")
    errors = [m for m in heard if isinstance(m, p.Error)]
    assert len(errors) == 1 and the(p.Result, heard) is None
    assert errors[0].code == code and culprit in errors[0].sentence and errors[0].cure, errors[0]


def test_an_output_folder_that_cannot_be_written_fails_before_the_work(folder, tmp_path):
    (tmp_path / "wall").write_text("")
    heard = play(folder, tmp_path / "wall" / "out", cache=Cache(tmp_path))
    assert the(p.Error, heard).code == "output" and the(p.Progress, heard) is None


def test_a_full_disk_in_the_end_is_an_error_and_leaves_no_half_file(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bridge.report.results.np.savez", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    heard = play(folder, tmp_path / "out", p.JobSettings(preset="draft", normals="measured", steps=2))
    error = the(p.Error, heard)
    assert error.code == "output" and "No space left" in error.sentence
    assert not list((tmp_path / "out").glob("head*"))
    kept = Path(error.sentence.split("The head is kept as '")[1].split("'")[0])  # an hour's work is never lost
    assert kept.is_relative_to(tmp_path) and kept.read_bytes().startswith(b"ply")


def test_an_unknown_scale_and_a_giant_are_warnings(folder, tmp_path):
    edit(folder, lambda b: b.update(unit_mm=None))
    settings = p.JobSettings(preset="draft", normals="measured", steps=2, min_edge_mm=1.0)
    assert "no-scale" in [m.code for m in play(folder, tmp_path / "a", settings) if isinstance(m, p.Warning)]
    edit(folder, lambda b: b.update(unit_mm=10_000.0))
    assert "scale" in [m.code for m in play(folder, tmp_path / "b", settings) if isinstance(m, p.Warning)]


def test_a_wrong_camera_is_named_before_the_head_is_carved(folder, tmp_path):
    def zoom(body):
        for row in (0, 1):
            body["views"][3]["K"][row][row] *= 1.25

    edit(folder, zoom)
    settings = p.JobSettings(preset="draft", normals="measured", steps=2)
    cache = Cache(tmp_path / "cache")
    for name in ("fresh", "cached"):
        heard = play(folder, tmp_path / name, settings, cache=cache)
        # the body has no face: from opposite sides it looks the same, which is told as well
        told = [m for m in heard if isinstance(m, p.Warning) and m.code != "photo-twin"]
        assert [m.code for m in told] == ["camera-focal", "left-out"]
        assert all("'cam03'" in m.sentence for m in told)
        carving = next(k for k, m in enumerate(heard) if isinstance(m, p.Progress) and m.stage == "Carving the head")
        assert heard.index(told[0]) < carving


def test_the_cache_knows_each_photograph_mask_and_camera(source, folder):
    """What changes a pixel, a mask or a camera changes the key; a second look at the same does not."""
    from bridge.job.cache import key_of, parts_of

    def key(place):
        return key_of([part for view in captures.load(place).views for part in parts_of(view)])

    before = key(folder)
    assert before == key(source)  # the same files elsewhere
    seen = {before}
    for change in (
        lambda: images.write(folder / "images" / "cam02.png", np.full((160, 160, 3), 9, np.uint8)),
        lambda: images.write(folder / "masks" / "cam02.png", np.full((160, 160), 255, np.uint8)),
        lambda: edit(folder, lambda b: b["views"][1]["K"][0].__setitem__(2, 80.0)),
        lambda: edit(folder, lambda b: b["views"][1].update(distortion={"model": "opencv", "k1": 0.01})),
        lambda: edit(folder, lambda b: b["views"][3].update(mask=None)),
    ):
        change()
        seen.add(key(folder))
    assert len(seen) == 6
