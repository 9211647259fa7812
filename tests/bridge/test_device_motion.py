"""The GPU's optimiser and densities without a GPU (tests/support/host_device.py), beside the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.mesh import cuda_source as mesh_source
from bridge.mesh.candidates import LENGTH
from bridge.mesh.device_mesh import DeviceMesh
from bridge.mesh.intersections import intersecting_faces
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.solve import cuda_source
from bridge.solve.contacts import separate_self_contacts
from bridge.solve.density import shortest_edges
from bridge.solve.device_motion import DeviceMotion
from bridge.solve.motion import move
from bridge.solve.optimise import COLUMNS, EXTRA_COLUMNS, SEEN, Motion
from tests.bridge.scenes import bumpy, met_fronts
from tests.support.host_device import HostDevice, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler")


def pair(level: int, seed: int) -> tuple[HalfEdgeMesh, DeviceMesh, np.random.Generator]:
    """The same mesh on both sides: noise, target lengths, a part that nothing sees."""
    rng = np.random.default_rng(seed)
    vertices, faces = bumpy(level, seed)
    mesh = HalfEdgeMesh(vertices + rng.normal(size=vertices.shape) * 0.01, faces, 0.05, EXTRA_COLUMNS)
    mesh.data[:, LENGTH] *= rng.uniform(0.5, 2, mesh.vertex_count)
    mesh.data[:, SEEN] = vertices[:, 0] > 0
    return mesh, DeviceMesh(mesh, HostDevice(mesh_source.source())), rng


@pytest.mark.parametrize("level", [2, 4])
def test_the_steps_are_the_cpus(level):
    """Several in a row, with moments: positions, target lengths and all else to a few float32 digits."""
    cpu, gpu, rng = pair(level, level)
    motion = DeviceMotion(HostDevice(cuda_source.source(), seed=3))
    for step in range(1, 7):
        plan = Motion(step, 0.4, 0.05, 1 + step % 2, step % 4, 0.3 * (step % 2), 1000 * 3**step, 1e-3, 0.09)
        gradient = (rng.normal(size=(cpu.vertex_count, 3)) * 10.0 ** rng.uniform(-4, 0)).astype(np.float32)
        gradient[:20] = 0
        move(cpu, cpu.surface(), gradient, plan)
        motion.move(gpu, gpu.surface(), gradient.reshape(-1), plan)
        got, expected = gpu.data, cpu.data
        assert got.shape[1] == COLUMNS
        for column in range(COLUMNS):
            scale = np.abs(expected[:, column]).max()
            np.testing.assert_allclose(got[:, column], expected[:, column], rtol=2e-4, atol=2e-5 * scale)
        assert len(np.unique(expected[:, LENGTH])) > 20


@pytest.mark.parametrize("limits", [(1e-6, 1.0), (0.05, 0.08)])
def test_the_shortest_edges_are_the_cpus(limits):
    cpu, gpu, _ = pair(4, 0)
    expected = np.clip(shortest_edges(cpu.surface(), cpu.data[:, SEEN], 3000), *limits)
    motion = DeviceMotion(HostDevice(cuda_source.source(), seed=100))
    got = motion.shortest_edges(gpu, gpu.surface(), Motion(1, 0.4, 0.05, 1, 0, 0.0, 3000, *limits))
    np.testing.assert_allclose(got, expected, rtol=2e-5)
    assert expected.max() > 1.5 * expected.min()


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("seed", [0, 7, 100])
def test_the_faces_that_cross_are_the_cpus(noise, seed):
    """From none to nearly all, whatever the order of the threads and of the faces in memory."""
    vertices, faces = bumpy(4)
    rng = np.random.default_rng(seed)
    vertices = vertices + rng.normal(size=vertices.shape) * noise
    cpu = HalfEdgeMesh(vertices, rng.permutation(faces), 0.05, EXTRA_COLUMNS)
    gpu = DeviceMesh(cpu, HostDevice(mesh_source.source()))
    motion = DeviceMotion(HostDevice(cuda_source.source(), seed))
    for _ in range(2):
        expected = np.zeros(cpu.vertex_count, np.int32)
        expected[cpu.faces[intersecting_faces(cpu.surface().vertices, cpu.faces)]] = 1
        assert bool(expected.any()) == (noise > 0)
        np.testing.assert_array_equal(motion.crossing(gpu.surface()), expected)
        for mesh in (cpu, gpu):
            mesh.sort_memory()


@pytest.mark.parametrize("passed", [0.01, 0.05])
def test_fronts_are_drawn_apart_as_on_the_cpu(passed):
    vertices, faces, _ = met_fronts(passed)
    cpu = HalfEdgeMesh(vertices, faces, 0.05, EXTRA_COLUMNS)
    gpu, motion = DeviceMesh(cpu, HostDevice(mesh_source.source())), DeviceMotion(HostDevice(cuda_source.source(), 3))
    before = cpu.data.copy()
    separate_self_contacts(cpu)
    motion.separate_self_contacts(gpu)
    np.testing.assert_array_equal((gpu.data != before).any(1), (cpu.data != before).any(1))
    np.testing.assert_allclose(gpu.data, cpu.data, atol=5e-7)
    for _ in range(4):
        motion.separate_self_contacts(gpu)
    assert not motion.crossing(gpu.surface()).any()
    settled = gpu.data
    motion.separate_self_contacts(gpu)
    np.testing.assert_array_equal(gpu.data, settled)  # what does not cross stays, to the bit


def test_a_step_waits_for_nothing_and_copies_nothing():
    _, mesh, _ = pair(2, 0)
    motion = DeviceMotion(HostDevice(cuda_source.source()))
    surface, gradient = mesh.surface(), np.ones(3 * mesh.vertex_count, np.float32)
    mesh.device.log.clear()
    motion.move(mesh, surface, gradient, Motion(1, 0.4, 0.05, 2, 2, 0.5, 3000, 0.01, 0.1))
    motion.separate_self_contacts(mesh)
    assert not any(line.startswith(("upload", "download")) for line in mesh.device.log + motion.device.log)
