"""The GPU backend: our own kernels (kernels/*.cu), the CPU backend's method with the same conventions and results.

One step is eight launches; what lies in host memory is copied there and back, what lies on the device (DeviceSurface)
stays there, and nothing waits for it. All sums over pixels are
64-bit integers (fixed point) and every vertex is finished by one thread, so the same input gives the same bits on
every run on every device, whatever the order of its threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..capture.cameras import Camera
from ..device import Device
from ..mesh import DeviceSurface, Surface
from .images import TARGET_CHANNELS, ImageTargets, LossSettings, PackedCameras, Render

LARGE = 128  # pixels of a bounding box above which a triangle is shared out among warps
QUEUE = 1 << 18  # such triangles (of all views); more are drawn by single threads
LARGE_THREADS = 1 << 16  # that take turns at the queue

i32, f64 = np.int32, np.float64


def unavailable() -> str:
    """Why this backend cannot be used here, in one sentence with a cure; "" if it can."""
    from ..device.nvidia import unavailable

    return unavailable()


class CudaRasteriser:
    """See Rasteriser. Device memory grows with the mesh, is kept between calls and goes with this object."""

    def __init__(self, cameras: Sequence[Camera], device: Device | None = None) -> None:
        from .cuda_source import pack_views, pixel_length, source

        if device is None:
            from ..device.nvidia import CupyDevice

            device = CupyDevice(source())
        if not cameras:
            raise ValueError("a rasteriser needs at least one camera")
        self.cameras = list(cameras)
        self.packed = PackedCameras.of(cameras)
        self.device = device
        self._views = device.upload("views", pack_views(self.packed))
        self._length = pixel_length(self.packed)
        self._pixels = int(self.packed.offset[-1])
        self._largest = int((self.packed.size[:, 0] * self.packed.size[:, 1]).max())  # pixels of a view
        self._targets: ImageTargets | None = None

    def render(self, vertices: np.ndarray, faces: np.ndarray, attributes: np.ndarray | None = None) -> Render:
        from ..mesh.normals import vertex_normals
        from .cuda_source import pack_views

        device = self.device
        vertices = np.asarray(vertices, np.float64)
        faces = np.ascontiguousarray(faces, np.int32)
        origin = (vertices.min(0) + vertices.max(0)) / 2 if len(vertices) else np.zeros(3)
        packed = PackedCameras.of(self.cameras, origin)  # centred, so that float32 positions are exact enough
        local = vertices - origin
        values = vertex_normals(local, faces)
        if attributes is not None:
            values = np.concatenate([values, np.asarray(attributes, np.float32).reshape(len(vertices), -1)], 1)
        count = values.shape[1]
        views = device.upload("shifted", pack_views(packed))
        d_vertices = device.upload("vertices", local.astype(np.float32))
        d_faces = device.upload("faces", faces)
        keys = self._rasterise(views, d_vertices, d_faces, len(faces))
        d_ids = device.buffer("triangle", self._pixels, np.int32)
        d_depth = device.buffer("depth", self._pixels, np.float32)
        d_image = device.buffer("image", self._pixels * count, np.float32)
        device.launch(
            "resolve", self._largest, len(self.cameras), views, d_vertices, device.upload("values", values),
            i32(count), d_faces, keys, d_ids, d_depth, d_image,
        )  # fmt: skip
        image = device.download(d_image).reshape(self._pixels, count)
        lengths = np.linalg.norm(image[:, :3], axis=1, keepdims=True)
        normals = np.divide(image[:, :3], lengths, out=np.zeros_like(image[:, :3]), where=lengths > 0)
        extra = None if attributes is None else packed.split(np.ascontiguousarray(image[:, 3:]))
        triangle, depth = device.download(d_ids), device.download(d_depth)
        return Render(packed.split(triangle), packed.split(depth), packed.split(normals), extra)

    def loss_and_gradient(
        self, surface: Surface | DeviceSurface, targets: ImageTargets, loss: LossSettings
    ) -> tuple[Any, Any]:
        """Of a DeviceSurface nothing is copied or waited for: the loss is an array of no dimensions that float() waits
        for, the gradient is flat [3V], both on the device and overwritten by the next step."""
        if isinstance(surface, DeviceSurface):
            result = self._enqueue(surface, targets, loss)
            return result[:2].view(np.float64)[0], result[2:]
        device, V = self.device, len(surface.vertices)
        result = device.download(self._enqueue(DeviceSurface(
            device.upload("vertices", surface.vertices), device.upload("faces", surface.faces),
            device.upload("twin", surface.twin), device.upload("outgoing", surface.outgoing), V, len(surface.faces),
        ), targets, loss))  # fmt: skip
        return float(result[:2].view(np.float64)[0]), result[2:].reshape(V, 3)

    def _enqueue(self, surface: DeviceSurface, targets: ImageTargets, loss: LossSettings) -> Any:
        """One step; [2 + 3V] float32 on the device: the loss (one float64 in two places), then the gradient."""
        device, views, rows = self.device, self._views, len(self.cameras)
        vertices, faces, twin, outgoing = surface.vertices, surface.faces, surface.twin, surface.outgoing
        V, pixels, length = surface.vertex_count, self._pixels, f64(self._length)
        d_targets = self._upload_targets(targets)
        normals = device.buffer("normals", 3 * V, np.float32)
        lengths = device.buffer("lengths", V, np.float32)
        device.launch("vertex_normals", V, 1, vertices, faces, twin, outgoing, i32(V), normals, lengths)
        keys = self._rasterise(views, vertices, faces, surface.face_count)
        marks = device.buffer("marks", pixels, np.uint8)
        crossing = device.buffer("crossing", 2 * pixels, np.float32)
        edges = device.buffer("edges", 2 * pixels, np.int32)
        device.launch(
            "find_silhouettes", self._largest, rows, views, vertices, faces, twin, keys, marks, crossing, edges
        )
        g_out = device.buffer("g_out", 4 * pixels, np.float32)
        sums = device.buffer("sums", 6 * V, np.int64, zero=True)
        losses = device.buffer("losses", self._loss_cells(), np.int64, zero=True)
        device.launch(
            "shade_and_compare", self._largest, rows, views, vertices, normals, faces, keys, marks, crossing,
            d_targets, i32(loss.mode), f64(loss.mask_weight), f64(loss.robust_scale**2), length, g_out, sums, losses,
        )  # fmt: skip
        device.launch("blend_backward", self._largest, rows, views, vertices, normals, faces, keys, marks, crossing,
                      edges, g_out, length, sums)  # fmt: skip
        g_normals = device.buffer("g_normals", 3 * V, np.float32)
        device.launch("normalisation_backward", V, 1, sums, normals, lengths, i32(V), g_normals)
        result = device.buffer("result", 2 + 3 * V, np.float32)
        device.launch("finish", V, 1, vertices, faces, twin, outgoing, i32(V), sums, g_normals, losses, length,
                      f64(targets.scale), result)  # fmt: skip
        return result

    def _upload_targets(self, targets: ImageTargets) -> Any:
        """The target images [pixels, 6] on the device; sent only when they are others than before."""
        if targets is not self._targets:
            if targets.data.shape != (self._pixels, TARGET_CHANNELS):
                raise ValueError(f"targets of {len(targets.data)} pixels for images of {self._pixels} pixels")
            self.device.upload("targets", targets.data.astype(np.float32, copy=False))
            self._targets = targets  # held, so that another object cannot take its place in memory
        return self.device.buffer("targets", self._pixels * TARGET_CHANNELS, np.float32)

    def _rasterise(self, views: Any, vertices: Any, faces: Any, count: int) -> Any:
        """Fills the visibility keys [pixels]."""
        device, rows = self.device, len(self.cameras)
        keys = device.buffer("keys", self._pixels, np.uint64, zero=True)
        capacity = min(QUEUE, count * rows)
        queue = device.buffer("queue", capacity, np.uint64)
        queued = device.buffer("queued", 1, np.uint32, zero=True)
        device.launch("rasterise", count, rows, views, i32(rows), vertices, faces, i32(count), keys, queue, queued,
                      i32(capacity), i32(LARGE))  # fmt: skip
        device.launch("rasterise_large", LARGE_THREADS, 1, views, vertices, faces, keys, queue, queued, i32(capacity))
        return keys

    @staticmethod
    def _loss_cells() -> int:
        from .cuda_source import LOSS_CELLS

        return LOSS_CELLS
