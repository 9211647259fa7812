"""Detail maps: decoded as a renderer decodes them, they give the dense surface back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.mesh import Mesh  # noqa: E402
from bridge.mesh.topology import icosphere  # noqa: E402
from bridge.texture.detail import DenseHead, bake_detail, curvature, occlusion  # noqa: E402
from bridge.texture.exr import write_exr  # noqa: E402
from bridge.texture.paint import paint_values  # noqa: E402
from bridge.texture.rays import surface_along  # noqa: E402
from bridge.texture.shots import Surface  # noqa: E402
from bridge.texture.subdivision import Polygons  # noqa: E402
from bridge.texture.tangent import corner_angle_normals, tangent_frames  # noqa: E402
from bridge.texture.unwrap import unwrap  # noqa: E402
from bridge.texture.uv_mesh import UvMesh, texel_corners  # noqa: E402

UP, FRONT, SIZE = np.array([0.0, 0, 1]), np.array([0.0, -1, 0]), 256


def bumpy(points):
    """How far the dense surface lies outside the unit ball."""
    x, y, z = points.T
    return 0.02 * np.sin(9 * x) * np.sin(8 * y) * np.cos(7 * z)


@pytest.fixture(scope="module")
def pair():
    dense, faces = icosphere(6)
    dense = dense * (1 + bumpy(dense))[:, None]
    return unwrap(Mesh(*icosphere(4)), UP, FRONT), Mesh(dense, faces)


@pytest.fixture(scope="module")
def detail(pair):
    return bake_detail(pair[0], DenseHead("dense", pair[1]), SIZE, extras=True)


def texels(corners, faces, values):
    out, covered = np.zeros((SIZE, SIZE, values.shape[1]), np.float32), np.zeros((SIZE, SIZE), np.uint8)
    paint_values(corners, faces, values.astype(np.float32), np.ones(len(values), np.float32), out, covered)
    return out.astype(np.float64), covered > 0


def test_decoded_normals_are_those_of_the_dense_surface(pair, detail):
    mesh, dense = pair
    frames = tangent_frames(mesh)
    corners = texel_corners(mesh.uv[mesh.faces_uv], SIZE)
    table = np.concatenate([frames.points, frames.normals, frames.tangents, frames.signs[:, None]], 1)
    at, covered = texels(corners, frames.faces, table)
    code = detail.normals[1001][covered] / 65535 * 2 - 1
    point, n, t = at[covered][:, :3], at[covered][:, 3:6], at[covered][:, 6:9]
    b = np.sign(at[covered][:, 9:]) * np.cross(n, t)
    found = code[:, :1] * t + code[:, 1:2] * b + code[:, 2:] * n
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    # the truth, where the line along the normal meets the dense surface
    ray = n / np.linalg.norm(n, axis=1, keepdims=True)
    normals = corner_angle_normals(dense.vertices, dense.faces)
    hit, _, true = surface_along(point, ray, 0.1, Surface(dense.vertices, dense.faces, normals, 1.0), normals)
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((found * true).sum(1), -1, 1)))[hit]
    flat = np.degrees(np.arccos(np.clip((ray * true).sum(1), -1, 1)))[hit]
    assert hit.mean() > 0.99 and detail.missed_pct < 1
    assert np.median(flat) > 3  # there is something to find
    assert np.mean(angle) < 0.3 and np.quantile(angle, 0.99) < 1.5


def test_displacement_leads_to_the_dense_surface(pair, detail):
    mesh, _ = pair
    frames = tangent_frames(mesh)
    at, covered = texels(
        texel_corners(mesh.uv[mesh.faces_uv], SIZE), frames.faces, np.concatenate([frames.points, frames.normals], 1)
    )
    n = at[covered][:, 3:] / np.linalg.norm(at[covered][:, 3:], axis=1, keepdims=True)
    moved = at[covered][:, :3] + detail.displacement[1001][covered][:, None] * n
    radius = np.linalg.norm(moved, axis=1)
    error = np.abs(radius - 1 - bumpy(moved / radius[:, None]))
    assert np.quantile(error, 0.95) < 0.0015  # of a ball of radius 1; the bumps are 0.02 high


def cube() -> Polygons:
    """Six quads, each in its own field of the map."""
    points = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    field = np.array([[0.05, 0.05], [0.95, 0.05], [0.95, 0.95], [0.05, 0.95]]) / [3, 2]
    uv = np.concatenate([field + [k % 3 / 3, k // 3 / 2] for k in range(6)])
    return Polygons(points, quads.ravel(), np.full(6, 4), uv)


def test_catmull_and_clarks_numbers():
    finer = cube().refined()
    assert sorted({tuple(np.abs(p).round(9)) for p in finer.points}) == [
        (0, 0, 1), (0, 0.75, 0.75), (0, 1, 0), (0.555555556,) * 3, (0.75, 0, 0.75), (0.75, 0.75, 0), (1, 0, 0),
    ]  # fmt: skip
    assert len(finer.sizes) == 24 and (finer.refined().sizes == 4).all()
    # a border is a curve of its own: one quad becomes a disc
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    quad = Polygons(square, np.arange(4), np.array([4]), np.zeros((4, 2)))
    assert quad.refined().points[0] == pytest.approx([0.125, 0.125, 0])


def test_displacement_over_a_subdivided_mesh_leads_to_the_dense_surface(pair):
    ball = cube().refined().refined()
    quads = ball.corners.reshape(-1, 4)
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    rows = np.arange(len(ball.corners)).reshape(-1, 4)[:, halves].reshape(-1, 3)
    points = ball.points / np.linalg.norm(ball.points, axis=1, keepdims=True)
    polygons = np.repeat(np.arange(len(quads)), 2)
    mesh = UvMesh(points, ball.corners[rows].astype(np.int32), ball.uv, rows.astype(np.int32), polygons)
    fine = Polygons.of(mesh)
    assert np.array_equal(fine.corners, ball.corners)
    for _ in range(4):
        fine = fine.refined()
    faces, uv = fine.triangles()
    normals = corner_angle_normals(fine.points, faces)
    at, covered = texels(texel_corners(uv, SIZE), faces, np.concatenate([fine.points, normals], 1))
    at = at[covered]

    def error(subdivided):
        made = bake_detail(mesh, DenseHead("dense", pair[1]), SIZE, subdivided=subdivided)
        moved = at[:, :3] + made.displacement[1001][covered][:, None] * at[:, 3:]
        radius = np.linalg.norm(moved, axis=1)
        return np.quantile(np.abs(radius - 1 - bumpy(moved / radius[:, None])), 0.95)

    assert error(True) < 0.0015 < 0.005 < error(False)


def test_tangents_point_along_u_and_mirrored_islands_have_the_other_hand():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    plain = tangent_frames(UvMesh(points, faces, points[:, :2], faces))
    assert np.allclose(plain.tangents, [1, 0, 0]) and (plain.signs == 1).all()
    flipped = points[:, :2] * [-1, 1] + [1, 0]
    mirrored = tangent_frames(UvMesh(points, faces, flipped, faces))
    assert np.allclose(mirrored.tangents, [-1, 0, 0]) and (mirrored.signs == -1).all()
    assert np.allclose(np.cross(mirrored.normals, mirrored.tangents) * mirrored.signs[:, None], [0, 1, 0])


def test_a_lip_is_not_taken_for_the_other_one():
    """Two sheets back to back: what looks the other way is no surface of this side."""
    a = np.array([[0.0, 0, 0.02], [1, 0, 0.02], [0, 1, 0.02]])
    b = a * [1, 1, 0.5]
    vertices, faces = np.concatenate([a, b]), np.array([[0, 1, 2], [3, 5, 4]], np.int32)
    normals = np.concatenate([[[0.0, 0, 1]] * 3, [[0, 0, -1.0]] * 3])
    surface = Surface(vertices, faces, normals, 1.0)
    found, height, _ = surface_along(np.array([[0.2, 0.2, 0.0]]), np.array([[0.0, 0, 1]]), 0.1, surface, normals)
    assert found[0] and abs(height[0] - 0.02) < 1e-12  # not the nearer one at 0.01


def test_occlusion_and_curvature_know_a_valley_from_a_hill(pair):
    vertices, faces = icosphere(5)
    x, y, z = vertices.T
    dented = vertices * (1 - 0.4 * np.exp(-((x**2 + y**2) / 0.05)) * (z > 0))[:, None]
    mesh = Mesh(dented, faces)
    normals = corner_angle_normals(dented, faces)
    light = occlusion(mesh, normals, 1.0)
    bottom, far = np.argmin(np.linalg.norm(vertices - [0, 0, 1], axis=1)), z < -0.2
    assert light[far].mean() > 0.97 and light[bottom] < 0.75
    bend = curvature(mesh, normals, 1.0)
    assert bend[bottom] < 0.3 and abs(np.median(bend[far]) - (0.5 + 0.5 * 0.25)) < 0.05


def test_a_dense_head_from_elsewhere_is_refused(pair):
    mesh, dense = pair
    with pytest.raises(BridgeError, match="'other.ply' lies away from the mesh"):
        bake_detail(mesh, DenseHead("other.ply", Mesh(dense.vertices + 3, dense.faces)), 64)


def test_displacement_is_stored_as_it_is(tmp_path):
    import OpenEXR

    plane = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    write_exr(tmp_path / "d.exr", plane)
    with OpenEXR.File(str(tmp_path / "d.exr")) as file:
        assert np.array_equal(file.channels()["Y"].pixels, plane)
