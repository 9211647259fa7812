"""Connectivity, normals and remeshing: invariants over random meshes and long runs."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.mesh import Surface
from bridge.mesh.candidates import LENGTH
from bridge.mesh.distance import distances, sample_surface
from bridge.mesh.edits import flip_edges, rate_flips
from bridge.mesh.intersections import intersecting_faces
from bridge.mesh.laplacian import diffused, laplacian
from bridge.mesh.normals import closed_normals_backward, closed_vertex_normals, normalisation_backward, vertex_normals
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import build_twins, icosphere, morton_order, signed_volume, surface_area
from tests.bridge.scenes import bumpy


def check_closed(mesh: HalfEdgeMesh) -> None:
    """Twins mutual and opposite, no directed edge twice, degrees counted, genus 0, no face twice."""
    start, twin, faces = mesh.start, mesh.twin, mesh.faces
    end = faces[:, [1, 2, 0]].reshape(-1)
    assert (twin[twin] == np.arange(len(twin))).all()
    assert (start[twin] == end).all() and (end[twin] == start).all()
    key = start.astype(np.int64) * mesh.vertex_count + end
    assert len(np.unique(key)) == len(key)
    assert (np.bincount(start, minlength=mesh.vertex_count) == mesh.degree).all()
    assert mesh.degree.min() >= 3
    assert mesh.vertex_count - len(start) // 2 + mesh.face_count == 2
    assert len(np.unique(np.sort(faces, 1), axis=0)) == len(faces)
    assert np.isfinite(mesh.data).all()


def unit_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 3]
    corners = points[faces].astype(np.float64)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((len(points), 3))
    np.add.at(total, faces, area[:, None])
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)


def uprightness(points: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> np.ndarray:  # [F]
    """Cosine between each face and the surface there, the sum of its vertices' normals; below 0 it is inverted."""
    corners = points[faces].astype(np.float64)
    area, there = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), normals[faces].sum(1)
    lengths = np.linalg.norm(area, axis=1) * np.linalg.norm(there, axis=1)
    return (area * there).sum(1) / np.maximum(lengths, 1e-30)


def inverted_by_collapses(points: np.ndarray, faces: np.ndarray, new_points: np.ndarray, new_faces: np.ndarray) -> int:
    """Faces that were sound and point against the surface as it was; of two vertices that became one, both count."""
    normals, left = unit_normals(points, faces), (new_faces >= 0).all(1)
    faces, new_faces, merged = faces[left], new_faces[left], normals.copy()
    gone, kept = np.unique(np.stack([faces, new_faces], -1)[faces != new_faces], axis=0).T
    merged[kept] += normals[gone]
    sound = uprightness(points, faces, normals) > ROUNDING
    moved = (points[faces] != new_points[new_faces]).any((1, 2))
    return int((moved & sound & (uprightness(new_points, new_faces, merged) < -ROUNDING)).sum())


ROUNDING = 1e-6  # of a cosine, by normals in float32


class Inspected(HalfEdgeMesh):
    """Counts the faces that its own edits invert."""

    inverted = edits = 0

    def _collapse(self, surface: Surface) -> int:
        points, faces = self.data[:, :3].copy(), self.faces.copy()
        count = super()._collapse(surface)
        self.inverted += inverted_by_collapses(points, faces, self.data[:, :3], self.faces)
        self.edits += count
        return count

    def _split(self, max_vertices: int, left: int) -> None:
        before = surface_area(self.data[:, :3], self.faces[self.faces[:, 0] >= 0])
        super()._split(max_vertices, left)
        # halves that turn over would cover something twice
        assert surface_area(self.data[:, :3], self.faces[self.faces[:, 0] >= 0]) == pytest.approx(before, rel=1e-5)

    def _flip(self) -> None:
        """One after the other, so that the surface before each is known."""
        gains, points = np.empty(3 * self.face_count, np.int8), self.data[:, :3]
        rate_flips(self._start, self._twin, self._degree, self.face_count, gains)
        faces = self.faces.copy()
        for h in np.flatnonzero(gains):
            alone = np.where(np.arange(len(gains)) == h, gains, 0).astype(np.int8)
            if flip_edges(self._data, self._start, self._twin, self._degree, alone, self._candidates):
                normals, changed = unit_normals(points, faces), (self.faces != faces).any(1)
                self.inverted += int((uprightness(points, self.faces[changed], normals) < -ROUNDING).sum())
                self.edits += 1
                faces = self.faces.copy()


def test_icosphere_is_an_outward_sphere():
    for level in range(4):
        vertices, faces = icosphere(level, 2.0)
        assert len(vertices) == 10 * 4**level + 2
        np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 2.0)
        assert (build_twins(faces, len(vertices)) >= 0).all()
    assert signed_volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 8, rel=0.02)
    assert surface_area(vertices, faces) == pytest.approx(16 * np.pi, rel=0.02)


def test_twins_of_an_open_and_of_a_twisted_pair():
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    twin = build_twins(faces, 4)
    assert twin[1] == 3 and twin[3] == 1 and (np.delete(twin, [1, 3]) == -1).all()
    assert (build_twins(np.array([[0, 1, 2], [1, 2, 3]], np.int32), 4) == -1).all()  # same direction: no twins


def test_normals_and_their_way_back():
    vertices, faces = bumpy(3)
    surface = Surface.of(vertices, faces)
    normals, lengths = np.empty_like(surface.vertices), np.empty(len(vertices), np.float32)
    closed_vertex_normals(surface.vertices, *surface.rings, normals, lengths)
    np.testing.assert_allclose(normals, vertex_normals(vertices, faces), atol=1e-5)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=normals.shape).astype(np.float32)
    gradient, result = weight.copy(), np.zeros_like(normals)
    normalisation_backward(normals, lengths, gradient)
    closed_normals_backward(surface.vertices, *surface.rings, gradient, result)
    motion = rng.normal(size=normals.shape)
    h = 1e-6
    up = (vertex_normals(vertices + h * motion, faces).astype(np.float64) * weight).sum()
    # float32 normals limit the numeric side, so a larger step on a smooth function
    h = 1e-4
    up = (vertex_normals(vertices + h * motion, faces).astype(np.float64) * weight).sum()
    down = (vertex_normals(vertices - h * motion, faces).astype(np.float64) * weight).sum()
    assert (result * motion).sum() == pytest.approx((up - down) / (2 * h), rel=1e-2)


def test_the_laplacian_and_its_second_order():
    vertices, faces = bumpy(3)
    surface = Surface.of(vertices, faces)
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1), axis=0)
    even = np.random.default_rng(0).uniform(0, 1, len(vertices)).astype(np.float32)
    expected = surface.vertices
    for share, asked in ((np.ones(len(vertices)), None), (even, even)):
        total, count = np.zeros_like(vertices), np.zeros(len(vertices))
        for a, b in ((0, 1), (1, 0)):
            np.add.at(total, edges[:, a], expected[edges[:, b]])
            np.add.at(count, edges[:, a], 1)
        expected = expected - share[:, None] * total / count[:, None]
        result = laplacian(surface.vertices, surface.rings, asked)
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_diffusion_is_rounds_of_going_half_way_to_the_neighbours():
    vertices, faces = bumpy(2)
    surface = Surface.of(vertices, faces)
    edges = trimesh.Trimesh(vertices, faces, process=False).edges_unique
    step = np.eye(len(vertices))
    step[edges[:, 0], edges[:, 1]] = step[edges[:, 1], edges[:, 0]] = 1
    step = 0.5 * np.eye(len(vertices)) + 0.5 * (step - np.eye(len(vertices))) / (step.sum(1) - 1)[:, None]
    values = np.random.default_rng(0).normal(size=(len(vertices), 3)).astype(np.float32)
    rings = surface.rings
    assert diffused(values, rings, 0) is values
    np.testing.assert_allclose(diffused(values, rings, 5), np.linalg.matrix_power(step, 5) @ values, atol=1e-5)


def test_morton_order_keeps_neighbours_together():
    vertices = np.random.default_rng(0).uniform(size=(20000, 3)).astype(np.float32)
    order = morton_order(vertices)
    assert sorted(order) == list(range(20000))
    step = np.linalg.norm(np.diff(vertices[order], axis=0), axis=1)
    assert step.mean() < 0.15 * np.linalg.norm(np.diff(vertices, axis=0), axis=1).mean()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    level=st.integers(1, 3),
    length=st.floats(0.03, 0.6),
    noise=st.floats(0, 0.3),
    limit=st.integers(50, 3000),
)
def test_remeshing_keeps_any_mesh_closed(seed, level, length, noise, limit):
    """Random bumps, noise up to folded triangles, any target length and vertex limit."""
    rng = np.random.default_rng(seed)
    vertices, faces = bumpy(level, seed)
    mesh = HalfEdgeMesh(vertices + rng.normal(size=vertices.shape) * noise * 0.3, faces, length, extra_columns=1)
    count = mesh.vertex_count
    for step in range(6):
        mesh.data[:, :3] += rng.normal(size=(mesh.vertex_count, 3)) * noise * 0.05
        mesh.remesh(limit)
        if step % 3 == 2:
            mesh.sort_memory()
        check_closed(mesh)
        surface = mesh.surface()  # what it knows of its rings is up to date
        anew = Surface.of(surface.vertices, surface.faces)
        assert (surface.outgoing == anew.outgoing).all() and (surface.rings.first == anew.rings.first).all()
        assert (surface.rings.neighbours == anew.rings.neighbours).all()
        assert mesh.vertex_count <= max(limit, count)
        count = mesh.vertex_count


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    length=st.floats(0.12, 0.4),
    noise=st.sampled_from([0.0, 0.01, 0.03, 0.1]),
)
@example(seed=4517, length=0.125, noise=0.1)  # a flip over a split's middle: to float32, cd and db are parallel or not
def test_no_edit_inverts_a_face(seed, length, noise):
    """Long runs in which the surface keeps moving, up to a heap of folds, and the wanted length keeps changing."""
    rng = np.random.default_rng(seed)
    mesh = Inspected(*bumpy(2, seed), length)
    for step in range(16):
        mesh.data[:, :3] += rng.normal(size=(mesh.vertex_count, 3)) * noise
        mesh.data[:, LENGTH] = length * (0.5 + step // 4 % 2)
        mesh.remesh(800)
        check_closed(mesh)
        assert mesh.inverted == 0
    assert mesh.edits > 100


def test_edits_alone_leave_hardly_a_face_inverted():
    """Back and forth between short and long edges. Edits that are each sound can still leave a fold between them."""
    inverted, faces = 0, 0
    for seed in range(4):
        mesh = HalfEdgeMesh(*bumpy(3, seed), 0.1)
        for step in range(32):
            mesh.data[:, LENGTH] = 0.05 + 0.15 * (step // 4 % 2)
            mesh.remesh(4000)
            points = mesh.data[:, :3]
            inverted += (uprightness(points, mesh.faces, unit_normals(points, mesh.faces)) < 0).sum()
            faces += mesh.face_count
    assert inverted < 5e-5 * faces


def test_remeshing_reaches_the_target_length():
    vertices, faces = icosphere(2)
    for length in (0.05, 0.12):
        mesh = HalfEdgeMesh(vertices, faces, length)
        for _ in range(12):
            mesh.remesh(100_000)
        check_closed(mesh)
        points = mesh.data[:, :3]
        edges = np.linalg.norm(points[mesh.start] - points[mesh.start[mesh.twin]], axis=1)
        assert 0.7 * length < edges.mean() < 1.3 * length
        assert np.percentile(edges, 99) < 1.6 * length  # a flip may leave a longer edge for the next pass
        assert signed_volume(points, mesh.faces) > 0.9 * signed_volume(vertices, faces)


def test_remeshing_again_and_again_is_the_same():
    results = []
    for _ in range(2):
        mesh = HalfEdgeMesh(*bumpy(3), 0.06)
        for _ in range(5):
            mesh.remesh(5000)
        results.append((mesh.data.copy(), mesh.faces.copy()))
    assert (results[0][0] == results[1][0]).all() and (results[0][1] == results[1][1]).all()


def test_an_open_mesh_is_refused():
    vertices, faces = icosphere(1)
    with pytest.raises(ValueError, match="not closed"):
        HalfEdgeMesh(vertices, faces[:-1], 0.1)


def test_crossing_faces_are_found():
    """Two spheres that overlap cross along a circle; apart, or one inside the other, they do not."""
    vertices, faces = icosphere(3)
    for offset, scale, crossing in [(1.0, 1.0, True), (2.5, 1.0, False), (0.0, 0.5, False)]:
        both = np.concatenate([vertices, vertices * scale + [offset, 0.013, 0.007]])
        found = intersecting_faces(both, np.concatenate([faces, faces + len(vertices)]))
        assert found.any() == crossing
        if crossing:
            middle = both[np.concatenate([faces, faces + len(vertices)])].mean(1)[found]
            assert np.abs(middle[:, 0] - 0.5).max() < 0.2 and 60 < found.sum() < 300
    folded = vertices.copy()
    folded[0] *= -1.5  # one vertex pulled out through the far side
    assert intersecting_faces(folded, faces).any() and not intersecting_faces(vertices, faces).any()


def test_crossing_faces_agree_with_brute_force():
    rng = np.random.default_rng(3)
    vertices = rng.uniform(size=(60, 3))
    faces = np.arange(60, dtype=np.int32).reshape(-1, 3)
    expected = np.zeros(20, bool)
    for f in range(20):
        for g in range(20):
            for e in range(3):
                if f == g:
                    continue
                p, q = vertices[faces[f, e]], vertices[faces[f, (e + 1) % 3]]
                a, b, c = vertices[faces[g]]
                weights = np.linalg.solve(np.stack([b - a, c - a, p - q], 1), p - a)  # a + u ab + v ac = p + t pq
                if (weights >= 0).all() and weights[0] + weights[1] <= 1 and weights[2] <= 1:
                    expected[[f, g]] = True
    assert 3 < expected.sum() < 20
    assert (intersecting_faces(vertices, faces) == expected).all()


def test_distances_to_a_mesh_are_exact():
    rng = np.random.default_rng(0)
    vertices, faces = icosphere(3)
    points = rng.normal(size=(200, 3))
    corners = np.repeat(vertices[faces][None], 20, 0).reshape(-1, 3, 3)
    nearest = trimesh.triangles.closest_point(corners, np.repeat(points[:20], len(faces), 0)).reshape(20, -1, 3)
    expected = np.linalg.norm(nearest - points[:20, None], axis=2).min(1)
    np.testing.assert_allclose(distances(points, vertices, faces)[:20], expected, atol=1e-12)
    order = rng.permutation(len(faces))
    np.testing.assert_allclose(distances(points, vertices, faces), distances(points, vertices, faces[order]))


def test_samples_lie_on_the_surface_and_spread_by_area():
    vertices, faces = bumpy(3)
    points, face = sample_surface(vertices, faces, 20_000)
    assert distances(points, vertices, faces).max() < 1e-9
    areas = trimesh.Trimesh(vertices, faces, process=False).area_faces
    counts = np.bincount(face, minlength=len(faces))
    np.testing.assert_allclose(counts, areas / areas.sum() * 20_000, atol=2.1)
    np.testing.assert_allclose(points.mean(0), trimesh.Trimesh(vertices, faces, process=False).centroid, atol=0.01)
