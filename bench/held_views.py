"""Photographs held out of a reconstruction, rendered by projecting the nearest used ones onto its mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bridge.capture.cameras import Camera
from bridge.capture.images import read_matte, read_photo, remap
from bridge.capture.record import View
from bridge.raster import make_rasteriser

from . import photographs

NEAREST = 4  # photographs that are projected, by the angle between them and the one that is rendered
WINDOW = 11  # pixels of a correlation window
FEWEST = 0.4  # share of a window that must be known
QUIET = (1.5 / 255) ** 2  # variance below which a window shows nothing but noise
DEPTH_PIXELS = 3.0  # a point is hidden that lies so many pixels' width behind what the camera sees


@dataclass(frozen=True)
class Seen:
    """ncc: mean over the mask, where a hole counts as 0; covered: share of the mask that could be rendered."""

    ncc: float
    covered: float


@dataclass(frozen=True, eq=False)
class _Input:
    camera: Camera
    pixels: np.ndarray  # [H, W, 3] float32
    depth: np.ndarray  # [H, W] of the mesh, 0 beside it


def score(
    vertices: np.ndarray, faces: np.ndarray, used: Sequence[View], held: Sequence[View], masks: Sequence[Path | None]
) -> Seen:
    """Mean over all held views. masks: of the held views."""
    inputs = []
    for view in used:
        photo = read_photo(view)
        found = make_rasteriser("cpu", [photo.camera]).render(vertices, faces)
        inputs.append(_Input(photo.camera, photo.pixels, np.where(found.triangle[0] >= 0, found.depth[0], 0)))
    total, covered, pixels = 0.0, 0, 0
    for view, mask in zip(held, masks, strict=True):
        photo = read_photo(view)
        picture, known = _rendered(vertices, faces, photo.camera, inputs)
        size = photo.camera.width, photo.camera.height
        inside = np.ones(known.shape, bool) if mask is None else read_matte(mask, view.name, *size) > 0.5
        value = correlation(photo.pixels.mean(-1), picture.mean(-1), known & inside)
        total += float(value[inside].sum())
        covered += int((known & inside).sum())
        pixels += int(inside.sum())
    return Seen(total / pixels, covered / pixels)


def _rendered(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, inputs: Sequence[_Input]
) -> tuple[np.ndarray, np.ndarray]:  # [H, W, 3], [H, W] bool
    found = make_rasteriser("cpu", [camera]).render(vertices, faces)
    hit = found.triangle[0] >= 0
    y, x = np.nonzero(hit)
    in_camera = np.column_stack([x + 0.5, y + 0.5, np.ones(len(x))]) @ np.linalg.inv(camera.K).T
    points = (in_camera * found.depth[0][hit][:, None] - camera.t) @ camera.R
    normals = found.normals[0][hit]
    near = sorted(inputs, key=lambda one: -float(one.camera.forward @ camera.forward))[:NEAREST]
    color, weight = np.zeros((len(points), 3), np.float32), np.zeros(len(points), np.float32)
    for one in near:
        pixel, z = one.camera.project(points)
        fx, fy = (pixel - 0.5).astype(np.float32).T
        height, width = one.depth.shape
        ix, iy = np.rint(fx).astype(int), np.rint(fy).astype(int)
        inside = (z > 0) & (ix >= 0) & (iy >= 0) & (ix < width) & (iy < height)
        depth = one.depth[np.where(inside, iy, 0), np.where(inside, ix, 0)]
        towards = one.camera.center - points
        facing = (normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
        shown = inside & (depth > 0) & (z - depth < DEPTH_PIXELS * z / one.camera.K[0, 0]) & (facing > 0.1)
        apart = np.degrees(np.arccos(np.clip(one.camera.forward @ camera.forward, -1, 1)))
        share = (shown * facing**2 / (apart + 5) ** 2).astype(np.float32)
        color += share[:, None] * remap(one.pixels, fx[None], fy[None]).reshape(-1, 3)
        weight += share
    picture, known = np.zeros((*hit.shape, 3), np.float32), np.zeros(hit.shape, bool)
    picture[hit] = color / np.maximum(weight, 1e-9)[:, None]
    known[hit] = weight > 0
    return picture, known


def correlation(a: np.ndarray, b: np.ndarray, known: np.ndarray) -> np.ndarray:  # [H, W]
    """Correlation of the windows about each pixel over what is known of them; 0 where too little is."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, cv2.CV_64F, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT)

    k = known.astype(np.float64)
    share = mean(k)
    safe = np.maximum(share, 1e-9)
    ma, mb = mean(a * k) / safe, mean(b * k) / safe
    va, vb = mean(a * a * k) / safe - ma * ma, mean(b * b * k) / safe - mb * mb
    vab = mean(a * b * k) / safe - ma * mb
    value = vab / np.sqrt(np.maximum(va, QUIET) * np.maximum(vb, QUIET))
    return np.where(known & (share > FEWEST), value, 0)


def table(paths: Sequence[Path], presets: Sequence[str], programs: Path | None, work: Path) -> None:
    """Markdown: every second photograph makes the mesh, the others judge it."""
    print("\n| capture, every second photograph | who | CPU s | NCC of the others | covered % |\n|" + "---|" * 5)
    for path in paths:
        case = photographs.Case.of(path, work)
        part = photographs.half(case)
        made = [photographs.ours(part, preset) for preset in presets]
        if programs is not None:
            made += photographs.theirs(part, programs)
        held = case.capture.views[1::2]
        for one in made:
            seen = score(*one.mesh(), part.capture.views, held, case.masks[1::2])
            print(f"| {case.folder.name} | {one.who} | {one.spent.cpu:.0f} | {seen.ncc:.3f} "
                  f"| {100 * seen.covered:.1f} |", flush=True)  # fmt: skip
