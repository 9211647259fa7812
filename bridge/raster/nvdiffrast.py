"""Optional backend on nvdiffrast, if the user has installed it (its licence allows non-commercial use only).

Forward by its rasterize, interpolate and antialias, backward by autograd. Same conventions and loss as the other
backends, with two differences that lie in the library: its antialiasing looks for silhouettes only among the edges of
the visible triangle, so their gradient fades when triangles get smaller than pixels, and sums on the device are not
in a fixed order, so results may differ in the last digits from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..capture.cameras import Camera
from ..mesh import Surface
from .images import TARGET_CHANNELS, ImageTargets, LossSettings, PackedCameras, Render

if TYPE_CHECKING:
    from torch import Tensor

MULTIPLE = 8  # older versions take image sides in multiples of this only; the rest is drawn and cut off
MOST_TRIANGLES = (1 << 24) - 1  # ids come as float32
INFRONT = 1e-6  # world units, as visibility.NEAR


def unavailable() -> str:
    """Why this backend cannot be used here, in one sentence with a cure; "" if it can."""
    if find_spec("torch") is None:
        return "PyTorch is not installed; run pip install torch in the bridge's environment, or use another backend"
    if find_spec("nvdiffrast") is None:
        return "nvdiffrast is not installed; see github.com/NVlabs/nvdiffrast (its licence is non-commercial)"
    import torch

    if not torch.cuda.is_available():
        return "PyTorch sees no NVIDIA GPU; install its GPU build and a driver, or use the CPU"
    return ""


class NvdiffrastRasteriser:
    """See Rasteriser. Views of equal size are drawn in one batch."""

    def __init__(self, cameras: Sequence[Camera], device: str | None = None) -> None:
        """device: for the tests, which bring a stand-in for the library that runs anywhere."""
        if device is None:
            problem = unavailable()
            if problem:
                raise RuntimeError(problem)
            device = "cuda"
        if not cameras:
            raise ValueError("a rasteriser needs at least one camera")
        import nvdiffrast.torch as library
        import torch

        self._torch, self._library, self._device = torch, library, torch.device(device)
        self._context = library.RasterizeCudaContext(device=self._device)
        self.cameras = list(cameras)
        self.packed = PackedCameras.of(cameras)
        self._groups: dict[tuple[int, int], list[int]] = {}  # (height, width) -> views
        for view, (height, width) in enumerate(self.packed.size.tolist()):
            self._groups.setdefault((height, width), []).append(view)
        self._targets: ImageTargets | None = None
        self._target_images: dict[int, Tensor] = {}

    def render(self, vertices: np.ndarray, faces: np.ndarray, attributes: np.ndarray | None = None) -> Render:
        from ..mesh.normals import vertex_normals

        torch = self._torch
        vertices = np.asarray(vertices, np.float64)
        origin = (vertices.min(0) + vertices.max(0)) / 2 if len(vertices) else np.zeros(3)
        packed = PackedCameras.of(self.cameras, origin)
        values = vertex_normals(vertices - origin, np.ascontiguousarray(faces, np.int32))
        if attributes is not None:
            values = np.concatenate([values, np.asarray(attributes, np.float32).reshape(len(vertices), -1)], 1)
        result = Render([], [], [], None if attributes is None else [])
        with torch.no_grad():
            local = self._tensor(vertices - origin, torch.float32)
            d_values, d_faces = self._tensor(values, torch.float32), self._tensor(faces, torch.int32)
            for view, (height, width) in enumerate(packed.size.tolist()):
                clip = self._clip(packed, [view], local, height, width)
                kept, index = self._in_front(clip[0], d_faces)
                raster = self._rasterise(clip, kept, height, width)
                what = torch.cat([d_values, clip[0, :, 3:]], 1)[None]  # w is the depth along the optical axis
                image = self._interpolate(what, raster, kept)[0, :height, :width].cpu().numpy()
                found = raster[0, :height, :width, 3].long()
                ids = torch.cat([index.new_full((1,), -1), index])[found].to(torch.int32).cpu().numpy()
                hit = (ids >= 0)[..., None]
                length = np.linalg.norm(image[..., :3], axis=-1, keepdims=True)
                normals = np.divide(image[..., :3], length, out=np.zeros_like(image[..., :3]), where=hit & (length > 0))
                result.triangle.append(ids)
                result.depth.append(np.where(hit[..., 0], image[..., -1], 0).astype(np.float32))
                result.normals.append(normals)
                if result.attributes is not None:
                    result.attributes.append(np.where(hit, image[..., 3:-1], 0).astype(np.float32))
        return result

    def loss_and_gradient(
        self, surface: Surface, targets: ImageTargets, loss: LossSettings
    ) -> tuple[float, np.ndarray]:
        torch = self._torch
        self._take(targets)
        vertices = self._tensor(surface.vertices, torch.float32).requires_grad_()
        faces = self._tensor(surface.faces, torch.int32)
        normals = _vertex_normals(torch, vertices, faces)
        total = vertices.new_zeros(())
        for (height, width), views in self._groups.items():
            clip = self._clip(self.packed, views, vertices, height, width)
            whole = (clip[..., 3] > INFRONT).all(1).tolist()
            batch = [i for i, inside in enumerate(whole) if inside]
            alone = [[i] for i, inside in enumerate(whole) if not inside]  # each leaves other triangles out
            for chosen in filter(None, [batch, *alone]):
                position = clip[chosen]
                kept = faces if chosen is batch else self._in_front(position[0], faces)[0]
                raster = self._rasterise(position, kept, height, width)
                color = self._interpolate(normals[None], raster, kept)
                image = torch.cat([color, (raster[..., 3:] > 0).to(color.dtype)], -1)
                if len(kept):
                    image = self._library.antialias(image.contiguous(), raster, position.contiguous(), kept)
                target = torch.stack([self._target_images[views[i]] for i in chosen])
                total = total + _image_loss(torch, image[:, :height, :width], target, loss)
        total = total * targets.scale
        total.backward()
        assert vertices.grad is not None
        return float(total.detach()), vertices.grad.cpu().numpy()

    def _take(self, targets: ImageTargets) -> None:
        """Target images on the device, one a view."""
        if targets is self._targets:
            return
        if targets.data.shape != (int(self.packed.offset[-1]), TARGET_CHANNELS):
            raise ValueError(f"targets of {len(targets.data)} pixels for {self.packed.offset[-1]} pixels of images")
        images = self.packed.split(targets.data)
        self._target_images = {v: self._tensor(image, self._torch.float32) for v, image in enumerate(images)}
        self._targets = targets

    def _clip(self, packed: PackedCameras, views: list[int], vertices: Tensor, height: int, width: int) -> Tensor:
        """[V, 3] -> [views, V, 4] clip space; w = depth.

        The library's first row is the bottom one, with y up; ours is the top one, with y down: the same thing, so
        nothing is flipped. Both put the first pixel's centre half a pixel from the border.
        """
        torch = self._torch
        padded = np.array([_pad(width), _pad(height)], np.float64)
        rows = np.zeros((len(views), 3, 4))  # homogeneous world -> x, y, w
        for row, view in zip(rows, views, strict=True):
            fx, fy, cx, cy, skew = packed.K[view]
            pose = np.concatenate([packed.R[view], packed.t[view][:, None]], 1)
            pixel = np.array([[fx, skew, cx], [0, fy, cy]]) @ pose  # pixel coordinates times depth
            row[:2] = 2 * pixel / padded[:, None] - pose[2]
            row[2] = pose[2]
        matrix = self._tensor(rows, torch.float32)
        x, y, w = (torch.einsum("nij,vj->nvi", matrix[..., :3], vertices) + matrix[:, None, :, 3]).unbind(-1)
        depth = w.detach()
        if not len(vertices):
            return vertices.new_zeros((len(views), 0, 4))
        near = torch.where(depth > INFRONT, depth, torch.inf).amin(1, keepdim=True).clamp(INFRONT, 1e30) / 2
        far = torch.maximum(depth.amax(1, keepdim=True), near * 2) * 2
        z = ((far + near) * w - 2 * far * near) / (far - near)
        return torch.stack([x, y, z, w], -1).contiguous()

    def _in_front(self, clip: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """The faces [n, 3] of one view that do not reach behind the camera, and their numbers [n]."""
        index = self._torch.nonzero((clip[:, 3] > INFRONT)[faces.long()].all(1)).flatten()
        return faces[index].contiguous(), index

    def _rasterise(self, clip: Tensor, faces: Tensor, height: int, width: int) -> Tensor:  # [views, H, W, 4]
        size = (_pad(height), _pad(width))
        if not len(faces):
            return clip.new_zeros((len(clip), *size, 4))
        if len(faces) > MOST_TRIANGLES:
            raise ValueError(f"nvdiffrast numbers at most {MOST_TRIANGLES} triangles, the mesh has {len(faces)}")
        return self._library.rasterize(self._context, clip, faces, resolution=size, grad_db=False)[0]

    def _interpolate(self, values: Tensor, raster: Tensor, faces: Tensor) -> Tensor:  # [1, V, k] -> [views, H, W, k]
        if not len(faces):
            return raster.new_zeros((*raster.shape[:3], values.shape[2]))
        return self._library.interpolate(values.contiguous(), raster, faces)[0]

    def _tensor(self, array: np.ndarray, dtype) -> Tensor:
        return self._torch.as_tensor(np.ascontiguousarray(array)).to(self._device, dtype).contiguous()


def _pad(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def _vertex_normals(torch, vertices: Tensor, faces: Tensor) -> Tensor:  # [V, 3]
    corners = faces.long()
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    area = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices).index_add(0, corners.flatten(), area.repeat_interleave(3, 0))
    return torch.nn.functional.normalize(total, dim=1, eps=1e-20)


def _image_loss(torch, image: Tensor, target: Tensor, loss: LossSettings) -> Tensor:
    """LossSettings' formula. image [views, H, W, 4], target [views, H, W, 6]."""
    difference = image[..., :3] - target[..., :3]
    squared = (difference**2).sum(-1)
    if loss.kind == "l1":
        normal = difference.abs().sum(-1)
    elif loss.kind == "linear":
        normal = -(image[..., :3] * target[..., :3]).sum(-1)
    elif loss.kind == "l2":
        normal = squared / 2
    else:
        normal = squared / (1 + squared / loss.robust_scale**2) / 2
    coverage = (image[..., 3] - target[..., 3]) ** 2
    return (target[..., 4] * normal + loss.mask_weight * target[..., 5] * coverage).sum()
