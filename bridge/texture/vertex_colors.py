"""A first texture: every vertex takes its colour from the photographs that see it best."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..capture.images import remap, resize_map
from ..errors import Check, unchecked
from ..mesh import Mesh
from ..mesh.normals import vertex_normals
from ..raster.look import look
from ..side_by_side import side_by_side
from .fill import fill_vertices, mirror_images, spread

SIZE = 1024  # longer side of a photograph as it is sampled: finer than the vertices of any preset
SHARPNESS = 6.0  # power of the facing cosine: high enough that one or two views decide, low enough to hide seams
RIM_PIXELS = 4  # near a silhouette a pixel mixes head and background, so it does not count
DEPTH_TOLERANCE = 0.012  # of the head's radius: how far behind the rendered surface a vertex still counts as seen
DEPTH_JUMP = 0.06  # of the head's radius between neighbouring pixels: a rim inside the head, such as chin before neck


def blend(
    mesh: Mesh,
    photos: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    masks: Sequence[np.ndarray],
    frame: HeadFrame,
    *,
    across: np.ndarray | None = None,
    check: Check = unchecked,
) -> np.ndarray:  # [V, 3] uint8 sRGB
    """Colours of the vertices, blended by visibility and facing angle; unseen ones take their neighbours'.

    photos: [H, W, 3] float32 sRGB 0..1 of each camera; masks: [h, w] float32 of the same field of view, any size.
    across [3]: from one ear to the other, of a head that so few photographs show that unseen places take the colours of
    their mirror images.
    """
    vertices = (mesh.vertices - frame.center) / frame.radius
    normals = vertex_normals(vertices, mesh.faces)
    small = [_shrink(frame.normalise(camera)) for camera in cameras]
    total = np.zeros((len(vertices), 3))
    weight_sum = np.zeros(len(vertices))

    def seen_from(i: int) -> tuple[np.ndarray, np.ndarray]:  # [V, 3] colours times weight, [V] weight
        check()
        camera = small[i]
        shown, _ = look(camera, vertices.astype(np.float32), mesh.faces)
        photo = resize_map(photos[i], camera.width, camera.height)
        inner = _inner(resize_map(masks[i], camera.width, camera.height), shown)
        pixels, depth = camera.project(vertices)
        ray = camera.center - vertices
        cosine = (ray * normals).sum(1) / np.linalg.norm(ray, axis=1)
        # the coordinate of a pixel's centre is its index plus one half; remap counts from the centres
        x, y = (pixels - 0.5).astype(np.float32).T
        rendered = remap(shown, x, y, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        seen = (depth > 0) & (cosine > 0.05) & (rendered > 0) & (depth < rendered + DEPTH_TOLERANCE)
        inside = remap(inner, x, y, border=cv2.BORDER_CONSTANT)
        weight = np.where(seen, np.clip(cosine, 0, 1) ** SHARPNESS, 0) * inside
        return weight[:, None] * remap(photo, x, y, border=cv2.BORDER_CONSTANT), weight

    for colour, weight in side_by_side(seen_from, range(len(small))):
        total += colour
        weight_sum += weight
    known = weight_sum > 1e-4
    colours = np.zeros((len(vertices), 3), np.float32)
    colours[known] = total[known] / weight_sum[known, None]
    if across is None or known.all():
        colours = spread(colours, known, mesh.faces)
    else:
        mirror = mirror_images(vertices, normals, across, 1.0)
        colours = fill_vertices(colours, known, mesh.faces, mirror)
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def _shrink(camera: Camera) -> Camera:
    scale = min(1.0, SIZE / max(camera.width, camera.height))
    return camera.resize(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def _inner(mask: np.ndarray, depth: np.ndarray) -> np.ndarray:  # [h, w] float32
    """1 well inside the mask and the rendered head, 0 at their rims, outside, and where one part hides another."""
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel)
    solid = ((mask > 0.5) & (depth > 0) & (jump < DEPTH_JUMP)).astype(np.uint8)
    # a frame of head pixels: where the photograph's border cuts the head there is no background to fear
    distance = cv2.distanceTransform(cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 3)
    return np.clip(distance[1:-1, 1:-1] / RIM_PIXELS - 0.25, 0, 1).astype(np.float32)
