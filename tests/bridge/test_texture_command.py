"""python -m bridge texture and reconstruct --texture: files, words and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture.record import load  # noqa: E402
from bridge.report.results import write_ply  # noqa: E402
from bridge.texture.texture import head_directions  # noqa: E402
from tests.support import ROOT, synthetic  # noqa: E402

CENTER, SCALE = np.array([50.0, -20.0, 10.0]), 3.0


def bridge(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bridge", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    path = tmp_path_factory.mktemp("texture")
    synthetic.write(path, views=6, size=128, center=CENTER, scale=SCALE)
    return path


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "head.ply"
    write_ply(path, *synthetic.ellipsoid_mesh(CENTER, SCALE, rings=48))
    return path


def test_a_bare_mesh_gets_uvs_maps_and_a_report(capture, head, tmp_path):
    dense = tmp_path / "dense.ply"
    write_ply(dense, *synthetic.ellipsoid_mesh(CENTER, SCALE, rings=96))
    done = bridge("texture", head, "--capture", capture, "--size", 256, "--detail-from", dense, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Texturing" in done.stdout and "seen by a photograph" in done.stdout
    body = json.loads((tmp_path / "out" / "texture.json").read_text())
    assert body["uvs"] == "made" and body["tiles"] == [1001] and len(body["views"]) == 6
    assert body["maps"]["albedo"] == ["albedo.png"] and body["displacement"]["mid_level"] == 0
    shapes = {
        name: cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED) for name in ("albedo.png", "normal.png")
    }
    assert shapes["albedo.png"].shape == (256, 256, 3) and shapes["normal.png"].dtype == np.uint16
    assert (tmp_path / "out" / "displacement.exr").is_file()
    # its own result is a mesh with UVs: they are used, and nothing is unwrapped again
    again = bridge(
        "texture", tmp_path / "out" / "textured.obj", "--capture", capture, "--size", 64, "-o", tmp_path / "b"
    )
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "b" / "texture.json").read_text())["uvs"] == "given"
    assert not (tmp_path / "b" / "textured.obj").exists()


def test_reconstruct_textures_what_it_made(capture, tmp_path):
    out = tmp_path / "head.ply"
    done = bridge("reconstruct", capture, "-o", out, "--preset", "draft", "--normals", "measured", "--steps", 40,
                  "--max-vertices", 1500, "--texture", 128, "--no-cache")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Texturing" in done.stdout
    made = {path.name for path in (tmp_path / "head_texture").iterdir()}
    assert made == {"albedo.png", "textured.obj", "textured.mtl", "textured.npz", "texture.json"}
    with np.load(tmp_path / "head_texture" / "textured.npz") as arrays:
        assert arrays["faces_uv"].shape == arrays["faces"].shape and arrays["uv"].max() <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.ply"], "There is no mesh at 'nothing.ply'"),
        (["HEAD", "--without", "nobody"], "No view is called 'nobody'"),
        (["HEAD", "--size", "7"], "7 texels"),
        (["bare.obj"], "'bare.obj' has no UVs. Unwrap it, or let --unwrap make UVs for it."),
    ],
)
def test_what_cannot_be_textured_is_said_in_one_sentence(capture, head, tmp_path, arguments, says):
    (tmp_path / "bare.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    mesh = {"HEAD": head, "bare.obj": tmp_path / "bare.obj"}.get(arguments[0], arguments[0])
    done = bridge("texture", mesh, *arguments[1:], "--capture", capture, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_up_and_front_come_from_the_rig(capture):
    up, front = head_directions(load(capture).cameras, np.array([CENTER - 1, CENTER + 1]))
    assert abs(up[2]) > 0.99 and abs(up @ front) < 1e-9 and np.linalg.norm(front) == pytest.approx(1)
