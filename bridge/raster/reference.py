"""The slow exact twin in plain PyTorch, for tests only: same results by other means, gradients by autograd in float64.

Visibility is brute force over pixels and triangles by ray intersection. The list of silhouette crossings is found by
the CPU backend's walk (it decides, it has no derivative); all that has a derivative is written here once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..capture.cameras import Camera
from ..mesh import Surface
from .images import ImageTargets, LossSettings


def rays(camera: Camera) -> torch.Tensor:  # [H * W, 3]
    """World directions of the pixel centres with unit depth."""
    y, x = torch.meshgrid(
        torch.arange(camera.height, dtype=torch.float64) + 0.5,
        torch.arange(camera.width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([x.flatten(), y.flatten(), torch.ones(x.numel(), dtype=torch.float64)], 1)
    return pixels @ torch.linalg.inv(torch.as_tensor(camera.K)).T @ torch.as_tensor(camera.R)


def corner_weights(
    corners: torch.Tensor, camera: Camera, directions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Moller-Trumbore: corners [N, 3, 3], directions [N, 3] -> weights of the corners [N, 3], depth [N]."""
    origin = torch.as_tensor(camera.center)
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = torch.linalg.cross(directions, e2)
    determinant = (e1 * p).sum(1)
    s = origin - corners[:, 0]
    u = (s * p).sum(1) / determinant
    q = torch.linalg.cross(s, e1)
    v = (directions * q).sum(1) / determinant
    depth = (e2 * q).sum(1) / determinant
    return torch.stack([1 - u - v, u, v], 1), depth


def visibility(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest triangle [H, W] (-1 none) and depth [H, W] (0 none), every pixel against every triangle."""
    directions = rays(camera)
    best = torch.full((len(directions),), torch.inf, dtype=torch.float64)
    index = torch.full((len(directions),), -1, dtype=torch.int64)
    for f in range(len(faces)):
        weights, depth = corner_weights(vertices[faces[f]].expand(len(directions), 3, 3), camera, directions)
        hit = (weights >= 0).all(1) & (depth > 0) & (depth < best)
        best[hit] = depth[hit]
        index[hit] = f
    size = (camera.height, camera.width)
    return index.reshape(size), torch.where(index >= 0, best, 0.0).reshape(size)


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:  # [V, 3]
    """Area-weighted unit normals of the vertices."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(0, faces[:, k], cross)
    return torch.nn.functional.normalize(total, dim=1, eps=1e-20)


def shade(
    vertices: torch.Tensor, normals: torch.Tensor, faces: torch.Tensor, ids: torch.Tensor, camera: Camera
) -> torch.Tensor:
    """[H * W, 4] interpolated normal and coverage of known visibility ids [H, W]."""
    flat = ids.flatten()
    hit = flat >= 0
    corners = faces[flat[hit]]
    weights, _ = corner_weights(vertices[corners], camera, rays(camera)[hit])
    seen = (weights[..., None] * normals[corners]).sum(1)
    image = torch.zeros(len(flat), 4, dtype=torch.float64)
    return image.index_put((hit,), torch.cat([seen, torch.ones(len(seen), 1, dtype=torch.float64)], 1))


def antialias(
    color: torch.Tensor, vertices: torch.Tensor, faces: torch.Tensor, items: np.ndarray, camera: Camera
) -> torch.Tensor:
    """Blends across silhouettes. items [n, 5]: nearer pixel, other pixel, face, edge, direction (silhouette.py)."""
    if not len(items):
        return color
    p, q, f, e, down = (torch.as_tensor(items[:, k].astype(np.int64)) for k in range(5))
    in_camera = vertices @ torch.as_tensor(camera.R).T + torch.as_tensor(camera.t)
    projected = in_camera @ torch.as_tensor(camera.K).T
    screen = projected[:, :2] / projected[:, 2:]
    row = torch.arange(len(p))
    a, b = screen[faces[f, e]], screen[faces[f, (e + 1) % 3]]
    centre = torch.stack([p % camera.width + 0.5, p // camera.width + 0.5], 1)
    across, along = centre[row, 1 - down], centre[row, down]
    u = (across - a[row, 1 - down]) / (b[row, 1 - down] - a[row, 1 - down])
    t = (a[row, down] + u * (b[row, down] - a[row, down]) - along) * torch.sign(q - p)
    w = 0.5 - t
    target = torch.where(w > 0, p, q)
    return color.index_add(0, target, w[:, None] * (color[q] - color[p]))


def image_loss(image: torch.Tensor, target: torch.Tensor, loss: LossSettings) -> torch.Tensor:
    """LossSettings' formula, summed over the pixels. image [P, 4], target [P, 6]."""
    difference = image[:, :3] - target[:, :3]
    squared = (difference**2).sum(1)
    normal = {
        "l1": lambda: difference.abs().sum(1),
        "linear": lambda: -(image[:, :3] * target[:, :3]).sum(1),
        "l2": lambda: squared / 2,
        "robust": lambda: squared / (1 + squared / loss.robust_scale**2) / 2,
    }[loss.kind]()
    return (target[:, 4] * normal + loss.mask_weight * target[:, 5] * (image[:, 3] - target[:, 3]) ** 2).sum()


@dataclass(frozen=True, eq=False)
class Visible:
    """What each view sees, which has no derivative."""

    triangle: Sequence[np.ndarray]  # [H, W] of each view, -1 where it sees none
    crossings: Sequence[np.ndarray]  # [k, 5] silhouette crossings of each view


def loss_and_gradient(
    surface: Surface, cameras: Sequence[Camera], visible: Visible, targets: ImageTargets, loss: LossSettings
) -> tuple[float, np.ndarray]:
    """The whole differentiable step of known visibility and silhouettes, by autograd in float64."""
    v = torch.tensor(surface.vertices, dtype=torch.float64, requires_grad=True)
    f = torch.as_tensor(surface.faces.astype(np.int64))
    images = np.split(targets.data, np.cumsum([camera.width * camera.height for camera in cameras])[:-1])
    n = vertex_normals(v, f)
    total = torch.zeros((), dtype=torch.float64)
    for camera, seen, crossings, target in zip(cameras, visible.triangle, visible.crossings, images, strict=True):
        color = shade(v, n, f, torch.as_tensor(seen.astype(np.int64)), camera)
        image = antialias(color, v, f, crossings, camera)
        total = total + image_loss(image, torch.as_tensor(target, dtype=torch.float64), loss)
    total = total * targets.scale
    total.backward()
    assert v.grad is not None
    return float(total.detach()), v.grad.numpy()
