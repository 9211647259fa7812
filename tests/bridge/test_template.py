"""Head templates: what is read, what is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import tomllib
import zipfile

import numpy as np
import pytest

from bridge.errors import BridgeError
from bridge.job.wrap import with_landmarks
from bridge.model import arkit, ict, own
from bridge.model.glb import read_glb
from bridge.model.load import load_template
from bridge.model.loops import beyond, edge_loop
from bridge.model.obj import read_obj, write_obj
from bridge.model.package import HM08, find
from bridge.model.template import Template, edges_of, kept, split_quads
from tests.support import shared


@pytest.fixture(scope="module")
def hm08() -> Template:
    if find(HM08) is None:
        pytest.skip("MakeHuman's data are not here: python -m bridge weights hm08")
    return load_template("hm08")


@pytest.fixture(scope="module")
def ict_head() -> Template:
    return ict.load(shared("data", "ict_facekit.npz"))


def tube(rings: int = 6, sides: int = 8) -> np.ndarray:  # [F, 4]
    return np.array(
        [
            [r * sides + s, r * sides + (s + 1) % sides, (r + 1) * sides + (s + 1) % sides, (r + 1) * sides + s]
            for r in range(rings - 1)
            for s in range(sides)
        ]
    )


def test_arkit_has_52_names():
    assert len(arkit.NAMES) == len(set(arkit.NAMES)) == 52
    assert {"eyeBlinkLeft", "jawOpen", "mouthUpperUpRight", "tongueOut"} <= set(arkit.NAMES)


def test_an_edge_loop_goes_around_a_tube_and_cuts_it():
    faces = tube()
    loop = edge_loop(faces, 16, 17)
    assert sorted(loop) == list(range(16, 24))
    assert sorted(np.flatnonzero(beyond(faces, loop, 47, 48))) == list(range(16, 48))
    with pytest.raises(ValueError, match="does not close"):
        edge_loop(faces, 16, 24)


def border(faces: np.ndarray) -> np.ndarray:  # edges of one face only
    edges = np.concatenate([np.sort(faces[:, [k, (k + 1) % 4]], 1) for k in range(4)])
    found, count = np.unique(edges, axis=0, return_counts=True)
    return found[count == 1]


def test_hm08_is_a_head_of_quads_that_is_open_at_the_neck_only(hm08):
    skin = hm08.of_part("skin")
    faces = hm08.faces[skin[hm08.faces[:, 0]]]
    assert (hm08.faces >= 0).all()
    rim = border(faces)
    assert len(rim) == 42 and (np.bincount(rim.ravel())[np.unique(rim)] == 2).all()
    assert hm08.vertices[rim].mean((0, 1))[1] < hm08.vertices[skin, 1].min() + 50
    assert 200 < np.ptp(hm08.vertices[skin, 1]) < 350  # millimetres
    assert len(hm08.uv) and hm08.faces_uv.max() < len(hm08.uv)


def test_hm08_people_differ_and_left_is_left(hm08):
    assert (hm08.vertices[hm08.of_part("eye_left"), 0] > 0).all()
    assert (hm08.vertices[hm08.of_part("eye_right"), 0] < 0).all()
    assert (hm08.mirror[hm08.mirror] == np.arange(len(hm08.mirror))).all()
    mirrored = hm08.vertices[hm08.mirror] * [-1, 1, 1]
    assert np.abs(mirrored - hm08.vertices)[hm08.of_part("skin")].max() < 1.5
    rms = np.sqrt((hm08.identity.astype(float) ** 2).sum(2).mean(1))
    assert (np.diff(rms[:20]) < 0.3).all() and 1 < rms[0] < 8


@pytest.mark.parametrize("name", ["hm08", "ict_head"])
def test_shapes_move_what_they_should(name, request):
    template = request.getfixturevalue(name)
    assert template.expression_names == arkit.NAMES
    move = dict(zip(template.expression_names, np.linalg.norm(template.expressions, axis=2)))
    assert move["jawOpen"][template.of_part("teeth_lower")].min() > 2
    assert move["jawOpen"][template.of_part("teeth_upper")].max() < 1
    side, depth = template.vertices[:, 0], template.vertices[:, 2]
    corners = template.landmarks.points(template.vertices)[[33, 263], 2].min()  # of the eyes
    skin = template.of_part("skin") & (depth > corners - 3)  # the cavities behind it are nobody's face
    left, right = (move["eyeBlinkLeft"][skin & (sign * side > 5)].max() for sign in (1, -1))
    assert left > 5 and left > 5 * right  # MakeHuman's own moves the other side by a twelfth


@pytest.mark.parametrize("name", ["hm08", "ict_head"])
def test_landmarks_lie_where_the_face_mesh_has_them(name, request):
    template = request.getfixturevalue(name)
    points = template.landmarks.points(template.vertices)
    assert points[263, 0] > 20 and points[33, 0] < -20  # outer corners of the eyes, the subject's left is +x
    assert points[1, 2] == points[:, 2].max() or points[:, 2].max() - points[1, 2] < 3  # the nose's tip
    assert points[152, 1] < points[17, 1] < points[1, 1] < points[10, 1]
    assert np.median(template.landmarks.spread) < 3


def test_a_missing_model_names_its_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("SKULLPTOR_MODELS", str(tmp_path))
    monkeypatch.delenv("SKULLPTOR_ICT", raising=False)
    with pytest.raises(BridgeError) as caught:
        load_template("ict")
    assert caught.value.code == "template-missing" and "hm08" in caught.value.cure


def cube(scale: float = 0.2) -> str:
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lines = ["v " + " ".join(str(scale * c) for c in p) for p in corners]
    return "\n".join([*lines, "f 1 3 4 2", "f 5 6 8 7", "f 1 2 6 5", "f 3 7 8 4", "f 1 5 7 3", "f 2 4 8 6", ""])


def test_an_own_template_comes_in_millimetres(tmp_path):
    path = tmp_path / "mine.obj"
    path.write_text(cube())
    template = own.load(path)
    assert template.vertices.max() == pytest.approx(200)
    assert len(edges_of(template.faces)) == 12 and len(split_quads(template.faces)) == 12


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (cube() + "f 1 2 4 6 8\n", "template-mesh"),  # an n-gon
        (cube(0.0002), "template-unit"),
        (cube() + cube().replace("f ", "# ") + "f 9 11 12 10\nf 13 14 16 15\n", "template-pieces"),
        (cube().replace("f 1 3 4 2", "f 1 2 4 3"), "template-mesh"),  # one face looks inside
        ("v 0 0 0\n", "template-mesh"),
    ],
)
def test_what_cannot_be_a_template_is_refused(tmp_path, text, code):
    path = tmp_path / "mine.obj"
    path.write_text(text)
    with pytest.raises(BridgeError) as caught:
        own.load(path)
    assert caught.value.code == code and caught.value.cure


def test_obj_goes_out_as_it_came_in(tmp_path):
    template = Template(
        "t",
        np.arange(15.0).reshape(5, 3),
        np.array([[0, 1, 2, 3], [0, 3, 4, -1]], np.int32),
        np.array([[0, 0], [0.5, 0.25], [1, 1]], np.float32),
        np.array([[0, 1, 2, 2], [2, 1, 0, -1]], np.int32),
        np.zeros(5, np.uint8),
    )
    write_obj(tmp_path / "t.obj", template, template.vertices)
    vertices, faces, uv, faces_uv, groups = read_obj(tmp_path / "t.obj")
    assert (vertices == template.vertices).all() and (faces == template.faces).all()
    assert (uv == template.uv).all() and (faces_uv == template.faces_uv).all() and set(groups) == {"skin"}


def test_a_part_of_a_template_keeps_what_belongs_to_it():
    faces = tube().astype(np.int32)
    everything = Template(
        "t",
        np.random.default_rng(0).normal(size=(48, 3)),
        faces,
        np.empty((0, 2), np.float32),
        np.full_like(faces, -1),
        np.zeros(48, np.uint8),
        mirror=np.arange(48, dtype=np.int32)[::-1].copy(),
    )
    part = kept(everything, np.arange(48) >= 16, "part")
    assert len(part.vertices) == 32 and len(part.faces) == 24
    assert (part.vertices[part.faces] == everything.vertices[faces[16:]]).all()


def test_a_glb_is_read_as_trimesh_writes_it(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    box = trimesh.creation.box((0.2, 0.3, 0.25))
    box.export(tmp_path / "box.glb")
    vertices, triangles, _ = read_glb(tmp_path / "box.glb")
    assert np.ptp(vertices, axis=0) == pytest.approx([0.2, 0.3, 0.25])
    assert trimesh.Trimesh(vertices, triangles).volume == pytest.approx(box.volume)
    (tmp_path / "no.glb").write_bytes(b"glTF")
    with pytest.raises(BridgeError, match="binary glTF"):
        read_glb(tmp_path / "no.glb")


def test_a_runtime_that_is_not_the_tested_file_is_not_installed(tmp_path, monkeypatch):
    from bridge.model import package

    with zipfile.ZipFile(tmp_path / "skpruntime-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("skpruntime.py", "")
        archive.writestr("skpruntime-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: skpruntime\nVersion: 1.0\n")
        archive.writestr("skpruntime-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr("skpruntime-1.0.dist-info/RECORD", "")
    asked = tmp_path / "runtime.txt"
    asked.write_text(f"skpruntime==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(package, "WHEELS", {})
    monkeypatch.setattr(package, "RUNTIME_MODULE", "skpruntime")
    monkeypatch.setattr(package, "RUNTIME", asked)
    with pytest.raises(BridgeError, match="pip could not fetch ai-edge-litert"):
        package.bring_all(lambda share, text: None, tmp_path)
    assert importlib.util.find_spec("skpruntime") is None


def test_the_runtime_on_record_is_the_one_of_the_extra():
    from packaging.requirements import Requirement

    from bridge.model import package

    lines = package.RUNTIME.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pinned = {line.split("==")[0]: line for line in lines if not line.startswith("#")}
    assert set(pinned) >= {"ai-edge-litert", "ml-dtypes", "tqdm"}
    assert all(line.count("--hash=sha256:") >= 1 for line in pinned.values())
    extra = tomllib.loads((package.RUNTIME.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = Requirement(extra["project"]["optional-dependencies"]["template"][0])
    assert wanted.specifier.contains(pinned["ai-edge-litert"].split()[0].split("==")[1])


def test_all_that_templates_need_comes_from_a_folder_and_a_missing_wheel_is_named(tmp_path, monkeypatch, capsys):
    from bridge.model import fetch, package

    monkeypatch.setenv("SKULLPTOR_MODELS", str(tmp_path / "models"))
    body = b"a model"
    wheel = package.Wheel("tiny", "tiny==1.0", "a test", "CC0", {"tiny/x.bin": hashlib.sha256(body).hexdigest()})
    monkeypatch.setattr(package, "WHEELS", {"tiny": wheel})
    monkeypatch.setattr(package, "RUNTIME_MODULE", "json")  # is here
    assert fetch.main(["template", "--from", str(tmp_path)]) == 1
    assert "has no wheel of tiny==1.0. Add it" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny/x.bin", body)
    assert fetch.main(["template", "--from", str(tmp_path)]) == 0
    assert "100%  Templates can be wrapped" in capsys.readouterr().out
    assert (tmp_path / "models" / "tiny" / "tiny" / "x.bin").read_bytes() == body
    (tmp_path / "tiny-1.0-py3-none-any.whl").unlink()
    assert fetch.main(["template", "--from", str(tmp_path)]) == 0  # nothing is fetched twice


def gnm_file(folder, **changed):
    """A gnm_head.npz of eight cubes, in the layout of GNM's version 3."""
    groups = ("skin", "upper_teeth", "lower_teeth", "gums", "tongue", "left_eye", "right_eye", "eye_exteriors")
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float) * 0.01
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    middles = ((0, 0, 0), (0, -0.03, 0), (0, -0.06, 0), (0, -0.056, 0), (0, -0.04, 0), (0.03, 0, 0), (-0.04, 0, 0))
    places = [cube + middle for middle in (*middles, (0.03, 0, 0.01))]
    count = 8 * len(places)
    arrays = {
        "template_vertex_positions": np.concatenate(places).astype(np.float32),
        "quads": np.concatenate([quads + 8 * i for i in range(len(places))]),
        "quad_uvs": np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (6 * len(places), 1, 1)),
        "identity_names": np.array(["head_000", "left_eye_000", "head_001"]),
        "vertex_identity_basis": np.stack([np.full((count, 3), value, np.float32) for value in (0.001, 0.5, 0.002)]),
        "vertex_group_names": np.array([*groups, "mouth_sock"]),
        "vertex_groups": np.concatenate(
            [np.repeat(np.eye(len(places)), 8, axis=1), (np.arange(count) < 2)[None]]
        ).astype(np.float32),
    } | changed  # fmt: skip
    np.savez(folder / "gnm_head.npz", **arrays)
    return folder / "gnm_head.npz"


def test_gnm_is_read_by_its_published_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("SKULLPTOR_GNM", str(gnm_file(tmp_path)))
    template = load_template("gnm")
    assert len(template.vertices) == 7 * 8  # the cornea is left out
    np.testing.assert_allclose(np.ptp(template.vertices[:8], axis=0), 10)  # metres in the file
    count = {name: int(template.of_part(name).sum()) for name in ("skin", "teeth_upper", "teeth_lower", "tongue")}
    assert count == {"skin": 8, "teeth_upper": 8, "teeth_lower": 16, "tongue": 8}  # the gums are nearer to the lower
    assert template.vertices[template.of_part("eye_left"), 0].min() > 0  # the subject's left
    assert template.identity.shape == (2, 56, 3) and template.identity[1, 0, 0] == 2.0
    assert template.regions["inner"].sum() == 2
    assert (template.faces_uv >= 0).all() and len(template.uv) == 4
    assert template.landmarks is None and not len(template.expressions)


@pytest.mark.parametrize(
    "changed",
    [
        {"quads": np.array([[0, 1, 2, 99]])},
        {"template_vertex_positions": np.full((64, 3), np.nan)},
        {"vertex_groups": np.ones((3, 64))},
    ],
)
def test_a_damaged_or_missing_gnm_names_its_cure(tmp_path, monkeypatch, changed):
    monkeypatch.setenv("SKULLPTOR_GNM", str(tmp_path / "gnm_head.npz"))
    monkeypatch.setenv("SKULLPTOR_MODELS", str(tmp_path / "models"))
    with pytest.raises(BridgeError, match="GNM's model is not at .*SKULLPTOR_GNM") as missing:
        load_template("gnm")
    assert missing.value.code == "template-missing"
    gnm_file(tmp_path, **changed)
    with pytest.raises(BridgeError, match="is no GNM model") as damaged:
        load_template("gnm")
    assert damaged.value.code == "template-damaged"


def test_a_denser_template_is_catmull_and_clarks_with_all_that_belongs_to_it(hm08):
    from bridge.model.denser import denser
    from bridge.texture.subdivision import Polygons

    fine = denser(hm08)
    assert (fine.faces >= 0).all() and len(fine.faces) == 4 * len(hm08.faces)
    uv = hm08.uv[hm08.faces_uv.ravel()]
    oracle = Polygons(hm08.vertices, hm08.faces.ravel().astype(np.int64), np.full(len(hm08.faces), 4), uv).refined()
    np.testing.assert_allclose(fine.vertices, oracle.points, atol=1e-6)
    np.testing.assert_allclose(fine.uv[fine.faces_uv.ravel()], oracle.uv, atol=1e-6)
    blink = hm08.expression_names.index("eyeBlinkLeft")
    moved = Polygons(
        hm08.vertices + hm08.expressions[blink], hm08.faces.ravel().astype(np.int64), np.full(len(hm08.faces), 4), uv
    ).refined()
    np.testing.assert_allclose(fine.vertices + fine.expressions[blink], moved.points, atol=1e-4)
    assert (fine.part[fine.faces] == fine.part[fine.faces[:, :1]]).all()  # no face between two parts
    far = np.linalg.norm(fine.landmarks.points(fine.vertices) - hm08.landmarks.points(hm08.vertices), axis=1)
    assert far.max() < 3 and np.median(far) < 0.5
    skin = fine.of_part("skin")
    assert np.median(np.linalg.norm(fine.vertices[fine.mirror] * [-1, 1, 1] - fine.vertices, axis=1)[skin]) < 0.1


PICKED = (1, 152, 10, 168, 0, 17, 291, 61, 263, 362, 133, 33, 397, 172, 454, 234)


def picked_head(tmp_path, change=lambda picks: picks, unit=0.001):
    """A person of hm08 as an OBJ file of the artist's own, in metres, with landmarks that a hand has set."""
    try:
        hm08 = load_template("hm08")
    except BridgeError as missing:
        pytest.skip(missing.sentence)
    person = hm08.vertices + np.tensordot(np.random.default_rng(0).normal(0, 0.7, len(hm08.identity)), hm08.identity, 1)
    true = hm08.landmarks.points(person)
    path = tmp_path / "mine.obj"
    write_obj(path, hm08, person * unit)
    picks = change({number: true[number] * unit for number in PICKED})
    body = {"landmarks": {str(number): list(point) for number, point in picks.items()}}
    path.with_suffix(".picked.json").write_text(json.dumps(body))
    return own.load(path), path, true


@pytest.mark.parametrize("unit", [0.001, 0.1, 1.0])
def test_all_landmarks_follow_from_a_few_that_a_hand_has_set(tmp_path, unit):
    template, path, true = picked_head(tmp_path, unit=unit)
    found = with_landmarks(template, str(path)).landmarks.points(template.vertices)
    off = np.linalg.norm(found - true, axis=1)
    assert np.median(off) < 2 and np.quantile(off, 0.95) < 6 and off.max() < 12
    assert off[list(PICKED)].max() < 1.0
    assert own.load(path).landmarks is not None  # kept beside the file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {n: p[n] for n in PICKED[:4]}, "4 landmarks"),
        (lambda p: {n: q * [-1, 1, 1] for n, q in p.items()}, "wrong sides"),
        (lambda p: {**p, 152: p[10]}, "landmark 152"),
        (lambda p: {n: q[[2, 1, 0]] * [1, 1, -1] for n, q in p.items()}, "looks aside"),
    ],
)
def test_landmarks_that_a_hand_has_set_wrongly_are_named(tmp_path, change, words):
    template, path, _ = picked_head(tmp_path, change)
    with pytest.raises(BridgeError) as caught:
        with_landmarks(template, str(path))
    assert caught.value.code == "template-picks" and words in caught.value.sentence and caught.value.cure
