"""Views of the fitted head that no camera took: targets for the solver where the photographs are silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..head.landmarks import CHIN
from ..mesh.normals import vertex_normals
from ..model.head_model import HeadModel
from ..raster import make_rasteriser
from ..solve import Target
from .fit import Fitted, inverse

VIEWS, SIZE, FOCAL = 10, 192, 2.6
RADIUS_MM = 170.0  # of what the pictures show
AWAY_MM = FOCAL * 2 * RADIUS_MM * 0.95
PIXEL_MM = AWAY_MM / (FOCAL * SIZE)  # at the head's middle
LOWEST = -0.75  # sine of the elevation of the lowest picture
SEEN_FROM = 0.25  # cosine to a camera from which on it begins to see a surface ...
SEEN_TO = 0.6  # ... and sees it fully
CHIN_FROM_MM, CHIN_TO_MM = -2.0, 14.0  # below the chin, over which photographs fall silent
# Where a body may be, boxes about the neck's middle: left, right, how high above the chin, how deep to either side.
# Chest and back; shoulders, which rise beside the neck and not before it
BODY = ((-260.0, 260.0, -15.0, 140.0), (-260.0, -60.0, 15.0, 70.0), (60.0, 260.0, 15.0, 70.0))
UNSURE_MM = 4.0  # inside the fitted head's outline: so far it may be wrong
# What a photograph that fully sees a surface leaves of the model's weight there: of its normals, of its outline. Every
# further one takes its share of the rest, so that three from the front have the face for themselves
SEEN_NORMALS, SEEN_OUTLINE = 0.1, 0.3
# A single photograph leaves this: the network flattens eye sockets and nostrils that it hardly makes out, on dark skin
# most, and no second photograph says otherwise
SEEN_ALONE = 0.5
# So far outside the model nothing of the head is expected, whoever sees what is there: a chest whose depth no
# photograph tells would grow through the chin
EMPTY_FROM_MM, EMPTY_TO_MM = 5.0, 14.0


def seen_shares(fitted: Fitted, model: HeadModel, masks: Sequence[np.ndarray]) -> np.ndarray:  # [N, V] 0..1
    """How well each photograph sees each vertex of the fitted head. masks: of the fitted cameras' pixels."""
    vertices = fitted.pose.points(fitted.vertices)
    triangles = model.template.triangles_of("skin", "eye_left", "eye_right")
    normals = vertex_normals(vertices, triangles).astype(np.float64)
    center, radius = vertices.mean(0), float(np.linalg.norm(np.ptp(vertices, axis=0)) / 2)
    shares, small = [], []
    for camera in fitted.cameras:
        scale = 384 / max(camera.width, camera.height)
        small.append(camera.resize(round(camera.width * scale), round(camera.height * scale)))
    local = [camera.transformed(1 / radius, np.eye(3), -center / radius) for camera in small]
    depths = make_rasteriser("cpu", local).render((vertices - center) / radius, triangles).depth
    for camera, depth, mask in zip(small, depths, masks, strict=True):
        pixels, z = camera.project(vertices)
        x, y = np.clip(np.floor(pixels).astype(int), 0, (camera.width - 1, camera.height - 1)).T
        ray = camera.center - vertices
        cosine = (normals * ray).sum(1) / np.linalg.norm(ray, axis=1)
        there = depth[y, x] * radius
        near = (there > 0) & (z - there < 0.03 * radius)
        matte = cv2.resize(np.asarray(mask, np.float32), (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        inside = matte[y, x] > 0.5
        shares.append(near * inside * np.clip((cosine - SEEN_FROM) / (SEEN_TO - SEEN_FROM), 0, 1))
    return np.stack(shares)


def virtual_targets(fitted: Fitted, model: HeadModel, shares: np.ndarray) -> list[Target]:
    """The fitted head from all around, in the world. shares: [N, V] how well each photograph sees it."""
    template, pose = model.template, fitted.pose
    shape, triangles = closed(fitted.vertices, template.triangles_of("skin", "eye_left", "eye_right"))
    cameras = ring()
    shares = np.pad(shares, ((0, 0), (0, len(shape) - shares.shape[1]))) * _head(shape[:, 1], fitted, model)
    left = SEEN_ALONE if len(shares) == 1 else SEEN_NORMALS
    normal = np.prod(1 - (1 - left) * shares, 0)
    outline = np.prod(1 - (1 - SEEN_OUTLINE) * shares, 0)
    render = make_rasteriser("cpu", cameras).render(shape, triangles, np.stack([normal, outline], 1))
    targets = []
    for camera, ids, normals, weights in zip(
        cameras, render.triangle, render.normals, render.attributes or [], strict=True
    ):
        mask = (ids >= 0).astype(np.float32)
        world = pose.camera(camera)
        turned = (normals @ pose.rotation.T.astype(np.float32)) * mask[..., None]
        around = spread(weights[..., 1], ids >= 0)
        outside = cv2.distanceTransform((ids < 0).astype(np.uint8), cv2.DIST_L2, 5) * PIXEL_MM
        far = np.clip((outside - EMPTY_FROM_MM) / (EMPTY_TO_MM - EMPTY_FROM_MM), 0, 1)
        around = around + far * (1 - around)
        targets.append(Target(world, turned, mask, weights[..., 0] * mask, around, finest=SIZE))
    return targets


def closed(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [V + 1, 3], [T + t, 3]
    """The model with a lid on the rim where its neck ends, so that the head is cut off there cleanly."""
    count = len(vertices)
    edges = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    rim = edges[~np.isin(edges @ [count, 1], edges @ [1, count])]
    lid = np.column_stack([rim[:, ::-1], np.full(len(rim), count)]).astype(triangles.dtype)
    return np.concatenate([vertices, vertices[rim[:, :1]].mean(0)]), np.concatenate([triangles, lid])


def _chin(fitted: Fitted, model: HeadModel) -> float:
    """The height of the chin, mm."""
    assert model.template.landmarks is not None  # our model has them
    return float(model.template.landmarks.points(fitted.vertices)[CHIN, 1])


def _head(height: np.ndarray, fitted: Fitted, model: HeadModel) -> np.ndarray:  # [...] mm -> [...] 0..1
    """1 at the chin and above, 0 from a little below it."""
    return np.clip((height - _chin(fitted, model) + CHIN_TO_MM) / (CHIN_TO_MM - CHIN_FROM_MM), 0, 1)


def without_body(target: Target, fitted: Fitted, model: HeadModel) -> Target:
    """A view that says nothing below the chin. Of a chest that few photographs see nobody knows the depth: it would
    hang from the chin, and a shoulder that is seen past a cheek would grow out of it.

    How high a pixel is says the fitted head that it shows; beside it the nearest part of it does. Where a body may
    stand before the head, or behind a pixel that the fitted head does not surely fill, the view is silent too.
    """
    camera = inverse(fitted.pose).camera(target.camera)
    render = make_rasteriser("cpu", [camera]).render(fitted.vertices, model.template.triangles_of("skin"))
    shown = render.triangle[0] >= 0
    if not shown.any():
        return target
    depth = spread(render.depth[0], shown)
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = (np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T) @ camera.R  # 1 long along the axis
    counts = _head(camera.center[1] + depth * rays[..., 1], fitted, model).astype(np.float32)
    pixel = depth / camera.K[0, 0]
    sure = cv2.distanceTransform(shown.astype(np.uint8), cv2.DIST_L2, 5) * pixel > UNSURE_MM
    nearest = _body(camera.center, rays, fitted, model)
    counts[np.where(sure, nearest < depth, np.isfinite(nearest))] = 0
    normals, outline = (counts if given is None else given * counts for given in (target.weight, target.mask_weight))
    return replace(target, weight=normals, mask_weight=outline)


def _body(center: np.ndarray, rays: np.ndarray, fitted: Fitted, model: HeadModel) -> np.ndarray:  # [..., 3] -> [...]
    """How far along each ray a body may begin, infinite where it cannot be met."""
    neck = fitted.vertices[model.template.regions["neck"]].mean(0)
    chin = _chin(fitted, model)
    nearest = np.full(rays.shape[:-1], np.inf)
    for left, right, above_chin, deep in BODY:
        low = np.array([neck[0] + left, -np.inf, neck[2] - deep])
        high = np.array([neck[0] + right, chin + above_chin, neck[2] + deep])
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (low - center) / rays, (high - center) / rays
        enters, leaves = np.maximum(np.fmin(one, other).max(-1), 0), np.fmax(one, other).min(-1)
        nearest = np.where(leaves > enters, np.minimum(nearest, enters), nearest)
    return nearest


def ring() -> list[Camera]:
    """Cameras all around the model's head but not from below, in its frame."""
    cameras = []
    for i in range(VIEWS):
        y = 1 - (1 - LOWEST) * (i + 0.5) / VIEWS
        angle = i * np.pi * (3 - 5**0.5)
        flat = np.sqrt(1 - y * y)
        out = np.array([flat * np.sin(angle), y, flat * np.cos(angle)])
        x = np.cross([0, 1.0, 0], out)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(-out, x), -out])
        K = np.array([[FOCAL * SIZE, 0, SIZE / 2], [0, FOCAL * SIZE, SIZE / 2], [0, 0, 1.0]])
        cameras.append(Camera(f"model {i + 1}", K, R, -R @ (AWAY_MM * out), SIZE, SIZE))
    return cameras


def spread(values: np.ndarray, inside: np.ndarray) -> np.ndarray:  # [H, W] float32
    """The values of the nearest pixel inside, everywhere."""
    _, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.zeros(label.max() + 1, np.float32)
    known[label[inside]] = values[inside]
    return known[label]
