"""How a step grows with views, pixels and vertices: the differentiable step, optimiser and remeshing, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bridge.mesh import Surface
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import surface_area
from bridge.raster import LossSettings, make_rasteriser
from bridge.solve import Solver, SolveSettings
from bridge.solve.density import shortest_edges
from bridge.solve.optimise import EXTRA_COLUMNS, Motion, optimise
from bridge.solve.targets import build_level

from . import subjects
from .measure import median_ms, peak_mb

VERTICES = (20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
VIEWS = (3, 6, 10, 23)
PIXELS = (256, 512, 1024)
USUAL = (50_000, 10, 512)


def table(counts: Sequence[int] | None = None) -> None:
    """Markdown. counts: only these numbers of vertices, not the rows by views and pixels.

    Rows go up, so that the peak of memory, which the targets share, belongs to the row it stands in or one above.
    """
    cases = [(count, *USUAL[1:]) for count in counts or VERTICES]
    if not counts:
        cases += [(USUAL[0], views, USUAL[2]) for views in VIEWS if views != USUAL[1]]
        cases += [(USUAL[0], USUAL[1], pixels) for pixels in PIXELS if pixels != USUAL[2]]
    truth = subjects.shape(10_000)
    print(
        "\n| vertices | views | pixels | image step ms | remeshing ms | both | both, CPU ms | peak MB |\n|" + "---|" * 8
    )
    for count, views, pixels in sorted(cases):
        solver = Solver(subjects.targets(*truth, subjects.rig(views, pixels)), SolveSettings())
        built = build_level(solver._targets, solver.frame, pixels, 0.0)
        vertices, faces = subjects.shape(count)
        local = solver.frame.local(vertices) * 1.01
        raster, surface = make_rasteriser("cpu", built.cameras), Surface.of(local, faces)
        image = median_ms(partial(raster.loss_and_gradient, surface, built.images, LossSettings("l2")), 3)
        mesh = remeshing_step(local, faces)
        remesh = median_ms(mesh, 3)
        clock, work = image[0] + remesh[0], image[1] + remesh[1]
        print(
            f"| {len(vertices):,} | {views} | {pixels} | {image[0]:.0f} | {remesh[0]:.0f} | {clock:.0f} "
            f"| {work:.0f} | {peak_mb():.0f} |",
            flush=True,
        )


def remeshing_step(vertices: np.ndarray, faces: np.ndarray, seed: int = 0):
    """A function that takes one step without an image: density, optimiser (random gradient), one remeshing pass."""
    edge = float(np.sqrt(surface_area(vertices, faces) / (len(vertices) * 0.866)))
    rng = np.random.default_rng(seed)
    mesh, steps = HalfEdgeMesh(vertices, faces, edge, EXTRA_COLUMNS), [0]

    def step() -> None:
        steps[0] += 1
        surface = mesh.surface()
        gradient = rng.standard_normal(surface.vertices.shape, np.float32)
        seen = np.ones(len(gradient), np.float32)
        shortest = np.minimum(shortest_edges(surface, seen, len(vertices)), np.float32(1.2 * edge))
        shortest = np.maximum(shortest, np.float32(0.7 * edge))
        motion = Motion(steps[0], 0.3, 0.02, 2, 6, 0.5, len(vertices), 0.7 * edge, 1.2 * edge)
        optimise(mesh, surface, gradient, motion, shortest)
        mesh.remesh(10_000_000)

    return step
