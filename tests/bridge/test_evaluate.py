"""The metrics on a body whose depth and normals are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.report import evaluate, results  # noqa: E402
from tests.support import synthetic  # noqa: E402


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return synthetic.write(tmp_path_factory.mktemp("truth"), views=3, size=256)


@pytest.fixture(scope="module")
def body():
    return synthetic.ellipsoid_mesh()


def test_the_truth_scores_perfectly(capture, body):
    score = evaluate.evaluate(capture, *body)
    assert score.depth_mm < 0.05 and score.normal_deg < 0.2 and score.below_10_pct == 100
    assert score.coverage_pct > 99.9 and score.normal_gradient < 0.003


def test_a_known_growth_is_measured_in_millimetres(capture, body):
    """1 % larger: along a head-on ray the surface comes 0.8 to 1.2 hundredths of a unit (120 mm) nearer."""
    score = evaluate.evaluate(capture, body[0] * 1.01, body[1])
    assert 0.9 < score.depth_median_mm < 2.2
    assert score.normal_deg < 1.0


def test_surface_distance_is_what_it_is(tmp_path, capture, body):
    """A mesh moved apart by 1 % of the diagonal everywhere; and one with a dent that no camera sees."""
    from dataclasses import replace

    results.write_ply(tmp_path / "truth.ply", *body)
    known = replace(capture, evaluation=replace(capture.evaluation, mesh=tmp_path / "truth.ply"))
    vertices, faces = body
    assert evaluate.evaluate(capture, *body).surface_pct is None
    score = evaluate.evaluate(known, vertices, faces)
    assert score.surface_pct < 1e-5 and score.crossing_faces == 0
    step = 0.01 * np.linalg.norm(np.ptp(vertices, axis=0))
    normals = vertices / np.array([synthetic.ellipsoid_mesh()[0].max(0)]) ** 2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    score = evaluate.evaluate(known, vertices + step * normals, faces)
    assert score.surface_pct == pytest.approx(1.0, rel=0.02)
    centers = np.stack([view.camera.center for view in capture.views])
    cosine = (normals[:, None] * (centers[None] - vertices[:, None])).sum(-1).max(1)
    hidden = cosine < -0.5
    assert hidden.sum() > 20
    dented = evaluate.evaluate(known, np.where(hidden[:, None], 0.9 * vertices, vertices), faces)
    assert dented.surface_pct < 0.01


def test_crossing_faces_are_counted(capture, body):
    vertices, faces = body
    folded = vertices.copy()
    folded[np.argmin(vertices[:, 2])] *= -1.2
    assert evaluate.evaluate(capture, folded, faces).crossing_faces > 0


def test_a_shift_of_one_pixel_shows(capture, body):
    pixel = 2 * 1.5 / 512
    honest, moved = (evaluate.evaluate(capture, body[0] + [0, 0, dz], body[1]) for dz in (0, pixel))
    assert moved.normal_deg > honest.normal_deg + 0.1 and moved.depth_mm > honest.depth_mm + 0.1


def test_mirrored_and_turned_bodies_are_wrong(capture, body):
    turned = body[0][:, [1, 0, 2]]
    assert evaluate.evaluate(capture, turned, body[1]).normal_deg > 3
    inside_out = body[1][:, ::-1]
    assert evaluate.evaluate(capture, body[0], inside_out).normal_deg > 90


def test_alignment_recovers_a_similarity(capture, body):
    angle = 0.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    foreign = 3.0 * body[0] @ turn.T + [4, 5, 6]
    aligned = evaluate.align_similarity(foreign, *body)
    assert np.linalg.norm(aligned - body[0], axis=1).max() < 1e-3


def test_alignment_goes_by_what_is_judged(capture, body):
    """A neck or a back that is nobody's truth must not move the face, nor a web that hangs before it."""
    vertices = body[0].copy()
    vertices[vertices[:, 2] < 0] *= 1.1
    web = np.random.default_rng(0).uniform([-0.5, -0.5, 1.5], [0.5, 0.5, 2.0], (4000, 3))
    vertices = np.concatenate([vertices, web])
    shifted = 1.02 * vertices + [0.01, 0.02, 0]
    everything, face = (evaluate.align_similarity(shifted, *body, counts) for counts in (None, body[0][:, 2] > 0.1))
    front = body[0][:, 2] > 0.1
    off = [np.linalg.norm(found[: len(body[0])] - body[0], axis=1)[front].mean() for found in (everything, face)]
    assert off[0] > 0.01 and off[1] < 1e-3


def test_judged_are_the_vertices_that_a_view_shows_in_its_face(capture, body):
    truths = [evaluate.read_truth(capture.evaluation, i) for i in range(len(capture.evaluation.views))]
    counts = evaluate.inside_evaluation_masks(truths, body[0])
    assert 0 < counts.sum() < len(counts)
    eyes = np.stack([truth.camera.center for truth in truths])
    sight = eyes[:, None] - body[0]
    normals = body[0] / body[0].max(0) ** 2
    cosine = (sight * normals).sum(-1) / np.linalg.norm(sight, axis=-1) / np.linalg.norm(normals, axis=-1)
    assert cosine.max(0)[counts].min() > -0.1  # depth maps end a pixel beyond the outline


def test_no_truth_and_no_overlap_are_sentences(tmp_path, capture, body):
    from dataclasses import replace

    with pytest.raises(BridgeError, match="no evaluation block"):
        evaluate.evaluate(replace(capture, evaluation=None), *body)
    with pytest.raises(BridgeError, match="not where"):
        evaluate.evaluate(capture, body[0] + 100, body[1])


def test_the_command_reads_ply(tmp_path, capture, body, capsys):
    results.write_ply(tmp_path / "body.ply", *body, confidence=np.ones(len(body[0]), np.float32))
    folder = capture.views[0].image.parents[1]
    assert evaluate.main([str(folder), str(tmp_path / "body.ply"), "--json"]) == 0
    assert '"depth_mm"' in capsys.readouterr().out
    (tmp_path / "no.ply").write_text("ply\n")
    assert evaluate.main([str(folder), str(tmp_path / "no.ply")]) == 1
    assert "no.ply" in capsys.readouterr().err


def test_ply_is_read_by_others_and_by_us(tmp_path, body):
    trimesh = pytest.importorskip("trimesh")
    count = np.arange(len(body[0]), dtype=np.int32)
    results.write_ply(tmp_path / "a.ply", *body, view_count=count)
    theirs = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(theirs.vertices, body[0], atol=1e-12)
    np.testing.assert_array_equal(theirs.faces, body[1])
    for encoding in ("ascii", "binary"):
        theirs.export(tmp_path / "b.ply", encoding=encoding)
        vertices, faces = results.read_ply(tmp_path / "b.ply")
        np.testing.assert_allclose(vertices, body[0], atol=1e-6)
        np.testing.assert_array_equal(faces, body[1])
