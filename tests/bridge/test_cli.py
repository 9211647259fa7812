"""The command line as users call it: files, plain lines in a pipe, exit codes 0, 1 and 2."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.report import results  # noqa: E402
from tests.support import ROOT, synthetic  # noqa: E402


def bridge(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bridge", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli")
    synthetic.write(path, views=6, size=96)
    return path


def test_reconstruct_and_evaluate(folder, tmp_path):
    out = tmp_path / "deep" / "head.ply"
    done = bridge("reconstruct", folder, "-o", out, "--preset", "draft", "--normals", "measured", "--steps", 40,
                  "--max-vertices", 1500, "--report", tmp_path / "r.json", "--picture", tmp_path / "r.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "100%" not in done.stderr and "Carving the head" in done.stdout
    assert (tmp_path / "r.json").is_file() and (tmp_path / "r.png").is_file()
    vertices, faces = results.read_ply(out)
    assert len(vertices) <= 1500 and faces.max() == len(vertices) - 1
    score = bridge("evaluate", folder, out, "--json")
    assert score.returncode == 0 and '"normal_gradient"' in score.stdout


def test_measured_normals_come_out_as_they_went_in(folder, tmp_path):
    from bridge.capture.images import read_normals
    from bridge.capture.record import NormalsEncoding

    done = bridge("normals", folder, "-o", tmp_path, "--normals", "measured")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "contact.png").is_file()
    ours, theirs = (
        read_normals(path, NormalsEncoding(), "x")
        for path in (tmp_path / "cam00.png", folder / "normals" / "cam00.png")
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        ([], 2),
        (["--help"], 0),
        (["--version"], 0),
        (["reconstruct"], 2),
        (["reconstruct", "nowhere", "-o", "head.ply"], 1),
        (["reconstruct", "nowhere", "-o", "head.stl"], 2),
        (["evaluate", "nowhere", "head.ply"], 1),
    ],
)
def test_exit_codes(arguments, code):
    done = bridge(*arguments)
    assert done.returncode == code
    if code == 1:
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
