"""The report picture of a check: the rig from three sides, what the cameras see of the head, the outlines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..capture.framing import rig_up
from ..mattes.hull import Hull
from .findings import ERROR, INFO, WARNING, Finding
from .inspection import Inspection
from .scene import Scene

BACKGROUND, INK, FAINT = (24, 25, 28), (222, 224, 228), (150, 153, 158)
GOOD, BAD, UNSURE = (120, 200, 140), (240, 84, 72), (240, 180, 70)
COLOURS = {ERROR: BAD, WARNING: UNSURE, INFO: (130, 170, 220)}
MAP = 460  # pixels of a plan's side
TILE, COLUMNS = 176, 6
GAP = 14
LEGEND = 18  # height of the line that explains the outlines
MISFIT = 0.01  # of the head's radius: outline points further off are marked
UNSEEN = (170, 50, 45)
OUTLINES = "Outlines: green where the other views agree, red where they are off by more than 1% of the head's radius"


def page(inspection: Inspection, photos: Sequence[np.ndarray], heading: str) -> Image.Image:
    """photos: of the views that the scene has, [H, W, 3] 0..1 in the capture's order."""
    scene, hull = inspection.scene, inspection.hull
    culprits = {v: f.severity for f in reversed(inspection.findings) if f.severity != INFO for v in f.views}
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    lines = _wrapped(inspection.findings, 120)
    tiles = len(photos) if scene else 0
    width = max(3 * MAP + 4 * GAP, COLUMNS * (TILE + GAP) + GAP)
    columns = (width - GAP) // (TILE + GAP)
    rows = -(-tiles // columns)
    top = 52 + 19 * len(lines) + GAP
    height = top + (MAP + GAP + 20 + LEGEND if scene else 0) + rows * (TILE + 24) + GAP
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 14), heading, INK, large)
    for k, (colour, text) in enumerate(lines):
        draw.text((GAP, 46 + 19 * k), text, colour, small)
    if scene is None or hull is None:
        return sheet
    up = rig_up(scene.cameras)
    side = np.cross(up, _flat(scene.cameras[0].forward, up))
    ahead = np.cross(side, up)
    plans = (("from above", side, -ahead), ("from the side", ahead, up), ("from the front", side, up))
    for k, (title, right, vertical) in enumerate(plans):
        plan = _plan(scene, hull, culprits, np.stack([right, vertical, np.cross(right, vertical)]))
        sheet.paste(plan, (GAP + k * (MAP + GAP), top + 18))
        draw.text((GAP + k * (MAP + GAP), top), f"the rig {title}", INK, small)
    _legend(draw, (width - GAP, top), len(scene.cameras), small)
    draw.text((GAP, top + MAP + GAP + 18), OUTLINES, FAINT, small)
    for i in range(tiles):
        x, y = GAP + i % columns * (TILE + GAP), top + MAP + GAP + 24 + LEGEND + i // columns * (TILE + 24)
        name = scene.cameras[i].name
        sheet.paste(_thumbnail(scene, inspection, i, photos[i]), (x, y + 18))
        value = inspection.misfit[_index(inspection, i)]
        draw.text((x, y), f"{name[-16:]}  {100 * value:.1f}%", COLOURS.get(culprits.get(name, ""), INK), small)
    return sheet


def enough(cameras: int) -> float:
    """So many views of a place of the head get the brightest colour: half of them, for no more can see it."""
    return max(cameras / 2, 1)


def _legend(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], cameras: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> None:
    """What the head's colours say, to the left of a corner: seen by none, by one to enough views."""
    x, y = corner[0] - 330, corner[1]
    draw.text((x - 6, y), "seen by none", INK, font)
    draw.rectangle((x + 84, y + 2, x + 98, y + 13), UNSEEN)
    draw.text((x + 108, y), "1", INK, font)
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    first = 255 / enough(cameras)
    for step in range(100):
        colour = ramp[int(first + (255 - first) * step / 99)]
        draw.line((x + 120 + step, y + 2, x + 120 + step, y + 13), tuple(int(v) for v in colour))
    draw.text((x + 226, y), f"{int(np.ceil(enough(cameras)))} views and more", INK, font)


def _index(inspection: Inspection, i: int) -> int:
    """Place in the capture of the scene's view i."""
    return int(np.flatnonzero(np.isfinite(inspection.misfit))[i])


def _wrapped(findings: Sequence[Finding], width: int) -> list[tuple[tuple[int, int, int], str]]:
    if not findings:
        return [(GOOD, "Nothing found: cameras, photographs and masks agree.")]
    return [(COLOURS[f.severity], f"{f.sentence} {f.cure}"[: 2 * width]) for f in findings]


def _flat(direction: np.ndarray, up: np.ndarray) -> np.ndarray:
    flat = direction - (direction @ up) * up
    length = np.linalg.norm(flat)
    return flat / length if length > 1e-6 else np.cross(up, [0.577, 0.577, 0.577])


def _plan(scene: Scene, hull: Hull, culprits: dict[str, str], frame: np.ndarray) -> Image.Image:
    """Cameras and the head in one plane; the head's surface by how many views see it, red: none.

    frame [3, 3]: the directions of the world that lie to the right, up and towards who looks.
    """
    right, vertical, towards = frame
    image = Image.new("RGB", (MAP, MAP), (32, 33, 37))
    draw = ImageDraw.Draw(image)
    middle, radius = scene.sphere.center, scene.sphere.radius
    axes = np.stack([right, -vertical])
    eyes = np.stack([camera.center - middle for camera in scene.cameras])
    reach = 1.12 * max(float(np.quantile(np.abs(eyes @ axes.T).max(1), 0.9)), 1.6 * radius)
    # rigs stand far off: the head is drawn larger than to scale, or its colours could not be seen
    swell = max(1.0, 0.42 * reach / radius)

    def pixel(offset: np.ndarray) -> np.ndarray:
        return MAP / 2 * (1 + offset @ axes.T / reach)

    front = hull.normals @ towards > 0
    points = hull.points[front] - middle
    order = np.argsort(points @ towards)
    counts = hull.counts[front][order]
    level = np.clip(counts / enough(len(scene.cameras)) * 255, 0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(level[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].copy()
    colours[counts == 0] = UNSEEN
    dot = max(1.5, MAP / 2 * hull.voxel * swell / reach * 0.8)
    for (x, y), colour in zip(pixel(points[order] * swell), colours, strict=True):
        draw.rectangle((x - dot, y - dot, x + dot, y + dot), tuple(int(v) for v in colour))
    font = ImageFont.load_default(11)
    for camera, eye in zip(scene.cameras, eyes, strict=True):
        colour = COLOURS.get(culprits.get(camera.name, ""), GOOD)
        at = np.clip(pixel(eye), 8, MAP - 8)
        aim = camera.forward @ axes.T
        along = aim / max(np.linalg.norm(aim), 1e-6) * 22 * min(np.linalg.norm(aim) + 0.2, 1)
        across = 0.4 * np.array([-along[1], along[0]])
        draw.polygon([tuple(at), tuple(at + along + across), tuple(at + along - across)], outline=colour)
        draw.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), colour)
        text = camera.name[-10:]
        x = min(at[0] + 6, MAP - 6 * len(text))
        draw.text((x, at[1] - 14), text, colour, font)
    return image


def _thumbnail(scene: Scene, inspection: Inspection, i: int, photo: np.ndarray) -> Image.Image:
    """The photograph with its outline: green where the other views agree, red where they do not."""
    silhouette = scene.silhouettes[i]
    height, width = silhouette.mask.shape
    picture = (np.clip(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), 0, 1) * 255).astype(np.uint8)
    picture = np.where(silhouette.mask[..., None], picture, picture // 3)
    scale = TILE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tile = Image.new("RGB", (TILE, TILE), BACKGROUND)
    offset = np.array([(TILE - size[0]) // 2, (TILE - size[1]) // 2])
    tile.paste(
        Image.fromarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)), (int(offset[0]), int(offset[1]))
    )
    draw = ImageDraw.Draw(tile)
    assert inspection.outlines is not None  # there is a scene
    misfits = inspection.outlines[i]
    chosen = np.linspace(0, len(silhouette.outline), len(misfits), endpoint=False).astype(int)
    for (x, y), value in zip(silhouette.outline[chosen] * scale + offset, misfits, strict=True):
        r = 1.0 if value < MISFIT else 2.0
        draw.ellipse((x - r, y - r, x + r, y + r), GOOD if value < MISFIT else BAD)
    return tile
