"""Times of the GPU backend's step, kernel by kernel, beside the device's floor. Needs an NVIDIA GPU.

python -m tests.gpu.time_raster [--vertices 20000 100000 500000 1000000] [--views 10] [--size 512] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

import numpy as np

from bridge.cameras import Camera
from bridge.mesh import Surface
from bridge.raster import ImageTargets, LossSettings, cuda
from bridge.raster.cuda import CudaRasteriser
from tests.bridge.scenes import ring


def problem(
    vertices: np.ndarray, faces: np.ndarray, views: int, size: int
) -> tuple[Surface, ImageTargets, list[Camera]]:
    """A mesh whose targets are its own slightly larger self."""
    cameras = ring(views, width=size, height=size)
    shot = CudaRasteriser(cameras).render(vertices * 1.03, faces)
    masks = [(triangle >= 0).astype(np.float32) for triangle in shot.triangle]
    ones = [np.ones_like(mask) for mask in masks]
    return Surface.of(vertices, faces), ImageTargets.of(shot.normals, masks, ones, ones), cameras


def bumpy_sphere(vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh of about that many vertices: a cube's grid blown up, with bumps; neighbours lie close in memory."""
    n = max(2, round((vertices / 6) ** 0.5))  # cells along a cube's edge
    u, v = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    corners = np.stack([np.stack([u + i, v + j], 1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], 1)  # [n * n, 4, 2]
    sides = []
    for axis in range(3):
        for end in (0, n):
            quads = np.full((n * n, 4, 3), end)
            quads[..., (axis + 1) % 3], quads[..., (axis + 2) % 3] = corners[..., 0], corners[..., 1]
            sides.append(quads if end else quads[:, ::-1])
    grid = np.concatenate(sides).reshape(-1, 3)
    _, first, number = np.unique(grid @ [(n + 1) ** 2, n + 1, 1], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))  # numbered as they come, not by coordinate
    quads = rank[number].reshape(-1, 4)
    points = (grid[np.sort(first)] / n - 0.5) * np.pi / 2
    points = np.tan(points)  # even cells on the sphere
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= 1 + 0.05 * np.sin(9 * points[:, :1]) * np.cos(7 * points[:, 1:2])
    faces = np.concatenate([quads[:, None, [0, 1, 2]], quads[:, None, [0, 2, 3]]], 1).reshape(-1, 3)
    return points.astype(np.float32), np.ascontiguousarray(faces, dtype=np.int32)


class Stopwatch:
    """Wraps a device: records events around every launch."""

    def __init__(self, device) -> None:
        import cupy

        self._device, self._event = device, cupy.cuda.Event
        self._elapsed = cupy.cuda.get_elapsed_time
        self.events: list[tuple[str, object, object]] = []

    def __getattr__(self, name: str):
        return getattr(self._device, name)

    def launch(self, kernel: str, *arguments) -> None:
        start, end = self._event(), self._event()
        start.record()
        self._device.launch(kernel, *arguments)
        end.record()
        self.events.append((kernel, start, end))

    def take(self) -> dict[str, float]:
        """Milliseconds per kernel since the last call. After the step, which has waited for the device."""
        times = {kernel: float(self._elapsed(start, end)) for kernel, start, end in self.events}
        self.events.clear()
        return times


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


def bytes_moved(V: int, F: int, views: int, pixels: int) -> float:
    """What one step has to read and write at least once if nothing stays in a cache between kernels."""
    mesh = 12 * V + 24 * F + 4 * V
    image = pixels * (8 + 8 + 8 + 1 + 24)  # keys cleared, read twice; marks; targets
    return 3 * mesh + views * (12 * F + 12 * V) + image + 3 * 48 * V + 5 * 12 * V


def measure(vertices: int, views: int, size: int, repeats: int) -> dict:
    """Medians over repeats of one step."""
    import cupy

    points, faces = bumpy_sphere(vertices)
    surface, targets, cameras = problem(points, faces, views, size)
    free, _ = cupy.cuda.runtime.memGetInfo()
    raster = CudaRasteriser(cameras)
    loss = LossSettings()
    raster.loss_and_gradient(surface, targets, loss)
    used = free - cupy.cuda.runtime.memGetInfo()[0]
    walls = []
    for _ in range(repeats):
        start = perf_counter()
        raster.loss_and_gradient(surface, targets, loss)
        walls.append((perf_counter() - start) * 1000)
    raster.device = watch = Stopwatch(raster.device)
    kernels: list[dict[str, float]] = []
    for _ in range(repeats):
        raster.loss_and_gradient(surface, targets, loss)
        kernels.append(watch.take())
    median = {name: round(float(np.median([k[name] for k in kernels])), 4) for name in kernels[0]}
    moved = bytes_moved(len(points), len(faces), views, views * size * size)
    return {
        "vertices": len(points), "triangles": len(faces), "views": views, "size": size,
        "step_ms": round(float(np.median(walls)), 3), "kernels_ms": round(sum(median.values()), 3),
        "floor_ms": round(moved / copy_bandwidth() * 1000, 3), "device_mib": used >> 20, "kernels": median,
    }  # fmt: skip


def text(table: dict) -> str:
    """One measurement in lines."""
    lines = [
        f"{table['vertices']} vertices, {table['triangles']} triangles, {table['views']} views of {table['size']} px: "
        f"step {table['step_ms']} ms with transfers, kernels {table['kernels_ms']} ms, "
        f"floor {table['floor_ms']} ms, {table['device_mib']} MiB"
    ]
    return "\n".join(lines + [f"  {name:24} {ms:8.3f} ms" for name, ms in table["kernels"].items()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vertices", type=int, nargs="+", default=[20_000, 100_000, 500_000, 1_000_000])
    parser.add_argument("--views", type=int, default=10)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    complaint = cuda.unavailable()
    if complaint:
        print(f"Cannot measure: {complaint}.")
        return 1
    tables = [measure(count, options.views, options.size, options.repeats) for count in options.vertices]
    print("\n".join(text(table) for table in tables))
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
