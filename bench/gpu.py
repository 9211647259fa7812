"""python -m bench.gpu [--vertices ...] [--reference DIR] [--json FILE]: the GPU's step kernel by kernel, and a solve.

Needs an NVIDIA GPU. Beside each kernel's time stands its floor: the bytes of all arrays it is given, each moved once,
at the rate of this device's own copies. With --reference, a checkout of Profactor/continuous-remeshing, and PyTorch
for CUDA the same step is timed with that remesher, and with nvdiffrast where it is installed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bridge.mesh import Surface
from bridge.mesh.device_mesh import DeviceMesh
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import surface_area
from bridge.raster import ImageTargets, LossSettings, available, cuda, make_rasteriser
from bridge.raster.cuda import CudaRasteriser
from bridge.solve import Solver, SolveSettings
from bridge.solve.device_motion import DeviceMotion
from bridge.solve.optimise import EXTRA_COLUMNS, Motion
from bridge.solve.schedule import LONGEST
from bridge.solve.solver import SEPARATE_EVERY, SORT_EVERY

from . import subjects

VERTICES = (20_000, 100_000, 500_000, 1_000_000)
GOAL = "goal on an H200, 10 views of 512 px, 500,000 vertices, 300 steps: 3 s, 10 ms a step"


class Stopwatch:
    """Wraps a device: records events around every launch and every clearing of a buffer."""

    def __init__(self, device) -> None:
        import cupy

        self._device, self._cuda = device, cupy.cuda
        self._events: list[tuple[str, int, object, object]] = []

    def __getattr__(self, name: str):
        return getattr(self._device, name)

    def buffer(self, name: str, count: int, dtype: type, zero: bool = False):
        if not zero:
            return self._device.buffer(name, count, dtype)
        bytes_ = count * np.dtype(dtype).itemsize
        return self._time("zeros", bytes_, lambda: self._device.buffer(name, count, dtype, True))

    def launch(self, kernel: str, threads: int, rows: int, *arguments) -> None:
        bytes_ = sum(argument.nbytes for argument in arguments)
        self._time(kernel, bytes_, lambda: self._device.launch(kernel, threads, rows, *arguments))

    def _time(self, kernel: str, bytes_: int, run: Callable):
        start, end = self._cuda.Event(), self._cuda.Event()
        start.record()
        result = run()
        end.record()
        self._events.append((kernel, bytes_, start, end))
        return result

    def take(self) -> dict[str, np.ndarray]:
        """Launches, milliseconds and bytes of each kernel since the last call. After the device has been waited for."""
        found: dict[str, np.ndarray] = {}
        for kernel, bytes_, start, end in self._events:
            row = (1, self._cuda.get_elapsed_time(start, end), bytes_)
            found[kernel] = found.get(kernel, 0) + np.array(row, np.float64)
        self._events.clear()
        return found


class Step:
    """The solver's step on a mesh that is as large as it will be, towards a slightly larger self."""

    def __init__(self, count: int, views: int, size: int) -> None:
        vertices, faces = subjects.shape(count)
        cameras = subjects.rig(views, size)
        render = make_rasteriser("cuda", cameras).render(vertices * 1.01, faces)
        masks = [(triangle >= 0).astype(np.float32) for triangle in render.triangle]
        ones = [np.ones_like(mask) for mask in masks]
        self.targets = ImageTargets.of(render.normals, masks, ones, ones)
        self.surface = Surface.of(vertices, faces)
        self.edge = float(np.sqrt(surface_area(vertices, faces) / (count * 0.866)))
        self.count, self.done = count, 0
        self.raster = CudaRasteriser(cameras)
        self.mesh = DeviceMesh(HalfEdgeMesh(vertices, faces, self.edge, EXTRA_COLUMNS))
        self.motion = DeviceMotion()
        self.parts: dict[str, Any] = {"image": self.raster, "optimiser": self.motion, "remesh": self.mesh}

    def __call__(self) -> tuple[float, int]:
        self.done += 1
        surface = self.mesh.surface()
        loss, gradient = self.raster.loss_and_gradient(surface, self.targets, LossSettings("l2"))
        plan = Motion(self.done, 0.5, 0.05, 2, 6, 0.5, 0.9 * self.count, 0.0, LONGEST)
        self.motion.move(self.mesh, surface, gradient, plan)
        self.mesh.remesh(self.count + self.count // 10)
        return float(loss), self.mesh.vertex_count  # both wait


def copy_bandwidth() -> float:
    """Bytes a second of a device-to-device copy, read and written both counted."""
    import cupy

    size = 1 << 28
    source, target = (cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0) for _ in range(2))
    times = []
    for _ in range(6):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        target.copy_from_device_async(source, size, cupy.cuda.get_current_stream())
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / 1000)
    return 2 * size / float(np.median(times))


def wall_ms(function: Callable[[], object], repeats: int, warm: int = 3) -> float:
    for _ in range(warm):
        function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def measure(count: int, views: int, size: int, repeats: int) -> dict:
    """One step: median of repeats by the clock, then kernel by kernel (mean of repeats); then a sort and a
    look for self-contacts."""
    import cupy

    free, _ = cupy.cuda.runtime.memGetInfo()
    step = Step(count, views, size)
    wall = wall_ms(step, repeats)
    used, rate = free - cupy.cuda.runtime.memGetInfo()[0], copy_bandwidth()
    for part in step.parts.values():
        part.device = Stopwatch(part.device)
    for _ in range(repeats):
        step()
    stages = {name: part.device.take() for name, part in step.parts.items()}
    for _ in range(repeats):
        step.mesh.sort_memory()
    float(step.mesh.device.download(step.mesh.rows()[:1])[0])
    stages["sort"] = step.parts["remesh"].device.take()
    for _ in range(repeats):
        step.motion.separate_self_contacts(step.mesh)
    float(step.mesh.device.download(step.mesh.rows()[:1])[0])
    stages["contacts"] = step.parts["remesh"].device.take() | step.parts["optimiser"].device.take()
    rows = [
        {
            "stage": stage,
            "kernel": kernel,
            "launches": sums[0] / repeats,
            "ms": sums[1] / repeats,
            "floor_ms": 1e3 * sums[2] / repeats / rate,
        }
        for stage, kernels in stages.items()
        for kernel, sums in kernels.items()
    ]
    return {
        "vertices": step.mesh.vertex_count,
        "views": views,
        "size": size,
        "step_ms": wall,
        "device_mib": used >> 20,
        "copy_gb_s": rate / 1e9,
        "kernels": rows,
    }


def text(table: dict) -> str:
    """One measurement as Markdown."""

    def row(stage: str, kernel: str, rows: list[dict]) -> str:
        launches, ms, floor = (sum(r[key] for r in rows) for key in ("launches", "ms", "floor_ms"))
        return f"| {stage} | {kernel} | {launches:g} | {ms:.3f} | {floor:.3f} |"

    kernels = table["kernels"]
    lines = [
        f"\n{table['vertices']:,} vertices, {table['views']} views of {table['size']} px: {table['step_ms']:.2f} ms a "
        f"step by the clock, {table['device_mib']} MiB, copies run at {table['copy_gb_s']:.0f} GB/s\n",
        "| stage | kernel | launches | ms | floor ms |\n|---|---|---|---|---|",
        *(row(r["stage"], r["kernel"], [r]) for r in kernels),
    ]
    for stage in dict.fromkeys(r["stage"] for r in kernels):
        lines.append(row(f"**{stage}**", "all", [r for r in kernels if r["stage"] == stage]))
    share = {"sort": 1 / SORT_EVERY, "contacts": 1 / SEPARATE_EVERY}
    step = [{key: r[key] * share.get(r["stage"], 1) for key in ("launches", "ms", "floor_ms")} for r in kernels]
    return "\n".join([*lines, row("**a step**", f"sort every {SORT_EVERY}, contacts every {SEPARATE_EVERY}", step)])


def solve(count: int, views: int, size: int, steps: int) -> dict:
    """From the sphere to a known shape. A short solve before it has compiled the kernels."""
    vertices, faces = subjects.shape(40_962)
    maps = subjects.targets(vertices, faces, subjects.rig(views, size))
    for _ in Solver(maps, SolveSettings(steps=3, resolution=size, max_vertices=count, raster="cuda")):
        pass
    solver = Solver(maps, SolveSettings(steps=steps, resolution=size, max_vertices=count, raster="cuda"))
    began = time.perf_counter()
    laps = [(progress, time.perf_counter() - began) for progress in solver]
    last = np.diff([lap for _, lap in laps])[-20:]
    progress, seconds = laps[-1]
    return {"steps": progress.done, "vertices": progress.vertices, "s": seconds, "last_step_ms": 1e3 * np.median(last)}


def beside(count: int, views: int, size: int, folder: Path, repeats: int) -> str:
    """The same step by others: nvdiffrast for the image, the published remesher. Markdown."""
    import torch

    from .reference import optimizer_class

    step = Step(count, views, size)
    lines = ["\n| step of others | vertices | ms |\n|---|---|---|"]
    reason = available()["nvdiffrast"]
    if reason:
        lines.append(f"| image: nvdiffrast, not run ({reason}) | | |")
    else:
        raster = make_rasteriser("nvdiffrast", step.raster.cameras)
        ms = wall_ms(lambda: raster.loss_and_gradient(step.surface, step.targets, LossSettings("l2")), repeats)
        lines.append(f"| image: nvdiffrast, mesh and gradient copied | {count:,} | {ms:.1f} |")
    points = torch.tensor(step.surface.vertices, device="cuda")
    faces = torch.tensor(step.surface.faces, device="cuda", dtype=torch.long)
    other = optimizer_class(folder)(points, faces, edge_len_lims=(0.7 * step.edge, 1.2 * step.edge))

    def move() -> None:
        other._vertices.grad = torch.randn_like(other._vertices)
        other.step()
        other.remesh()
        torch.cuda.synchronize()

    ms = wall_ms(move, repeats, warm=1)
    return "\n".join([*lines, f"| optimiser and remesh: the reference | {len(other._vertices):,} | {ms:.1f} |"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vertices", type=int, nargs="+", default=VERTICES)
    parser.add_argument("--views", type=int, default=10)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--solve-vertices", type=int, default=500_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--reference", type=Path, metavar="DIR", help="checkout of Profactor/continuous-remeshing")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    problem = cuda.unavailable()
    if problem:
        print(f"Cannot measure: {problem}.")
        return 1
    import cupy

    print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
    tables = []
    for count in options.vertices:
        tables.append(measure(count, options.views, options.size, options.repeats))
        print(text(tables[-1]), flush=True)
    result = solve(options.solve_vertices, options.views, options.size, options.steps)
    print(
        f"\nsolve: {result['steps']} steps to {result['vertices']:,} vertices in {result['s']:.2f} s, the last 20 at "
        f"{result['last_step_ms']:.2f} ms\n{GOAL}",
        flush=True,
    )
    if options.json:
        options.json.write_text(json.dumps({"steps": tables, "solve": result}, indent=1), encoding="utf-8")
    if options.reference:
        print(beside(options.solve_vertices, options.views, options.size, options.reference, options.repeats))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
