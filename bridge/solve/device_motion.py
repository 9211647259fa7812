"""The optimiser's step (motion.py) on a mesh in a GPU's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Device
from ..mesh.device_mesh import DeviceMesh, DeviceSurface
from .cuda_source import SUM_CELLS, source
from .density import SMOOTHING
from .motion import Motion
from .optimise import COLUMNS, moments

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
