"""python -m bridge texture and reconstruct --texture: files, words and exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture.record import load  # noqa: E402
from bridge.job import texture as command  # noqa: E402
from bridge.job.cache import Cache  # noqa: E402
from bridge.report.results import write_ply  # noqa: E402
from bridge.texture import texture as module  # noqa: E402
from bridge.texture.texture import head_directions  # noqa: E402
from tests.support import ROOT, synthetic  # noqa: E402

CENTER, SCALE = np.array([50.0, -20.0, 10.0]), 3.0


def bridge(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bridge", *map(str, arguments), "--no-cache"]
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


def test_the_same_texture_is_baked_once(capture, head, tmp_path, monkeypatch):
    """The second time its files come from the cache, to the bit; one other number and it is baked again."""
    baked = []

    def bake(*arguments, **keywords):
        baked.append(arguments)
        return plain(*arguments, **keywords)

    plain = module.texture
    monkeypatch.setattr(module, "texture", bake)
    monkeypatch.setattr(command, "Cache", lambda: Cache(tmp_path / "cache"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("the artist's own")

    def run(name, *more):
        assert (
            command.main([str(head), "--capture", str(capture), "--size", "64", "-o", str(tmp_path / name), *more]) == 0
        )
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    first, second = run("a"), run("b")
    assert second == first | {"notes.txt": b"the artist's own"} and len(baked) == 1
    assert run("c", "--bits", "16")["albedo.png"] != first["albedo.png"] and len(baked) == 2
    assert run("a", "--no-cache") == first and len(baked) == 3


def test_reconstruct_textures_what_it_made(capture, tmp_path):
    out = tmp_path / "head.ply"
    done = bridge("reconstruct", capture, "-o", out, "--preset", "draft", "--normals", "measured", "--steps", 40,
                  "--max-vertices", 1500, "--texture", 128)  # fmt: skip
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


def test_a_photograph_that_is_gone_is_named(capture, head, tmp_path):
    shutil.copytree(capture, tmp_path / "capture")
    gone = sorted((tmp_path / "capture").rglob("*.png"))
    image = next(path for path in gone if "mask" not in path.parent.name and "normal" not in path.parent.name)
    image.unlink()
    done = bridge("texture", head, "--capture", tmp_path / "capture", "--size", 64, "-o", tmp_path / "out")
    assert done.returncode == 1 and image.name in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_overlapping_uvs_are_named_with_the_cure(capture, tmp_path):
    lines = ["v 50 -20 10", "v 51 -20 10", "v 51 -20 11", "v 50 -19 10", "v 51 -19 11", "v 50 -19 11"]
    lines += ["vt 0.1 0.1", "vt 0.9 0.1", "vt 0.9 0.9", "f 1/1 2/2 3/3", "f 4/1 5/2 6/3"]
    (tmp_path / "twice.obj").write_text("\n".join(lines))
    done = bridge("texture", tmp_path / "twice.obj", "--capture", capture, "-o", tmp_path / "out")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "UVs of the mesh 'twice.obj' overlap: 100.0 % of tile 1001" in done.stderr and "Pack Islands" in done.stderr


def test_up_and_front_come_from_the_rig(capture):
    up, front = head_directions(load(capture).cameras, np.array([CENTER - 1, CENTER + 1]))
    assert abs(up[2]) > 0.99 and abs(up @ front) < 1e-9 and np.linalg.norm(front) == pytest.approx(1)
