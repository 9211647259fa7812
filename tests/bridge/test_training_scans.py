"""A studio's own scans as training subjects: texture, size and orientation arrive, unknown truth is left out."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trimesh = pytest.importorskip("trimesh")

from PIL import Image  # noqa: E402

from bridge.training.appearance import scanned_appearance  # noqa: E402
from bridge.training.batches import make_batch  # noqa: E402
from bridge.training.group import World, make_group, render  # noqa: E402
from bridge.training.losses import losses  # noqa: E402
from bridge.training.scans import load_scan, load_scans  # noqa: E402
from bridge.training.staging import Lighting  # noqa: E402

from .test_training_generator import bumpy_ball  # noqa: E402

MM = 137.0  # the scan's unit, which must not matter


def two_colours() -> Image.Image:
    """Upper half red, lower half blue."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :, 0], picture[32:, :, 2] = 255, 255
    return Image.fromarray(picture)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same head as a textured .glb and .obj and as a .ply with colours at its vertices; red above, blue below."""
    made = tmp_path_factory.mktemp("scans")
    vertices, faces = bumpy_ball()
    uv = np.stack((np.full(len(vertices), 0.5), np.where(vertices[:, 1] > 0, 0.9, 0.1)), 1)
    material = trimesh.visual.material.SimpleMaterial(image=two_colours())
    textured = trimesh.Trimesh(
        MM * vertices + 5, faces, visual=trimesh.visual.TextureVisuals(uv, material=material), process=False
    )
    textured.export(made / "a.glb")
    textured.export(made / "b.obj")
    colours = np.where(vertices[:, 1:2] > 0, [255, 0, 0, 255], [0, 0, 255, 255]).astype(np.uint8)
    plain = trimesh.Trimesh(MM * vertices + 5, faces, vertex_colors=colours, process=False)
    plain.export(made / "c.ply")
    return made


def test_every_kind_brings_its_colours_and_its_size(folder):
    scans = load_scans(folder)
    assert [s.name for s in scans] == ["a", "b", "c"]
    for scan in scans:
        assert np.ptp(scan.subject.vertices[:, 1]) == pytest.approx(2, abs=1e-4)
        appearance, count = scanned_appearance(scan.subject), len(scan.subject.vertices)
        camera = scan.cameras(np.random.default_rng(0), 1)[0]
        rgb, normal, canonical, matte = render(appearance, Lighting.none(count), camera, 96, 0)
        upper = (matte > 0) & (canonical[..., 1] > 0.1)
        lower = (matte > 0) & (canonical[..., 1] < -0.1)
        assert upper.sum() > 50 and lower.sum() > 50
        assert rgb[upper].mean(0) == pytest.approx([1, 0, 0], abs=0.05), scan.name
        assert rgb[lower].mean(0) == pytest.approx([0, 0, 1], abs=0.05), scan.name


def test_a_scan_has_48_frontal_cameras_for_ever(folder):
    scan = load_scans(folder)[0]
    rng = np.random.default_rng(1)
    seen = {tuple(np.round(c.position, 5)) for _ in range(60) for c in scan.cameras(rng, 6)}
    assert len(seen) == 48
    assert all(p[2] > -0.5 * np.linalg.norm(p) for p in np.array(list(seen)))


def test_what_a_scan_does_not_tell_is_not_asked(folder):
    world = World(None, [], load_scans(folder))
    group = next(vars(g) for g in (make_group(s, world, 4, 48) for s in range(3)) if g.matte.any())
    assert (group["canonical"] == 0).all() and np.abs(group["normal"]).max() > 100
    batch = make_batch([group], 48, None)
    truth = torch.nn.functional.normalize(batch.normal + 1e-6, dim=1)
    wild = torch.cat((truth, batch.matte * 20 - 10, torch.full_like(truth, 7.0), batch.matte), 1)
    terms = losses(wild, batch)
    assert terms["canonical"] == 0 and terms["apart"] == 0 and terms["normal"] < 1e-3


def test_scans_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(ValueError, match="no scan"):
        load_scans(tmp_path)
    (tmp_path / "broken.glb").write_bytes(b"glTF nonsense")
    with pytest.raises(ValueError, match=r"broken\.glb"):
        load_scans(tmp_path)
    axes = "".join(f"property float {a}\n" for a in "xyz")
    (tmp_path / "points.ply").write_text(f"ply\nformat ascii 1.0\nelement vertex 1\n{axes}end_header\n0 0 0\n")
    with pytest.raises(ValueError, match="no triangles"):
        load_scan(tmp_path / "points.ply", 0)
