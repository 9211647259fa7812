"""UVs: a dense head unwrapped into few charts without flips or overlaps, and what makes given UVs unfit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.mesh import Mesh  # noqa: E402
from bridge.mesh.topology import icosphere  # noqa: E402
from bridge.texture.obj import read_obj, write_obj  # noqa: E402
from bridge.texture.unwrap import lay_flat, unwrap  # noqa: E402
from bridge.texture.unwrap.flatten import stretch  # noqa: E402
from bridge.texture.unwrap.hierarchy import coarsen, refine  # noqa: E402
from bridge.texture.uv_mesh import CHECK_SIZE, UvMesh, check_uvs, count_cover, texel_corners  # noqa: E402
from tests.support import synthetic  # noqa: E402

UP, FRONT = np.array([0.0, 0, 1]), np.array([0.0, -1, 0])


def bust(level: int = 5) -> Mesh:
    """A head on a neck that ends in a flat cut, with a nose: closed, like what the solver makes."""
    vertices, faces = icosphere(level)
    x, y, z = vertices.T
    nose = 0.25 * np.exp(-((x / 0.2) ** 2 + ((y + 1) / 0.3) ** 2 + ((z - 0.1) / 0.2) ** 2))
    neck = np.where(z < -0.4, 0.75, 1.0)
    body = np.stack([x * 0.8 * neck, (y - nose) * neck, np.maximum(z * 1.4, -1.25)], 1)
    return Mesh(body * 0.1 + [3.0, -2.0, 1.0], faces)


def square() -> UvMesh:
    """Two triangles that fill the first tile's middle."""
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return UvMesh(points, faces, 0.2 + 0.6 * points[:, :2], faces)


@pytest.fixture(scope="module")
def unwrapped():
    return unwrap(bust(), UP, FRONT)


def test_a_bust_becomes_two_charts_without_flip_or_overlap(unwrapped):
    charts = unwrapped.charts()
    assert charts.max() + 1 == 2
    corners = unwrapped.uv[unwrapped.faces_uv]
    e, f = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0] > 0).all()
    check_uvs(unwrapped, "bust")  # no overlap, nothing outside
    covered = np.zeros((CHECK_SIZE, CHECK_SIZE), np.uint8)
    count_cover(texel_corners(corners, CHECK_SIZE), covered)
    assert (covered > 0).mean() > 0.4


def test_stretch_is_low_and_the_face_is_whole_and_upright(unwrapped):
    high, low = stretch(unwrapped.vertices, unwrapped.faces, unwrapped.uv[unwrapped.faces_uv])
    charts = unwrapped.charts()
    head = charts == np.argmax(np.bincount(charts))
    ratio = high[head] / low[head]
    assert np.median(ratio) < 1.4 and np.quantile(ratio, 0.95) < 2.6
    middle = unwrapped.vertices[unwrapped.faces].mean(1)
    front = head & (middle[:, 1] < -2.05)
    corners = unwrapped.uv[unwrapped.faces_uv[front]].mean(1)
    # up on the face is up on the map: what is higher has a larger v
    assert np.corrcoef(middle[front, 2], corners[:, 1])[0, 1] > 0.98
    assert np.corrcoef(middle[front, 0], corners[:, 0])[0, 1] > 0.98
    # no seam on the face: its vertices have one row each
    rows = len(np.unique(unwrapped.faces_uv[front]))
    assert rows == len(np.unique(unwrapped.faces[front]))


def test_a_handle_is_cut_open_too():
    """A torus is no sphere with a seam: the cut has to go around its hole as well."""
    u, v = np.meshgrid(np.arange(48), np.arange(24), indexing="ij")
    a, b = 2 * np.pi * u.ravel() / 48, 2 * np.pi * v.ravel() / 24
    points = np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], 1)
    i = np.arange(48 * 24).reshape(48, 24)
    p, q, r, s = i, np.roll(i, -1, 0), np.roll(np.roll(i, -1, 0), -1, 1), np.roll(i, -1, 1)
    faces = np.concatenate([np.stack([p, q, r], -1).reshape(-1, 3), np.stack([p, r, s], -1).reshape(-1, 3)])
    made = unwrap(Mesh(points, faces.astype(np.int32)), UP, FRONT)
    check_uvs(made, "torus")


def test_a_fine_disc_follows_its_coarse_one_without_a_flip():
    sphere = Mesh(*icosphere(6))
    inside = (sphere.vertices[sphere.faces].mean(1)[:, 2] > -0.2).nonzero()[0]
    rows, faces = np.unique(sphere.faces[inside], return_inverse=True)
    faces, points = faces.reshape(-1, 3).astype(np.int32), sphere.vertices[rows]
    coarse = coarsen(points, faces, 500)
    assert len(coarse.removed) > 0.8 * len(points)
    uv = lay_flat(points, faces)
    corners = uv[faces]
    e, f = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0] > 0).all()
    # putting back what was taken out is the opposite of it: a flat disc comes out as it went in
    flat = np.concatenate([points[:, :2] * (2 / (1.3 + points[:, 2:])), np.zeros((len(points), 1))], 1)
    coarse = coarsen(flat, faces, 500)
    again = flat[:, :2].copy()
    again[coarse.removed] = 9
    assert refine(flat, coarse.removed, coarse.rings, coarse.target, again) == 0
    assert np.abs(again - flat[:, :2]).max() < 1e-9 * 1e6  # mean value coordinates are exact in the plane


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda m: replace(m, uv=np.empty((0, 2))), "uv-none", "'plane' has no UVs"),
        (lambda m: replace(m, uv=m.uv - 0.5), "uv-outside", "outside all tiles"),
        (lambda m: replace(m, uv=m.uv + [0.21, 0]), "uv-outside", "cross the border of tile 1001"),
        (
            lambda m: replace(m, faces=np.tile(m.faces, (2, 1)), faces_uv=np.tile(m.faces_uv, (2, 1))),
            "uv-overlap",
            "overlap: 100.0 % of tile 1001",
        ),
    ],
)
def test_unfit_uvs_are_refused_by_name_with_a_cure(change, code, says):
    check_uvs(square(), "plane")
    with pytest.raises(BridgeError) as caught:
        check_uvs(change(square()), "plane")
    assert caught.value.code == code and says in caught.value.sentence and caught.value.cure


def test_tiles_have_udim_numbers():
    mesh = square()
    both = UvMesh(
        mesh.vertices,
        np.tile(mesh.faces, (2, 1)),
        np.concatenate([mesh.uv, mesh.uv + [1, 1]]),
        np.concatenate([mesh.faces_uv, mesh.faces_uv + 4]),
    )
    assert both.tiles() == [1001, 1012]
    faces, uv = both.tile(1012)
    assert faces.tolist() == [2, 3] and np.allclose(uv, mesh.uv[mesh.faces_uv])
    check_uvs(both, "tiles")


def test_obj_comes_back_as_it_went(tmp_path, unwrapped):
    write_obj(tmp_path / "head.obj", unwrapped, "albedo.png")
    back = read_obj(tmp_path / "head.obj")
    assert np.array_equal(back.faces, unwrapped.faces) and np.array_equal(back.faces_uv, unwrapped.faces_uv)
    assert np.abs(back.vertices - unwrapped.vertices).max() < 1e-7 and np.abs(back.uv - unwrapped.uv).max() < 1e-6
    assert "map_Kd albedo.png" in (tmp_path / "head.mtl").read_text()


def test_obj_quads_are_split_where_mikktspace_splits_them(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt .3 .2\nvt 1 1\nvt .2 .3\nf 1/1 2/2 3/3 4/4\nf -4/1 -3/2 -2/3\n"
    )
    mesh = read_obj(path)
    shared = set(mesh.faces[0]) & set(mesh.faces[1])
    assert shared == {1, 3} and mesh.polygons.tolist() == [0, 0, 1]
    assert mesh.faces[2].tolist() == [0, 1, 2]
    path.write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(BridgeError, match="Line 2 of 'quad.obj'"):
        read_obj(path)


def test_the_synthetic_body_unwraps():
    body = Mesh(*synthetic.ellipsoid_mesh(np.zeros(3), 1.0, rings=32))
    check_uvs(unwrap(body, UP, FRONT), "body")
