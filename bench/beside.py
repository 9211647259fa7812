"""Beside the published reference, same maps, machine and run: remeshing alone, and from a sphere to the shape."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bridge.mesh import Mesh, Surface
from bridge.mesh.topology import icosphere, surface_area
from bridge.raster import LossSettings, make_rasteriser
from bridge.solve import Solver, SolveSettings
from bridge.solve.targets import build_level

from . import subjects
from .growth import remeshing_step
from .measure import errors, median_ms

FAIR_SHARE = 0.9  # of the steps; the reference's vertex count has settled well before


@dataclass(frozen=True)
class Watch:
    """Seconds by the clock and of all cores together."""

    clock: float
    work: float

    @classmethod
    def start(cls) -> Watch:
        return cls(time.perf_counter(), time.process_time())

    def lap(self) -> Watch:
        now = Watch.start()
        return Watch(now.clock - self.clock, now.work - self.work)


def remesh_table(sizes: list[int], reference: type | None, repeats: int) -> None:
    """Optimiser step and remeshing alone, random gradients: the density field is in our times, it has none."""
    print("\n| vertices | ours ms | CPU ms | reference ms | CPU ms | ratio | of CPU |\n|" + "---|" * 7)
    for size in sizes:
        vertices, faces = subjects.geodesic(size)
        vertices = 0.5 * vertices
        ours = median_ms(remeshing_step(vertices, faces), 3)
        line = f"| {len(vertices):,} | {ours[0]:.0f} | {ours[1]:.0f} |"
        if reference:
            theirs = median_ms(_reference_step(reference, vertices, faces), repeats, warm=0)
            line += f" {theirs[0]:.0f} | {theirs[1]:.0f} | {theirs[0] / ours[0]:.0f}x | {theirs[1] / ours[1]:.0f}x |"
        print(line, flush=True)


def _reference_step(reference: type, vertices: np.ndarray, faces: np.ndarray):
    import torch

    edge = float(np.sqrt(surface_area(vertices, faces) / (len(vertices) * 0.866)))
    other = reference(
        torch.tensor(vertices, dtype=torch.float32),
        torch.tensor(faces, dtype=torch.long),
        edge_len_lims=(0.7 * edge, 1.2 * edge),
    )

    def step() -> None:
        other._vertices.grad = torch.randn_like(other._vertices)
        other.step()
        other.remesh()

    return step


def solve_table(counts: list[int], reference: type | None, steps: int) -> None:
    """From the sphere to the shape, 10 views of 512 pixels.

    The reference ends after so many steps; beside its seconds stands what 200 take at the pace of the last ones.
    """
    vertices, faces = subjects.shape(40_962)
    maps = subjects.targets(vertices, faces, subjects.rig(10, 512))
    print(
        "\n| end to end | vertices | steps | s | CPU s | CPU s for 200 steps | distance % | degrees |\n|" + "---|" * 8
    )
    for count in counts:
        settings = SolveSettings(max_vertices=count)
        watch = Watch.start()
        solver = Solver(maps, settings)
        done = 0
        for progress in solver:
            done = progress.done
        mesh = solver.finish()
        ours = watch.lap()
        distance, angle = errors(mesh, maps, vertices, faces)
        print(
            f"| ours | {len(mesh.vertices):,} | {done} | {ours.clock:.1f} | {ours.work:.1f} | {ours.work:.1f} "
            f"| {distance:.4f} | {angle:.2f} |",
            flush=True,
        )
        if reference:
            other, theirs, pace = solve_with_reference(reference, maps, len(mesh.vertices), steps)
            whole = theirs.work + pace * (settings.steps - steps)
            distance, angle = errors(other, maps, vertices, faces)
            ratio = whole / ours.work
            print(
                f"| reference | {len(other.vertices):,} | {steps} | {theirs.clock:.1f} | {theirs.work:.1f} "
                f"| {whole:.0f} = {ratio:.1f}x | {distance:.4f} | {angle:.2f} |",
                flush=True,
            )


def solve_with_reference(reference: type, maps: list, count: int, steps: int) -> tuple[Mesh, Watch, float]:
    """The reference's optimiser and remesher with our rasteriser, 512 pixels throughout, its published settings.

    Returns the mesh, the seconds of all steps, and the CPU seconds of one step at the end (mean of the last tenth).
    """
    import torch

    watch = Watch.start()
    frame = Solver(maps, SolveSettings()).frame
    level = build_level(maps, frame, 512, 0.0)
    raster = make_rasteriser("cpu", level.cameras)
    start, faces = icosphere(3, 0.5)
    edge = float(np.sqrt(4 * np.pi * 0.85 / (count * 0.866)))
    optimizer = reference(
        torch.tensor(start, dtype=torch.float32),
        torch.tensor(faces, dtype=torch.long),
        edge_len_lims=(edge, 0.15),
        laplacian_weight=0.1,
    )
    late = watch
    for step in range(steps):
        if step == int(FAIR_SHARE * steps):
            late = Watch.start()
        surface = Surface.of(optimizer.vertices.detach().numpy(), optimizer.faces.numpy())
        _, gradient = raster.loss_and_gradient(surface, level.images, LossSettings("l1", 0.2))
        optimizer._vertices.grad = torch.from_numpy(gradient)
        optimizer.step()
        if step < steps - 1:
            optimizer.remesh()
    whole, pace = watch.lap(), late.lap().work / (steps - int(FAIR_SHARE * steps))
    points = frame.world(optimizer.vertices.detach().numpy().astype(np.float64))
    return Mesh(points, optimizer.faces.numpy().astype(np.int32)), whole, pace
