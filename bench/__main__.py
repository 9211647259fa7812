"""python -m bench [--reference DIR]: how fast and how exact the engine is on this machine, beside the reference.

DIR is a checkout of Profactor/continuous-remeshing; it is handed our rasteriser, since it has none for the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from bridge.mesh import Mesh, Surface
from bridge.mesh.normals import vertex_normals
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import icosphere, surface_area
from bridge.raster import LossSettings, make_rasteriser
from bridge.solve import Solver, SolveSettings, warm_up
from bridge.solve.optimise import EXTRA_COLUMNS, optimise
from bridge.solve.targets import build_level

from . import subjects


def median_ms(function: Callable[[], object], repeats: int = 5) -> float:
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def errors(mesh: Mesh, vertices: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Mean distance to the true surface in % of its diagonal, and mean normal error over novel views in degrees."""
    tree = cKDTree(vertices)
    _, nearest = tree.query(mesh.vertices)
    normals = vertex_normals(vertices, faces)[nearest]
    gap = np.abs(((mesh.vertices - vertices[nearest]) * normals).sum(1))  # point to plane
    cameras = subjects.rig(11, 512)
    truth = make_rasteriser("cpu", cameras).render(vertices, faces)
    ours = make_rasteriser("cpu", cameras).render(mesh.vertices, mesh.faces)
    angles = []
    for i in range(len(cameras)):
        both = (truth.triangle[i] >= 0) & (ours.triangle[i] >= 0)
        angles.append(np.degrees(np.arccos(np.clip((truth.normals[i] * ours.normals[i]).sum(-1)[both], -1, 1))))
    diagonal = np.linalg.norm(np.ptp(vertices, axis=0))
    return 100 * float(gap.mean()) / diagonal, float(np.concatenate(angles).mean())


def step_table(sizes: list[int]) -> None:
    """One differentiable step by vertices, views and pixels."""
    print(f"\n{'step (loss + gradient)':32}{'views':>6}{'pixels':>8}{'ms':>9}")
    cases = [(v, 10, 512) for v in sizes]
    cases += [(50_000, n, 512) for n in (3, 6, 23)] + [(50_000, 10, p) for p in (256, 1024)]
    for count, views, pixels in cases:
        level = round(np.log(count / 10) / np.log(4))
        vertices, faces = subjects.shape(level)
        solver = Solver(subjects.targets(*subjects.shape(5), subjects.rig(views, pixels)), SolveSettings())
        built = build_level(solver._targets, solver.frame, pixels, 0.0)
        local = (vertices - solver.frame.center) / solver.frame.radius * 1.01
        raster, surface = make_rasteriser("cpu", built.cameras), Surface.of(local, faces)
        ms = median_ms(lambda r=raster, s=surface, b=built: r.loss_and_gradient(s, b.images, LossSettings("l2")), 3)
        print(f"{len(vertices):>12,} vertices         {views:>6}{pixels:>8}{ms:>9.1f}")


def remesh_table(sizes: list[int], reference: type | None) -> None:
    """Optimiser step and remeshing alone, random gradients, beside the reference."""
    print(f"\n{'optimiser + remesh':24}{'ours ms':>10}{'reference ms':>14}{'ratio':>8}")
    for level in sizes:
        vertices, faces = icosphere(level, 0.5)
        edge = float(np.sqrt(surface_area(vertices, faces) / (len(vertices) * 0.866)))
        rng = np.random.default_rng(0)
        mesh, steps = HalfEdgeMesh(vertices, faces, edge, EXTRA_COLUMNS), [0]

        def ours(mesh=mesh, steps=steps, edge=edge, rng=rng) -> None:
            steps[0] += 1
            surface = mesh.surface()
            gradient = rng.normal(size=surface.vertices.shape).astype(np.float32)
            shortest = np.full(len(gradient), 0.7 * edge, np.float32)
            optimise(mesh, surface.outgoing, surface.vertices, gradient, steps[0], 0.3, 0.02, shortest, 1.2 * edge)
            mesh.remesh(10_000_000)

        first = median_ms(ours, 3)
        line = f"{len(vertices):>12,} vertices   {first:>10.1f}"
        if reference:
            import torch

            other = reference(
                torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces, dtype=torch.long),
                edge_len_lims=(0.7 * edge, 1.2 * edge),
            )  # fmt: skip

            def theirs(other=other) -> None:
                other._vertices.grad = torch.randn_like(other._vertices)
                other.step()
                other.remesh()

            second = median_ms(theirs, 3)
            line += f"{second:>14.0f}{second / first:>8.1f}"
        print(line, flush=True)


def solve_table(counts: list[int], reference: type | None) -> None:
    """End to end on 10 views of 512 pixels."""
    vertices, faces = subjects.shape(6)
    maps = subjects.targets(vertices, faces, subjects.rig(10, 512))
    print(f"\n{'end to end':24}{'vertices':>10}{'s':>8}{'distance %':>12}{'degrees':>9}")
    for count in counts:
        began = time.perf_counter()
        solver = Solver(maps, SolveSettings(max_vertices=count))
        for _ in solver:
            pass
        mesh = solver.finish()
        print(_row("ours", mesh, time.perf_counter() - began, vertices, faces), flush=True)
        if reference:
            mesh, seconds = solve_with_reference(reference, maps, len(mesh.vertices))
            print(_row("reference", mesh, seconds, vertices, faces), flush=True)


def _row(name: str, mesh: Mesh, seconds: float, vertices: np.ndarray, faces: np.ndarray) -> str:
    distance, angle = errors(mesh, vertices, faces)
    return f"{name:24}{len(mesh.vertices):>10,}{seconds:>8.1f}{distance:>12.4f}{angle:>9.2f}"


def solve_with_reference(reference: type, maps: list, count: int, steps: int = 200) -> tuple[Mesh, float]:
    """The reference's optimiser and remesher with our rasteriser, 512 pixels throughout, its published settings."""
    import torch

    began = time.perf_counter()
    frame = Solver(maps, SolveSettings()).frame
    level = build_level(maps, frame, 512, 0.0)
    raster = make_rasteriser("cpu", level.cameras)
    start, faces = icosphere(3, 0.5)
    optimizer = None
    for step in range(steps):
        if optimizer is None:
            edge = float(np.sqrt(4 * np.pi * 0.85 / (count * 0.866)))
            optimizer = reference(
                torch.tensor(start, dtype=torch.float32), torch.tensor(faces, dtype=torch.long),
                edge_len_lims=(edge, 0.15), laplacian_weight=0.1,
            )  # fmt: skip
        surface = Surface.of(optimizer.vertices.detach().numpy(), optimizer.faces.numpy())
        _, gradient = raster.loss_and_gradient(surface, level.images, LossSettings("l1", 0.2))
        optimizer._vertices.grad = torch.from_numpy(gradient)
        optimizer.step()
        if step < steps - 1:
            optimizer.remesh()
    points = optimizer.vertices.detach().numpy().astype(np.float64) * frame.radius + frame.center
    return Mesh(points, optimizer.faces.numpy().astype(np.int32)), time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--reference", type=Path, metavar="DIR", help="checkout of Profactor/continuous-remeshing")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    arguments = parser.parse_args()
    reference = None
    if arguments.reference:
        from .reference import optimizer_class

        reference = optimizer_class(arguments.reference)
    print(f"kernels ready after {warm_up():.1f} s")
    step_table([20_000, 50_000] if arguments.quick else [20_000, 50_000, 200_000, 600_000])
    remesh_table([5] if arguments.quick else [5, 6, 7], reference)
    solve_table([10_000] if arguments.quick else [10_000, 50_000], reference)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
