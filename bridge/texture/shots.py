"""What one photograph shows of a mesh: which vertices, how well, and in what colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.images import Photo, remap, resize_map
from ..capture.masks import head_mask
from ..capture.record import View
from ..raster.look import look
from .light import grey, to_linear
from .settings import TextureSettings

SMALL = 1024  # pixels of the longer side of the head's box when photographs are judged and compared
BOX_MARGIN = 0.03  # of the box's longer side
DEPTH_TOLERANCE = 0.008  # of the head's radius: how far behind the rendered surface a vertex still counts as seen
DEPTH_JUMP = 0.012  # of the head's radius off the line through both neighbours: a rim inside the head, such as chin
# before neck; a slanted surface has none, whatever its slope
CLIPPED = 0.985  # of the sRGB range: a pixel brighter than this has lost its colour
LEAST_COSINE, STRICTEST_COSINE = 0.08, 0.45  # below which a place is not seen, by the control "frontal"
LEAST_POWER, STRICTEST_POWER = 1.0, 9.0  # of the cosine in the quality, by the same control
LEAST_MARGIN, WIDEST_MARGIN = 0.006, 0.034  # of the head's radius from rims, by the control "silhouette"
FINE_SIGMA = 3.0  # pixels: what is blurred more is stored smaller
BANDS = (0.012, 0.06)  # of the head's radius: blur between details, middle and broad tones
VOID = 6 / 255  # of the sRGB range: what undistorting leaves along a photograph's border is not brighter, with the
# noise that JPEG adds
VOID_BLOCK, VOID_MARGIN = 5, 4  # pixels of the small picture: what is averaged, and what beside it is mixed with it


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh as photographs look at it."""

    vertices: np.ndarray  # [V, 3]
    faces: np.ndarray  # [F, 3]
    normals: np.ndarray  # [V, 3] unit
    radius: float  # of the head, world units: what margins and widths are shares of


@dataclass(frozen=True, eq=False)
class Shot:
    """A photograph cut to the head's box, as far as all photographs are kept at a time."""

    view: View
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 of the photograph's pixels
    camera: Camera  # of the small picture
    pixels: np.ndarray  # [h, w, 3] float32 sRGB, small
    quality: np.ndarray  # [V] float32: 0 not seen; the larger, the better it shows the place
    colors: np.ndarray  # [V, 3] float32 linear light of the small picture, 0 where not seen
    place: np.ndarray  # [V, 2] float32 pixels of the small picture that the vertices project to
    contrast: np.ndarray  # [V] float32: of the finest detail around the place, relative to its brightness
    broad: tuple[np.ndarray, np.ndarray]  # the picture blurred by BANDS without what lies behind the head, each as
    # small as it may be

    def without_colors(self) -> Shot:
        """Once colours and contrast of all photographs are in one table."""
        none = np.empty((0, 3), np.float32)
        return replace(self, colors=none, contrast=none[:, 0])

    def for_painting(self) -> Shot:
        """Without what only decisions need."""
        none = np.empty((0, 3), np.float32)
        return replace(self, pixels=none, quality=none[:, 0], colors=none, contrast=none[:, 0])


def head_box(camera: Camera, pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 in pixels of the part of the image that the mesh covers; None where it is nowhere in it.

    pixels [n, 2]: where its vertices are.
    """
    if not len(pixels):
        return None
    low, high = (np.array([extreme(column) for column in pixels.T]) for extreme in (np.min, np.max))
    margin = BOX_MARGIN * float((high - low).max())
    x0, y0 = (max(0, int(k)) for k in low - margin)
    x1, y1 = min(camera.width, int(high[0] + margin) + 1), min(camera.height, int(high[1] + margin) + 1)
    return (x0, y0, x1, y1) if x1 - x0 > 8 and y1 - y0 > 8 else None


def cut(photo: Photo, box: tuple[int, int, int, int]) -> Photo:
    """A copy of the part of a photograph in a box x0, y0, x1, y1, with its camera."""
    x0, y0, x1, y1 = box
    pixels = photo.pixels[y0:y1, x0:x1].copy()  # or the rest of the photograph stays in memory with it
    return Photo(photo.camera.crop(x0, y0, x1 - x0, y1 - y0), pixels, None)


def take(view: View, photo: Photo, mask: np.ndarray | None, surface: Surface, settings: TextureSettings) -> Shot | None:
    """What a photograph shows of a surface's vertices; None where the head is not in it.

    mask [H, W] 0..1 of the photograph's field of view, any size; None takes the view's own, if it has one.
    """
    vertices, radius = surface.vertices, surface.radius
    whole, along = photo.camera.project(vertices)
    box = head_box(photo.camera, whole[along > 0])
    if box is None:
        return None
    given = head_mask(view, photo) if mask is None else resize_map(mask, photo.camera.width, photo.camera.height)
    part = cut(photo, box)
    scale = min(1.0, SMALL / max(part.camera.width, part.camera.height))
    size = max(8, round(part.camera.width * scale)), max(8, round(part.camera.height * scale))
    camera = part.camera.resize(*size)
    pixels = resize_map(part.pixels, *size)
    x0, y0, x1, y1 = box
    shown = np.ones(size[::-1], np.float32) if given is None else resize_map(given[y0:y1, x0:x1], *size)
    shown = np.where(_void(pixels), 0, shown).astype(np.float32)
    depth, _ = look(camera, vertices, surface.faces)
    inside, distance = _rims(shown, depth, radius)
    place = (whole - [x0, y0]) * (camera.width / part.camera.width, camera.height / part.camera.height)
    ray = (camera.center - vertices).T  # coordinate by coordinate: numpy is slow along short rows
    cosine = _sum(ray * surface.normals.T) / np.sqrt(_sum(ray * ray))
    if settings.back_faces:
        cosine = np.abs(cosine)
    rendered = at_pixels(depth, place, cv2.INTER_NEAREST)
    pixel = radius * camera.K[0, 0] / np.median(along)  # of the head's radius
    margin = max(pixel * _between(settings.silhouette, LEAST_MARGIN, WIDEST_MARGIN), 2.0)
    rim = np.clip((at_pixels(distance, place) - margin) / margin, 0, 1)
    least = _between(settings.frontal, LEAST_COSINE, STRICTEST_COSINE)
    facing = np.clip((cosine - least) / (1 - least), 0, 1) ** _between(settings.frontal, LEAST_POWER, STRICTEST_POWER)
    seen = (along > 0) & (rendered > 0) & (along < rendered + DEPTH_TOLERANCE * radius)
    found = at_pixels(pixels, place)
    finest = (camera.K[0, 0] / np.maximum(along, 1e-9)) / scale  # full pixels a world unit
    sure = np.clip(at_pixels(shown, place), 0, 1)  # a mask that hesitates is trusted less
    quality = np.where(seen, facing * rim * sure * finest * radius / 1000, 0) * (1 - 0.9 * (_highest(found) > CLIPPED))
    quality[~np.isfinite(quality)] = 0
    colors = to_linear(found)
    colors[quality <= 0] = 0
    contrast = at_pixels(_contrast(pixels, max(pixel * BANDS[0], 1.0)), place)
    middle, broad = (_blur_inside(pixels, inside, max(pixel * band, 1.0)) for band in BANDS)
    quality, place = quality.astype(np.float32), place.astype(np.float32)
    return Shot(view, box, camera, pixels, quality, colors, place, contrast, (middle, broad))


def at_pixels(image: np.ndarray, pixels: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:  # [n, ...]
    """An image at n places [n, 2] counted from its corner; 0 outside."""
    # the coordinate of a pixel's centre is its index plus one half; remap counts from the centres
    x, y = (pixels - 0.5).astype(np.float32).T
    return remap(image, x, y, how, cv2.BORDER_CONSTANT)


def _void(pixels: np.ndarray) -> np.ndarray:  # [h, w] bool
    """Where a small picture [h, w, 3] has no light at all from its border on.

    Undistorting a photograph leaves such corners and edges. They are no background that a mask would know.
    """
    dark = cv2.blur(_highest(pixels), (VOID_BLOCK, VOID_BLOCK), borderType=cv2.BORDER_REPLICATE) <= VOID
    count, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    reached = np.zeros(count, bool)
    reached[edge[edge > 0]] = True
    return cv2.dilate(reached[labels].astype(np.uint8), np.ones((2 * VOID_MARGIN + 1,) * 2, np.uint8)) > 0


def _rims(shown: np.ndarray, depth: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the head is and no rim, [h, w] float32 0 or 1, and the distance in pixels to where it is not."""
    bent = np.zeros_like(depth)
    for axis in (0, 1):
        ahead, behind = (np.roll(depth, k, axis) for k in (-1, 1))
        off = np.abs(ahead - 2 * depth + behind)
        bent = np.maximum(bent, np.where((ahead > 0) & (behind > 0), off, np.inf))
    solid = ((shown > 0.5) & (depth > 0) & (bent < DEPTH_JUMP * radius)).astype(np.uint8)
    solid[[0, -1]], solid[:, [0, -1]] = solid[[1, -2]], solid[:, [1, -2]]  # rolled in from the other side
    # a frame of head pixels: where the photograph's border cuts the head there is no background to fear
    distance = cv2.distanceTransform(cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 5)
    return solid.astype(np.float32), np.ascontiguousarray(distance[1:-1, 1:-1])


def _contrast(pixels: np.ndarray, sigma: float) -> np.ndarray:  # [h, w] float32
    """How strong the finest detail is around each pixel, as a share of the brightness: what a blurred picture lacks."""
    level = grey(pixels)
    fine = np.abs(cv2.Laplacian(level, cv2.CV_32F))
    return cv2.GaussianBlur(fine, (0, 0), sigma) / (cv2.GaussianBlur(level, (0, 0), sigma) + 0.02)


def _blur_inside(pixels: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur in which only pixels inside the head take part."""
    core = cv2.erode(inside, np.ones((3, 3), np.uint8)) + np.float32(1e-6)
    coarse = 1 / max(1.0, sigma / FINE_SIGMA)  # a blurred picture needs few pixels
    size = max(4, round(core.shape[1] * coarse)), max(4, round(core.shape[0] * coarse))
    weighted, weight = (resize_map(k, *size) for k in (pixels * core[..., None], core))
    blurred = cv2.GaussianBlur(np.dstack([weighted, weight]), (0, 0), sigma * size[0] / core.shape[1])
    return np.ascontiguousarray(blurred[..., :3] / blurred[..., 3:])


def _sum(coordinates: np.ndarray) -> np.ndarray:  # [3, V] -> [V]
    return coordinates[0] + coordinates[1] + coordinates[2]


def _highest(colors: np.ndarray) -> np.ndarray:  # [..., 3] -> [...]
    return np.maximum(np.maximum(colors[..., 0], colors[..., 1]), colors[..., 2])


def _between(share: float, low: float, high: float) -> float:
    return low + share * (high - low)
