"""The CPU backend: numba kernels on all cores, no compiler and no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit, prange

from ..capture.cameras import Camera
from ..mesh import Surface
from ..mesh.normals import closed_normals_backward, closed_vertex_normals, normalisation_backward, vertex_normals
from .fused import add_parts, step_views
from .images import ImageTargets, LossSettings, PackedCameras, Render
from .look import centred, render_view
from .silhouette import ITEM_FIELDS, find_silhouettes, item_capacity
from .visibility import project, rasterise

MAX_PARTS = 16  # gradient buffers; constant, so that results do not depend on the machine's number of cores


@njit(parallel=True, cache=True)
def _render_views(vertices, values, faces, R, t, center, K, size, offset, projected, facing, ids, depth, images):
    """All views into flat images, whose first three values are normals and become unit."""
    for c in prange(R.shape[0]):
        H, W = size[c, 0], size[c, 1]
        a, b = offset[c], offset[c + 1]
        render_view(vertices, values, faces, R[c], t[c], center[c], K[c], projected[c], facing[c],
                    ids[a:b].reshape(H, W), depth[a:b].reshape(H, W),
                    images[a:b].reshape(H, W, values.shape[1]))  # fmt: skip
        for p in range(a, b):
            square = images[p, 0] * images[p, 0] + images[p, 1] * images[p, 1] + images[p, 2] * images[p, 2]
            if square > 0:
                length = np.sqrt(square)
                for k in range(3):
                    images[p, k] /= length


class CpuRasteriser:
    """See Rasteriser. Scratch memory grows with the mesh and is kept between calls."""

    def __init__(self, cameras: Sequence[Camera]) -> None:
        if not cameras:
            raise ValueError("a rasteriser needs at least one camera")
        self.cameras = list(cameras)
        self.packed = PackedCameras.of(cameras)
        self.parts = min(len(self.cameras), MAX_PARTS)
        self._scratch: dict[str, np.ndarray] = {}
        self.silhouette_pairs = np.zeros(len(self.cameras), np.int64)  # of the last step, for tests and reports

    def render(self, vertices: np.ndarray, faces: np.ndarray, attributes: np.ndarray | None = None) -> Render:
        vertices = np.asarray(vertices, np.float64)
        faces = np.ascontiguousarray(faces, np.int32)
        origin, local = centred(vertices)
        packed = PackedCameras.of(self.cameras, origin)
        values = vertex_normals(vertices - origin, faces)
        if attributes is not None:
            values = np.concatenate([values, np.asarray(attributes, np.float32).reshape(len(vertices), -1)], 1)
        views, pixels = len(self.cameras), packed.offset[-1]
        ids = np.empty(pixels, np.int32)
        depth = np.empty(pixels, np.float32)
        images = np.zeros((pixels, values.shape[1]), np.float32)
        _render_views(
            local, np.ascontiguousarray(values), faces, packed.R, packed.t, packed.center, packed.K, packed.size,
            packed.offset, np.empty((views, len(vertices), 3), np.float32), np.empty((views, len(faces)), np.uint8),
            ids, depth, images,
        )  # fmt: skip
        normals = np.ascontiguousarray(images[:, :3])
        extra = None if attributes is None else packed.split(np.ascontiguousarray(images[:, 3:]))
        return Render(packed.split(ids), packed.split(depth), packed.split(normals), extra)

    def loss_and_gradient(
        self, surface: Surface, targets: ImageTargets, loss: LossSettings
    ) -> tuple[float, np.ndarray]:
        vertices, faces, twin, rings = surface.vertices, surface.faces, surface.twin, surface.rings
        V, F, parts, packed = len(vertices), len(faces), self.parts, self.packed
        normals = np.empty((V, 3), np.float32)
        lengths = np.empty(V, np.float32)
        closed_vertex_normals(vertices, *rings, normals, lengths)
        pixels = int((packed.size[:, 0] * packed.size[:, 1]).max())
        capacity = max(item_capacity(int(w), int(h)) for h, w in packed.size)
        losses = np.zeros(len(self.cameras))
        gradients = self._array("gradients", (parts, V, 6), np.float32)
        step_views(
            vertices, normals, faces, twin, packed.R, packed.t, packed.center, packed.K, packed.size, packed.offset,
            targets.data, loss.mode, loss.mask_weight, loss.robust_scale**2, targets.scale,
            self._array("projected", (parts, V, 3), np.float32), self._array("facing", (parts, F), np.uint8),
            self._array("zbuffer", (parts, pixels), np.float32), self._array("ids", (parts, pixels), np.int32),
            self._array("items", (parts, capacity, ITEM_FIELDS), np.int32),
            self._array("crossing", (parts, capacity), np.float32),
            self._array("touched", (parts, pixels), np.uint8), self._array("listed", (parts, pixels), np.int32),
            self._array("color", (parts, pixels, 4), np.float32), self._array("out", (parts, pixels, 4), np.float32),
            self._array("g_out", (parts, pixels, 4), np.float32),
            self._array("g_color", (parts, pixels, 4), np.float32), gradients, losses, self.silhouette_pairs,
        )  # fmt: skip
        result = np.empty((V, 3), np.float32)
        g_normals = np.empty((V, 3), np.float32)
        add_parts(gradients, result, g_normals)
        normalisation_backward(normals, lengths, g_normals)
        closed_normals_backward(vertices, *rings, g_normals, result)
        return float(losses.sum()), result

    def silhouettes(self, surface: Surface) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Per view: triangle ids [H, W] and silhouette items [n, 5] as loss_and_gradient uses them (for tests)."""
        ids, items = [], []
        for c, (H, W) in enumerate(self.packed.size):
            projected = np.empty_like(surface.vertices)
            facing = np.empty(len(surface.faces), np.uint8)
            zbuffer, seen = np.empty((H, W), np.float32), np.empty((H, W), np.int32)
            found = np.empty((item_capacity(int(W), int(H)), ITEM_FIELDS), np.int32)
            K = self.packed.K[c]
            project(surface.vertices, self.packed.R[c], self.packed.t[c], K, projected)
            rasterise(projected, surface.faces, zbuffer, seen, facing)
            n = find_silhouettes(projected, surface.faces, surface.twin, facing, zbuffer, seen, np.float32(K[0]),
                                 np.float32(K[1]), found, np.empty(len(found), np.float32))  # fmt: skip
            ids.append(seen)
            items.append(found[:n])
        return ids, items

    def _array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Scratch of that shape, cut from a buffer that is replaced only when it is too small. First use: zeros."""
        size = int(np.prod(shape))
        buffer = self._scratch.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._scratch[name] = np.zeros(size + size // 4, dtype)
        return buffer[:size].reshape(shape)
