"""Pictures of a run: photograph, normals, result and error of every view on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..capture.images import write
from ..solve import Target
from .quality import ViewQuality

TILE = 220  # pixels of a tile's height
MARGIN = 12
LABEL = 150  # width of the column of captions
BACKGROUND = (24, 25, 28)
INK = (222, 224, 228)
OUTLINE = (255, 150, 40)
WORST_DEG = 30.0
MOST_VIEWS = 10


def normal_colours(normals: np.ndarray) -> np.ndarray:  # [h, w, 3] camera space, zero outside -> uint8 RGB
    """The usual blue-purple picture: x right red, y up green, z to the camera blue."""
    colours = np.clip((normals + 1) * 127.5, 0, 255).astype(np.uint8)
    colours[(normals == 0).all(-1)] = BACKGROUND
    return colours


def clay(normals: np.ndarray) -> np.ndarray:
    """A plaster look of camera-space normals [h, w, 3]: a key light from the upper left and a soft fill."""
    key = np.array([-0.45, 0.55, 0.70], np.float32)
    fill = np.array([0.70, 0.10, 0.70], np.float32)
    light = 0.16 + 0.70 * np.clip(normals @ key, 0, None) + 0.22 * np.clip(normals @ fill, 0, None)
    shade = np.clip(light, 0, 1)[..., None] ** (1 / 1.6) * np.array([236, 226, 214], np.float32)
    shade[(normals == 0).all(-1)] = BACKGROUND
    return np.clip(shade, 0, 255).astype(np.uint8)


def heat(error_deg: np.ndarray) -> np.ndarray:  # [h, w] degrees, NaN outside -> uint8 RGB
    """Errors as colours: Turbo, from blue (none) to red (WORST_DEG and more)."""
    level = np.clip(np.nan_to_num(error_deg) / WORST_DEG * 255, 0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)[..., ::-1].copy()
    colours[np.isnan(error_deg)] = BACKGROUND
    return colours


def masked(photo: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """A photograph [h, w, 3] uint8 with its background dimmed and the matte's [h, w] outline drawn."""
    inside = matte > 0.5
    dimmed = np.where(inside[..., None], photo, photo // 4)
    thick = max(1, round(max(matte.shape) / 150))
    grown = cv2.dilate(inside.astype(np.uint8), np.ones((2 * thick + 1, 2 * thick + 1), np.uint8)) > 0
    dimmed[grown & ~inside] = OUTLINE
    return dimmed


def sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], titles: Sequence[str], heading: str) -> Image.Image:
    """A contact sheet: one captioned row per kind of map, one column per view. Tiles are uint8 RGB of any size."""
    columns = len(titles)
    widths = [round(TILE * tile.shape[1] / tile.shape[0]) for tile in rows[0][1]]
    top = 64
    size = (LABEL + sum(widths) + MARGIN * (columns + 1), top + len(rows) * (TILE + MARGIN) + MARGIN)
    page = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(page)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    draw.text((MARGIN, 14), heading, INK, large)
    for r, (caption, tiles) in enumerate(rows):
        y = top + r * (TILE + MARGIN)
        draw.multiline_text((MARGIN, y + TILE // 2 - 8 * (caption.count("\n") + 1)), caption, INK, small)
        x = LABEL
        for tile, width in zip(tiles, widths):
            fitted = cv2.resize(np.ascontiguousarray(tile), (width, TILE), interpolation=cv2.INTER_AREA)
            page.paste(Image.fromarray(fitted), (x, y))
            x += width + MARGIN
    x = LABEL
    for title, width in zip(titles, widths):
        draw.text((x, top - 20), title[:28], INK, small)
        x += width + MARGIN
    return page


def save(page: Image.Image, path: Path) -> None:
    """Write a page as PNG or JPEG, atomically."""
    write(path, np.asarray(page)[..., ::-1])


def run_sheet(
    photos: Sequence[np.ndarray], targets: Sequence[Target], views: Sequence[ViewQuality], heading: str
) -> Image.Image:
    """The report picture: photographs [H, W, 3] 0..1, target normals, the mesh as clay, the error between them."""
    chosen = np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MOST_VIEWS)).astype(int))
    rows: list[tuple[str, list[np.ndarray]]] = [
        ("Photographs", []),
        ("Normals", []),
        ("Result", []),
        (f"Error\nblue 0\nred {WORST_DEG:.0f} degrees", []),
    ]
    for i in chosen:
        target, view = targets[i], views[i]
        box = _square(target.mask)
        inside = (target.mask > 0.5)[..., None]
        photo = cv2.resize(photos[i], (target.camera.width, target.camera.height), interpolation=cv2.INTER_AREA)
        maps = (
            (np.clip(photo, 0, 1) * 255).astype(np.uint8),
            normal_colours(np.where(inside, target.camera.normals_from_world(target.normals), 0)),
            clay(target.camera.normals_from_world(view.rendered)),
            heat(view.error_deg),
        )
        for (_, tiles), values in zip(rows, maps):
            tiles.append(_cut(values, box))
    return sheet(rows, [f"{views[i].name}  {views[i].normal_error_deg:.1f} deg" for i in chosen], heading)


def normals_sheet(photos: Sequence[np.ndarray], maps: Sequence, heading: str) -> Image.Image:
    """Photograph, normals, matte of every view. maps: NormalMap records (bridge.normals)."""
    rows: list[tuple[str, list[np.ndarray]]] = [("Photographs", []), ("Normals", []), ("Masks", [])]
    for photo, found in zip(photos, maps):
        size = (found.camera.width, found.camera.height)
        rows[0][1].append((np.clip(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), 0, 1) * 255).astype(np.uint8))
        rows[1][1].append(normal_colours(found.normals))
        rows[2][1].append(masked(rows[0][1][-1], found.matte))
    return sheet(rows, [found.camera.name for found in maps], heading)


def _square(mask: np.ndarray) -> tuple[int, int, int]:
    """x0, y0, side of a square about what the mask shows, with a little air. It may reach outside the map."""
    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        return 0, 0, max(mask.shape)
    side = int(1.06 * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    return (columns[0] + columns[-1] - side) // 2, (rows[0] + rows[-1] - side) // 2, side


def _cut(values: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    x0, y0, side = box
    tile = np.empty((side, side, 3), np.uint8)
    tile[:] = BACKGROUND
    height, width = values.shape[:2]
    xs, ys = slice(max(x0, 0), min(x0 + side, width)), slice(max(y0, 0), min(y0 + side, height))
    tile[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = values[ys, xs]
    return tile
