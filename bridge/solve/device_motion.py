"""The optimiser's step (motion.py) and the separation of self-contacts (contacts.py) on a mesh in a GPU's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Device
from ..mesh.device_mesh import DeviceMesh, DeviceSurface
from .contacts import RINGS, ROUNDS
from .cuda_source import SUM_CELLS, source
from .density import SMOOTHING
from .optimise import COLUMNS, Motion, moments

i32, f32, f64 = np.int32, np.float32, np.float64


class DeviceMotion:
    """Nothing here waits for the device or copies."""

    def __init__(self, device: Device | None = None) -> None:
        if device is None:
            from ..device.nvidia import CupyDevice

            device = CupyDevice(source())
        self.device = device

    def move(self, mesh: DeviceMesh, surface: DeviceSurface, gradient: Any, motion: Motion) -> None:
        """See motion.move. gradient [3V] float32 on the device."""
        shortest = self.shortest_edges(mesh, surface, motion)
        keep, take, ease = moments(motion.step)
        force = self.diffused(surface, gradient, motion.diffusion)
        relief = motion.relief if motion.diffusion else 0.0
        self.device.launch(
            "move_vertices", surface.vertex_count, 1, mesh.rows(), i32(COLUMNS), i32(surface.vertex_count), gradient,
            force, f64(relief), self.laplacian(mesh, surface, motion.order), i32(motion.order),
            f64(keep), f64(take), f64(motion.rate * ease), f64(motion.laplacian), f64(motion.least),
            shortest, f64(motion.longest),
        )  # fmt: skip

    def laplacian(self, mesh: DeviceMesh, surface: DeviceSurface, order: int) -> Any:  # [3V] float32
        """See optimise.optimise."""
        V, values = surface.vertex_count, surface.vertices
        for k in range(order):
            result = self.device.buffer(f"laplacian {k}", 3 * V, np.float32)
            self.device.launch("from_neighbours", V, 1, values, mesh.rows(), i32(COLUMNS), i32(k), surface.faces,
                               surface.twin, surface.outgoing, i32(V), result)  # fmt: skip
            values = result
        return values

    def diffused(self, surface: DeviceSurface, values: Any, rounds: int) -> Any:  # [3V] float32
        """See laplacian.diffused."""
        V = surface.vertex_count
        for k in range(rounds):
            result = self.device.buffer(f"diffused {k % 2}", 3 * V, np.float32)
            self.device.launch("diffuse", V, 1, values, surface.faces, surface.twin, surface.outgoing, i32(V), result)
            values = result
        return values

    def shortest_edges(self, mesh: DeviceMesh, surface: DeviceSurface, motion: Motion) -> Any:  # [V] float32
        """See density.shortest_edges; within the motion's limits."""
        V, launch, buffer = surface.vertex_count, self.device.launch, self.device.buffer
        normals, lengths = buffer("normals", 3 * V, np.float32), buffer("lengths", V, np.float32)
        bend, smoothed = buffer("bend", V, np.float32), buffer("smoothed", V, np.float32)
        ring = (surface.faces, surface.twin, surface.outgoing, i32(V))
        launch("vertex_normals", V, 1, surface.vertices, *ring, normals, lengths)
        launch("find_bend", V, 1, surface.vertices, *ring, normals, mesh.rows(), i32(COLUMNS), bend)
        for _ in range(SMOOTHING):
            launch("towards_neighbours", V, 1, bend, *ring, smoothed)
            bend, smoothed = smoothed, bend
        relative, edges = buffer("relative", V, np.float32), buffer("edges", V, np.float32)
        sums = buffer("sums", 3 * SUM_CELLS, np.int64, zero=True)
        used = sums[2 * SUM_CELLS :]
        launch("relative_edges", V, 1, bend, lengths, i32(V), relative, sums)
        launch("limit_edges", V, 1, lengths, i32(V), sums, relative, used)
        launch("scale_edges", V, 1, relative, i32(V), used, f64(motion.vertex_budget), f32(motion.shortest),
               f32(motion.longest), edges)  # fmt: skip
        return edges

    def separate_self_contacts(self, mesh: DeviceMesh) -> None:
        """See contacts.separate_self_contacts; what is smoothed is rounded to float32 after each round."""
        surface = mesh.surface()
        V, launch, buffer = surface.vertex_count, self.device.launch, self.device.buffer
        ring = (surface.faces, surface.twin, surface.outgoing, i32(V))
        chosen = self.crossing(surface)
        for k in range(RINGS):
            wider = buffer(f"chosen {k % 2}", V, np.int32)
            launch("widen", V, 1, chosen, *ring, wider)
            chosen = wider
        positions = surface.vertices
        for k in range(ROUNDS):
            relaxed = buffer(f"relaxed {k % 2}", 3 * V, np.float32)
            launch("relax", V, 1, positions, chosen, *ring, relaxed)
            positions = relaxed
        launch("place_chosen", V, 1, positions, chosen, i32(V), mesh.rows(), i32(COLUMNS))

    def crossing(self, surface: DeviceSurface) -> Any:  # [V] int32
        """1 at the corners of faces that pass through each other."""
        V, F = surface.vertex_count, surface.face_count
        launch, buffer = self.device.launch, self.device.buffer
        depth = (F - 1).bit_length()
        leaves = 1 << depth
        boxes = buffer("boxes", 12 * leaves, np.float32)
        launch("fit_leaves", leaves, 1, surface.vertices, surface.faces, i32(F), i32(leaves), boxes)
        for level in reversed(range(depth)):
            launch("fit_nodes", 1 << level, 1, i32(1 << level), boxes)
        crossing = buffer("crossing", V, np.int32, zero=True)
        launch("mark_crossing", F, 1, surface.vertices, surface.faces, i32(F), i32(leaves), boxes, crossing)
        return crossing
