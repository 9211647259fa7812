"""The GPU's mesh without a GPU (tests/support/host_device.py): invariants, and the CPU's remesher beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.mesh import cuda_source, device_mesh
from bridge.mesh.candidates import LENGTH
from bridge.mesh.device_mesh import DeviceMesh
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import icosphere, signed_volume
from tests.bridge.scenes import bumpy
from tests.bridge.test_mesh import ROUNDING, check_closed, inverted_by_collapses, unit_normals, uprightness
from tests.support import host_device

pytestmark = pytest.mark.skipif(host_device.compiler() is None, reason="no C++ compiler")
REAL_THREADS = 100  # seeds from here on


def noisy(level: int, seed: int, noise: float, length: float) -> HalfEdgeMesh:
    vertices, faces = bumpy(level, seed)
    vertices = vertices + np.random.default_rng(seed).normal(size=vertices.shape) * noise
    return HalfEdgeMesh(vertices, faces, length, extra_columns=2)


def on_device(mesh: HalfEdgeMesh, seed: int = 0, kind: type[DeviceMesh] = DeviceMesh) -> DeviceMesh:
    return kind(mesh, host_device.HostDevice(cuda_source.source(), seed))


class Watched(DeviceMesh):
    """Checks itself after every part of a pass."""

    def _compact(self, *sizes) -> None:
        super()._compact(*sizes)
        self._check()

    def _split(self, *sizes) -> None:
        super()._split(*sizes)
        self._check()

    def _flip(self, *sizes) -> None:
        super()._flip(*sizes)
        self._check(count=False)  # flips keep the degrees up to date

    def _check(self, count: bool = True) -> None:
        self._known = None
        if count:
            self._find_rings(self.vertex_count, self.face_count)
        check_closed(self)


class Inspected(DeviceMesh):
    """Counts the faces that its own edits invert, if it flips in one round."""

    inverted = 0

    def _collapse(self, surface) -> None:
        points, faces = self.data[:, :3], self.faces
        super()._collapse(surface)
        self.inverted += inverted_by_collapses(points, faces, self.data[:, :3], self.faces)

    def _flip(self, *sizes) -> None:
        self._known = None
        points, faces = self.data[:, :3], self.faces
        super()._flip(*sizes)
        changed = self.faces[(self.faces != faces).any(1)]
        self.inverted += int((uprightness(points, changed, unit_normals(points, faces)) < -ROUNDING).sum())


def shake(mesh: DeviceMesh, motion: np.ndarray) -> None:
    """Moves the vertices where they lie."""
    mesh.rows()[: mesh.vertex_count * 6].reshape(-1, 6)[:, :3] += motion


def triangles(mesh: DeviceMesh | HalfEdgeMesh) -> np.ndarray:  # [F, 9]
    """The faces as coordinates, each from its lowest corner on, sorted: the same for any numbering."""
    corners = mesh.data[:, :3][mesh.faces].astype(np.float64)
    first = np.lexsort(corners.transpose(2, 0, 1)[::-1], axis=1)[:, 0]
    corners = corners[np.arange(len(corners))[:, None], (first[:, None] + np.arange(3)) % 3].reshape(-1, 9)
    return corners[np.lexsort(corners.T[::-1])]


def edge_lengths(mesh: DeviceMesh | HalfEdgeMesh) -> np.ndarray:  # [3F], of the target length at their starts
    points, start = mesh.data[:, :3], mesh.start
    return np.linalg.norm(points[start] - points[start[mesh.twin]], axis=1) / mesh.data[start, LENGTH]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    level=st.integers(1, 3),
    length=st.floats(0.03, 0.6),
    noise=st.floats(0, 0.1),
    limit=st.integers(50, 3000),
)
def test_remeshing_keeps_any_mesh_closed(seed, level, length, noise, limit):
    """Random bumps, noise up to folded triangles, any target length, vertex limit and order of the threads."""
    rng = np.random.default_rng(seed)
    mesh = on_device(noisy(level, seed, noise, length), seed, Watched)
    count = mesh.vertex_count
    for step in range(5):
        shake(mesh, rng.normal(size=(mesh.vertex_count, 3)) * noise * 0.2)
        mesh.remesh(limit)
        if step % 3 == 2:
            mesh.sort_memory()
            check_closed(mesh)
        surface = mesh.surface()
        assert (mesh.start[surface.outgoing] == np.arange(mesh.vertex_count)).all()
        assert mesh.vertex_count <= max(limit, count)
        count = mesh.vertex_count


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.0), (1, 0.01), (1, 0.03), (1, 0.1), (71, 0.1)])
def test_no_edit_inverts_a_face(seed, noise, monkeypatch):
    """The last: flips over a split's middle, as in test_mesh."""
    monkeypatch.setattr(device_mesh, "FLIP_ROUNDS", 1)
    rng = np.random.default_rng(seed)
    mesh = on_device(noisy(3, seed, 0.0, 0.1), kind=Inspected)
    for step in range(16):
        shake(mesh, rng.normal(size=(mesh.vertex_count, 3)) * noise * 0.5)
        mesh.rows()[: mesh.vertex_count * 6].reshape(-1, 6)[:, LENGTH] = 0.05 + 0.1 * (step // 4 % 2)
        mesh.remesh(3000)
        assert mesh.inverted == 0


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_collapses_are_the_cpus(noise):
    """The same edges, all at once."""
    cpu = noisy(4, 1, noise, 0.15)
    gpu = on_device(noisy(4, 1, noise, 0.15))
    surface = gpu.surface()
    gpu._collapse(surface)
    gpu._compact(surface.vertex_count, surface.face_count, 10_000)
    gpu._known = None
    assert cpu._collapse(cpu.surface()) > 10
    cpu._compact()
    check_closed(cpu)
    np.testing.assert_array_equal(triangles(gpu), triangles(cpu))


@pytest.mark.parametrize(("noise", "length"), [(0.0, 0.06), (0.0, 0.08), (0.1, 0.06), (0.1, 0.13)])
def test_splits_are_the_cpus(noise, length):
    """To the bit: faces of which one, two and three edges split."""
    cpu, gpu = noisy(3, 1, noise, length), on_device(noisy(3, 1, noise, length))
    V, F = gpu.vertex_count, gpu.face_count
    gpu._compact(V, F, 4 * V)
    gpu._split(F, 4 * V, 8 * V)
    gpu._find_rings(4 * V, 8 * V)
    gpu._known = None
    cpu._split(4 * V, V)
    check_closed(gpu)
    assert gpu.vertex_count == cpu.vertex_count > V + 20
    np.testing.assert_array_equal(triangles(gpu), triangles(cpu))


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_triangles_are_as_good_as_the_cpus(noise):
    """After many passes over a surface that keeps moving: number, lengths and degrees."""
    rng = np.random.default_rng(0)
    cpu = noisy(4, 0, 0.0, 0.05)
    gpu = on_device(noisy(4, 0, 0.0, 0.05))
    for _ in range(10):
        motion = rng.normal(size=(20_000, 3)).astype(np.float32) * noise
        shake(gpu, motion[: gpu.vertex_count])
        cpu.data[:, :3] += motion[: cpu.vertex_count]
        gpu.remesh(20_000)
        cpu.remesh(20_000)
    check_closed(gpu)
    assert 0.8 < gpu.vertex_count / cpu.vertex_count < 1.1  # better degrees need fewer vertices
    assert ((gpu.degree - 6.0) ** 2).mean() < 1.05 * ((cpu.degree - 6.0) ** 2).mean()
    mine, others = (np.percentile(edge_lengths(mesh), (1, 10, 50, 90, 99)) for mesh in (gpu, cpu))
    assert mine[2] == pytest.approx(others[2], rel=0.1)
    assert (mine[:2] > 0.9 * others[:2]).all() and (mine[3:] < 1.1 * others[3:]).all()  # as narrow
    assert signed_volume(gpu.data[:, :3], gpu.faces) == pytest.approx(
        signed_volume(cpu.data[:, :3], cpu.faces), rel=0.01
    )


def test_edits_alone_leave_hardly_a_face_inverted():
    """Back and forth between short and long edges, as in test_mesh."""
    share = []
    for seed in range(3):
        mesh = on_device(noisy(3, seed, 0.0, 0.1), seed)
        for step in range(32):
            mesh.rows()[: mesh.vertex_count * 6].reshape(-1, 6)[:, LENGTH] = 0.05 + 0.15 * (step // 4 % 2)
            mesh.remesh(4000)
            points, faces = mesh.data[:, :3], mesh.faces
            share.append((uprightness(points, faces, unit_normals(points, faces)) < 0).mean())
    assert np.mean(share) < 5e-5


def test_the_order_of_the_threads_does_not_matter():
    results = []
    for seed in (0, 1, 2, REAL_THREADS, REAL_THREADS + 1):
        mesh = on_device(noisy(3, 0, 0.03, 0.05), seed)
        for _ in range(4):
            mesh.remesh(3000)
        mesh.sort_memory()
        mesh.remesh(3000)
        results.append((mesh.data, mesh.start, mesh.twin, mesh.degree))
    for result in results[1:]:
        for array, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, first)


def test_a_full_mesh_splits_its_longest_edges():
    rng = np.random.default_rng(0)
    mesh = noisy(3, 0, 0.0, 0.02)
    room = mesh.vertex_count + 100
    gpu = on_device(mesh)
    ranks = (edge_lengths(mesh)[mesh.start < mesh.start[mesh.twin]]) ** 2
    gpu.remesh(room)
    new = gpu.vertex_count - mesh.vertex_count
    assert 90 <= new <= 100
    cut = np.sort(ranks)[-new]  # the middles of the longest are there, others' are not
    start = mesh.start
    middles = (mesh.data[start, :3] + mesh.data[start[mesh.twin], :3]) / 2
    found = {tuple(p) for p in gpu.data[:, :3]}
    split = np.array([tuple(p) in found for p in middles])
    lengths = edge_lengths(mesh) ** 2
    assert split[lengths > cut * 1.01].all() and not split[lengths < cut * 0.99].any()
    full = gpu.vertex_count
    for _ in range(3):
        shake(gpu, rng.normal(size=(gpu.vertex_count, 3)) * 0.01)
        gpu.remesh(full)
        assert gpu.vertex_count <= full


def test_memory_order_is_the_cpus():
    cpu = HalfEdgeMesh(*bumpy(4), 0.05, 2)
    order = np.random.default_rng(0).permutation(cpu.vertex_count)
    place = np.argsort(order).astype(np.int32)
    cpu = HalfEdgeMesh(cpu.data[order, :3], place[cpu.faces], 0.05, 2)
    gpu = on_device(cpu)
    gpu.sort_memory()
    check_closed(gpu)
    cpu.sort_memory()
    for name in ("data", "start", "twin", "degree"):
        np.testing.assert_array_equal(getattr(gpu, name), getattr(cpu, name))


def test_a_pass_waits_for_nothing_and_copies_nothing():
    mesh = on_device(HalfEdgeMesh(*icosphere(3), 0.05))
    mesh.device.log.clear()
    mesh.remesh(5000)
    assert not any(line.startswith(("upload", "download")) for line in mesh.device.log)
    assert mesh.vertex_count > 642 and mesh.device.log.count("download") == 1
