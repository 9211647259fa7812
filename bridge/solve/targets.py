"""What the surface has to look like in each view, and its crop and resampling to the level that is being solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..capture.normal_map import NormalMap
from ..errors import Check, unchecked
from ..raster.images import ImageTargets
from .resample import resample

CROP_MARGIN = 0.06  # of the head's box, added on every side: silhouettes need room outside


@dataclass(frozen=True, eq=False)
class Target:
    """One view: normals, matte and confidence, all on the camera's pixel grid (camera.width x camera.height)."""

    camera: Camera  # of these maps: any size, any K, no distortion
    normals: np.ndarray  # [H, W, 3] float32 unit normals in the world; anything where mask is 0
    mask: np.ndarray  # [H, W] float32 0..1, share of the pixel the head covers
    weight: np.ndarray | None = None  # [H, W] float32 0..1 confidence of the normals; None: 1 everywhere
    mask_weight: np.ndarray | None = None  # [H, W] float32 0..1 confidence of the mask; None: 1 everywhere
    finest: int | None = None  # pixels of the finest image that is worth making of this view; None: any

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        for field in ("normals", "mask", "weight", "mask_weight"):
            value = getattr(self, field)
            if value is not None and value.shape[:2] != size:
                raise ValueError(f"view {self.camera.name}: {field} is {value.shape[:2]}, the camera's image is {size}")

    def box(self) -> np.ndarray:  # [4]
        """Pixel box x0, y0, x1, y1 of the mask, NaN if it is empty."""
        rows = np.flatnonzero((self.mask > 0.5).any(1))
        columns = np.flatnonzero((self.mask > 0.5).any(0))
        if not len(rows):
            return np.full(4, np.nan)
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


@dataclass(frozen=True, eq=False)
class Level:
    """All views at one resolution, ready for a rasteriser."""

    cameras: list[Camera]  # of the crops, in the head's frame
    images: ImageTargets
    resolution: int


def square_crop(box: np.ndarray, width: int, height: int) -> tuple[float, float, float]:
    """Corner x, y and side of the square around a box, with a margin that stops at the image's border.

    Only where the image itself is too narrow for the square does it reach outside.
    """
    margin = CROP_MARGIN * max(box[2] - box[0], box[3] - box[1])
    low = np.maximum(box[:2] - margin, 0)
    high = np.minimum(box[2:] + margin, (width, height))
    side = float((high - low).max())
    corner = (low + high - side) / 2
    room = np.array([width, height]) - side
    corner = np.where(room >= 0, np.clip(corner, 0, np.maximum(room, 0)), corner)
    return float(corner[0]), float(corner[1]), side


def facing_weight(normals: np.ndarray, camera: Camera, alpha: float) -> np.ndarray:  # [H, W, 3] -> [H, W]
    """Eq. 9: W = (exp(alpha N.d) - 1) / (exp(alpha) - 1), d towards the camera, on the target normals."""
    if alpha <= 0:
        return np.ones(normals.shape[:2], np.float32)
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1)).reshape(*normals.shape[:2], 3)
    cosine = np.clip(-(normals * rays).sum(-1), 0, 1)
    return (np.expm1(alpha * cosine) / np.expm1(alpha)).astype(np.float32)


def build_level(
    targets: Sequence[Target], frame: HeadFrame, resolution: int, alpha: float, check: Check = unchecked
) -> Level:
    """Crops every view to the head's square and averages it down (or interpolates it up) to resolution pixels.

    Pixels outside an image are unknown: their weights are 0, so a surface that leaves the frame costs nothing there.
    """
    cameras, normals, masks, normal_weights, mask_weights = [], [], [], [], []
    for target in targets:
        check()
        box = target.box()
        if np.isnan(box).any():
            continue
        x, y, side = square_crop(box, target.camera.width, target.camera.height)
        across = resolution if target.finest is None else min(resolution, target.finest)
        camera = target.camera.crop(x, y, side, side).resize(across, across)  # type: ignore[arg-type]  # made whole by resize
        weight = np.ones_like(target.mask) if target.weight is None else target.weight
        mask = target.mask[..., None]
        maps = np.concatenate([target.normals * mask, mask, weight[..., None] * mask], -1).astype(np.float32)
        maps, inside = resample(maps, x, y, side, across)
        length = np.linalg.norm(maps[..., :3], axis=-1, keepdims=True)
        unit = np.where(length > 1e-6, maps[..., :3] / np.maximum(length, 1e-6), 0)
        covered = np.clip(maps[..., 3], 0, 1)
        # confidence where the head is; the background (normal 0) is certain
        confidence = np.where(covered > 1e-3, maps[..., 4] / np.maximum(maps[..., 3], 1e-3), 1)
        cameras.append(frame.normalise(camera))
        normals.append(unit @ frame.axes.T.astype(np.float32))
        masks.append(covered)
        facing = np.where(covered > 1e-3, facing_weight(unit, camera, alpha), 1)
        normal_weights.append(facing * confidence * inside)
        if target.mask_weight is None:
            mask_weights.append(inside)
        else:
            mask_weights.append(inside * resample(target.mask_weight[..., None], x, y, side, across)[0][..., 0])
    return Level(cameras, ImageTargets.of(normals, masks, normal_weights, mask_weights), resolution)


def make_targets(maps: Sequence[NormalMap]) -> list[Target]:
    """Camera-space maps into the world frame that the solver works in."""
    targets = []
    for found in maps:
        world = found.camera.normals_to_world(found.normals)
        targets.append(Target(found.camera, world, found.matte, found.confidence))
    return targets
