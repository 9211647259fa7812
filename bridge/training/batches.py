"""From stored groups to a training batch: view subsets, mirroring, random world frames, colour, borders, size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .group import CANONICAL_RANGE

MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Batch:
    """N = heads * views."""

    image: Tensor  # [N, 4, H, W] RGB - 0.5 and the inside-the-photograph mask
    quaternion: Tensor  # [N, 4]
    distance: Tensor  # [N]
    normal: Tensor  # [N, 3, H, W] unit or 0
    canonical: Tensor  # [N, 3, H, W]
    matte: Tensor  # [N, 1, H, W] 0..1
    inside: Tensor  # [N, 1, H, W] where there is a truth to learn
    views: int

    def to(self, device: torch.device) -> Batch:
        if device.type == "cpu":
            return self
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def quaternions(R: np.ndarray) -> np.ndarray:
    """Rotations [N, 3, 3] -> unit quaternions [N, 4] (w, x, y, z), w >= 0."""
    m = np.asarray(R, np.float64)
    k = np.empty((len(m), 4, 4))
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    k[:, 0, 0], k[:, 1, 1], k[:, 2, 2], k[:, 3, 3] = xx + yy + zz, xx - yy - zz, yy - xx - zz, zz - xx - yy
    k[:, 0, 1] = k[:, 1, 0] = m[:, 2, 1] - m[:, 1, 2]
    k[:, 0, 2] = k[:, 2, 0] = m[:, 0, 2] - m[:, 2, 0]
    k[:, 0, 3] = k[:, 3, 0] = m[:, 1, 0] - m[:, 0, 1]
    k[:, 1, 2] = k[:, 2, 1] = m[:, 0, 1] + m[:, 1, 0]
    k[:, 1, 3] = k[:, 3, 1] = m[:, 0, 2] + m[:, 2, 0]
    k[:, 2, 3] = k[:, 3, 2] = m[:, 1, 2] + m[:, 2, 1]
    q = np.linalg.eigh(k)[1][:, :, -1]  # the eigenvector of the largest eigenvalue
    return (q * np.where(q[:, :1] < 0, -1, 1)).astype(np.float32)


def world_turn(rng: np.random.Generator) -> np.ndarray:
    """A random frame of the rig: any yaw about up, a little tilt. [3, 3]"""
    yaw, (tx, tz) = rng.uniform(-np.pi, np.pi), np.deg2rad(rng.normal(0, 6, 2))
    cy, sy, cx, sx, cz, sz = np.cos(yaw), np.sin(yaw), np.cos(tx), np.sin(tx), np.cos(tz), np.sin(tz)
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    Rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    Rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return Ry @ Rx @ Rz


def _resized(x: np.ndarray, size: int) -> Tensor:  # [N, h, w, c] any type -> [N, c, size, size] float32
    t = torch.from_numpy(x).permute(0, 3, 1, 2).float()
    return t if t.shape[-1] == size else functional.interpolate(t, size=(size, size), mode="area")


def make_batch(groups: list[dict[str, np.ndarray]], size: int, rng: np.random.Generator | None) -> Batch:
    """Groups of equally many views -> batch. rng None: no augmentation (validation)."""
    views = len(groups[0]["distance"])
    rotation = []
    for g in groups:
        R = g["rotation"].astype(np.float64)
        if rng is not None:
            if rng.random() < 0.5:  # the mirrored head in a mirrored rig
                for name in ("image", "normal", "canonical", "matte"):
                    g[name] = g[name][:, :, ::-1].copy()
                g["normal"][..., 0] *= -1
                g["canonical"][..., 0] *= -1
                R = MIRROR @ R @ MIRROR
            R = R @ world_turn(rng).T
        rotation.append(R)
    joined = {k: np.concatenate([g[k] for g in groups]) for k in ("image", "normal", "canonical", "matte", "distance")}
    image = _resized(joined["image"], size) / 255
    matte = _resized(joined["matte"][..., None], size) / 255
    normal = _resized(joined["normal"], size) / 127
    length = normal.norm(dim=1, keepdim=True)
    normal = torch.where(length > 0.3, normal / length.clamp(min=1e-6), 0.0)
    # canonical values are 0 outside: area averages at the edge are divided by how much was inside
    cover = _resized((joined["matte"][..., None] > 127).astype(np.uint8), size)
    canonical = _resized(joined["canonical"], size) * (CANONICAL_RANGE / 127) / cover.clamp(min=0.25)
    inside = torch.ones_like(matte)
    if rng is not None:
        image, inside = _disturb(image, inside, views, rng)
    q = torch.from_numpy(quaternions(np.concatenate(rotation)))
    distance = torch.from_numpy(joined["distance"])
    if rng is not None:
        distance = distance * torch.from_numpy(np.exp(rng.normal(0, 0.01, len(distance))).astype(np.float32))
    return Batch(torch.cat((image - 0.5, inside), 1), q, distance, normal, canonical, matte, inside, views)


def _disturb(image: Tensor, inside: Tensor, views: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Colour per head and per view; some views reach beyond their photograph."""
    N, _, H, W = image.shape

    def draw(shape: tuple[int, ...], width: float) -> Tensor:
        return torch.from_numpy(rng.normal(0, width, shape).astype(np.float32))

    heads = N // views
    gain = torch.exp(draw((heads, 3, 1, 1), 0.07) + draw((heads, 1, 1, 1), 0.15)).repeat_interleave(views, 0)
    gain = gain * torch.exp(draw((N, 3, 1, 1), 0.02) + draw((N, 1, 1, 1), 0.05))
    image = (image * gain).clamp(0, 1)
    if rng.random() < 0.08:
        image = image.mean(1, keepdim=True).expand(-1, 3, -1, -1).clone()
    for head in range(heads):
        often = 1.0 if rng.random() < 0.3 else 0.06  # rigs whose pictures cut the shoulders do so in all views
        for i in range(head * views, (head + 1) * views):
            if rng.random() < often:
                top, bottom, left, right = (rng.uniform(0, 0.22, 4) * (rng.random(4) < 0.6) * H).astype(int)
                hole = torch.ones(H, W, dtype=torch.bool)
                hole[top : H - bottom, left : W - right] = False
                image[i, :, hole] = 0.5
                inside[i, :, hole] = 0
    return image, inside
