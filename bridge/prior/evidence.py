"""What the photographs say about a head of the model, as rows of a least-squares problem.

All in the model's frame in millimetres, with cameras brought there. A row is a residual in millimetres (or, of normals,
without unit), its derivatives by the motion of its point [3] and by the coefficients [k], and its weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from ..capture.cameras import Camera
from ..capture.images import resize_map
from ..capture.normal_map import NormalMap
from ..head.landmarks import Face
from ..mesh.closest import face_normals
from ..model import LandmarkMap
from ..raster import make_rasteriser

SIZE = 320  # pixels of the longer side at which outlines and normals are compared
LANDMARK_MM, LANDMARK_SHARE = 2.5, 0.12  # of one landmark; they err together, so each counts for less than one
OUTLINE_MM, OUTLINE_SHARE, OUTLINES = 1.5, 0.15, 300
NORMAL_SIGMA, NORMAL_SHARE, NORMALS = 0.2, 0.05, 1500
HAIR_NORMALS = 0.15  # share of the normals' weight where hair may be: its relief is not the hull's
ALIKE = 0.5  # cosine of two outlines' directions that may belong together
LEAST_FACING = 0.2


@dataclass(frozen=True, eq=False)
class View:
    """One photograph as the fit sees it: matte, normals and confidence on the camera's small grid."""

    camera: Camera  # [h, w] of the maps, world
    face: Face | None  # points in the camera's pixels
    matte: np.ndarray  # [h, w]
    normals: np.ndarray  # [h, w, 3] camera space as NormalMap
    confidence: np.ndarray  # [h, w]
    canonical: np.ndarray | None = (
        None  # [h, w, 3] the point of the canonical head that is seen, where the network tells
    )

    @classmethod
    def of(cls, found: NormalMap, face: Face | None, width: int) -> View:
        """From a normal map and a face found in a photograph of some width."""
        shrink = SIZE / max(found.camera.width, found.camera.height)
        camera = found.camera.resize(round(found.camera.width * shrink), round(found.camera.height * shrink))
        size = (camera.width, camera.height)
        normals = resize_map(found.normals, *size)
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        sure = np.ones_like(found.matte) if found.confidence is None else found.confidence
        if face is not None:
            face = Face(face.points * (camera.width / width), face.presence, face.frontal)
        named = None if found.canonical is None else cv2.resize(found.canonical, size, interpolation=cv2.INTER_NEAREST)
        return cls(
            camera, face, resize_map(found.matte, *size), normals / np.maximum(length, 1e-6), resize_map(sure, *size),
            named,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rows:
    """Residuals with derivatives."""

    residual: np.ndarray  # [n]
    by_point: np.ndarray  # [n, 3]; of normals 0
    point: np.ndarray  # [n, 3]
    by_shape: np.ndarray  # [n, k]
    weight: np.ndarray  # [n]
    by_turn: np.ndarray | None = None  # [n, 3] of normals: by a small rotation
    by_focal: np.ndarray | None = None  # [n] by the logarithm of the focal length


def scale_at(camera: Camera, point: np.ndarray) -> float:
    """Millimetres of a pixel at a point's depth."""
    return float((camera.R[2] @ point + camera.t[2]) / camera.K[0, 0])


def projected(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [n, 2] and their derivatives by the points [n, 2, 3]."""
    local = points @ camera.R.T + camera.t
    z = np.maximum(local[:, 2], 1e-6)
    x, y, one, zero = local[:, 0] / z, local[:, 1] / z, 1 / z, np.zeros(len(z))
    inner = np.stack([np.stack([one, zero, -x / z], 1), np.stack([zero, one, -y / z], 1)], 1)
    K = camera.K
    pixels = np.stack([K[0, 0] * x + K[0, 1] * y + K[0, 2], K[1, 1] * y + K[1, 2]], 1)
    return pixels, np.einsum("ij,njk,kl->nil", K[:2, :2], inner, camera.R)


def landmark_rows(posed: Posed, marks: LandmarkMap, each: float = LANDMARK_SHARE) -> Rows | None:
    """The face's landmarks against the model's."""
    view, camera, shape, basis = posed.view, posed.camera, posed.shape, posed.basis
    if view.face is None:
        return None
    points = marks.points(shape)
    pixels, by_point = projected(camera, points)
    mm = scale_at(camera, points.mean(0))
    error = (pixels - view.face.points[:, :2]) * mm
    sigma2 = LANDMARK_MM**2 + marks.spread**2
    far = (error**2).sum(1) / sigma2
    weight = each * view.face.presence * np.maximum(view.face.frontal, 0.02) ** 2 / sigma2
    weight = weight / (1 + far / (9 + np.median(far))) ** 2
    of_shape = np.einsum("nq,nqdk->ndk", marks.weights, basis[marks.corners])
    rows = by_point * mm
    center = np.array([camera.K[0, 2], camera.K[1, 2]])
    return Rows(
        error.ravel(), rows.reshape(-1, 3), np.repeat(points, 2, 0),
        np.einsum("nij,njk->nik", rows, of_shape).reshape(len(points) * 2, -1), np.repeat(weight, 2),
        by_focal=((pixels - center) * mm).ravel(),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawn:
    """The model as a view sees it."""

    triangle: np.ndarray  # [h, w] int32, -1: nothing
    weights: np.ndarray  # [h, w, 3] of the corners


def drawn(cameras: list[Camera], shape: np.ndarray, triangles: np.ndarray) -> list[Drawn]:
    """Which triangle each pixel shows, and where in it."""
    render = make_rasteriser("cpu", cameras).render(shape, triangles)
    found = []
    for camera, ids, depth in zip(cameras, render.triangle, render.depth, strict=True):
        y, x = np.nonzero(ids >= 0)
        corners = shape[triangles[ids[y, x]]]
        rays = np.linalg.solve(camera.K, np.stack([x + 0.5, y + 0.5, np.ones(len(x))])).T * depth[y, x, None]
        points = (rays - camera.t) @ camera.R
        weights = np.zeros((*ids.shape, 3))
        weights[y, x] = barycentric(points, corners)
        found.append(Drawn(ids, weights))
    return found


def barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:  # [n, 3], [n, 3, 3] -> [n, 3]
    """Weights of triangles' corners at points in their planes (Ericson, Real-Time Collision Detection, 3.4)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    uu, uv, vv, wu, wv = ((p * q).sum(1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    below = np.maximum(uu * vv - uv * uv, 1e-12)
    s, t = (vv * wu - uv * wv) / below, (uu * wv - uv * wu) / below
    return np.clip(np.stack([1 - s - t, s, t], 1), -0.5, 1.5)


@dataclass(frozen=True, eq=False)
class Outline:
    """The border of a matte."""

    points: np.ndarray  # [n, 2] pixels
    normals: np.ndarray  # [n, 2] unit, outward


def outline_of(matte: np.ndarray) -> Outline:
    """Where a matte is one half, on its largest piece, without the picture's rim."""
    inside = (matte > 0.5).astype(np.uint8)
    lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not lines:
        return Outline(np.empty((0, 2)), np.empty((0, 2)))
    line = max(lines, key=cv2.contourArea)[:, 0]
    h, w = matte.shape
    free = (line[:, 0] > 1) & (line[:, 1] > 1) & (line[:, 0] < w - 2) & (line[:, 1] < h - 2)
    line = line[free]
    smooth = cv2.GaussianBlur(matte.astype(np.float32), (0, 0), 1.5)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    out = -np.stack([dx[line[:, 1], line[:, 0]], dy[line[:, 1], line[:, 0]]], 1)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    out = out / np.maximum(length, 1e-9)
    # the inner pixels' centres lie half a pixel inside the border
    return Outline(line + 0.5 + 0.5 * out, out)


@dataclass(frozen=True, eq=False)
class Posed:
    """The model as one view has it before itself."""

    view: View
    camera: Camera
    seen: Drawn
    shape: np.ndarray  # [V, 3] mm
    triangles: np.ndarray  # [T, 3]
    basis: np.ndarray  # [V, 3, K] of the shape


def outline_rows(posed: Posed, silent: np.ndarray, width: float) -> Rows | None:
    """The matte's outline against the model's, both ways. silent: [V] bool, where the model ends (neck); width: of the
    robust weights, mm."""
    view, camera, seen, shape = posed.view, posed.camera, posed.seen, posed.shape
    triangles, basis = posed.triangles, posed.basis
    ours, theirs = outline_of((seen.triangle >= 0).astype(np.float32)), outline_of(view.matte)
    if len(ours.points) < 10 or len(theirs.points) < 10:
        return None
    mm = scale_at(camera, shape.mean(0))
    pairs = []  # model's outline pixel, matte's outline pixel
    for from_, to, first in ((theirs, ours, False), (ours, theirs, True)):
        some = np.linspace(0, len(from_.points) - 1, min(OUTLINES, len(from_.points))).astype(int)
        near = cKDTree(to.points).query(from_.points[some], 8)[1].reshape(len(some), -1)
        alike = (from_.normals[some][:, None] * to.normals[near]).sum(2)
        gap = np.linalg.norm(from_.points[some][:, None] - to.points[near], axis=2)
        best = np.where(alike > ALIKE, gap, np.inf).argmin(1)
        good = alike[np.arange(len(some)), best] > ALIKE
        other = near[np.arange(len(some)), best]
        pairs.append(np.stack([some, other] if first else [other, some], 1)[good])
    pair = np.concatenate(pairs)
    at = np.clip((ours.points[pair[:, 0]] - 0.5 * ours.normals[pair[:, 0]]).astype(int), 0,
                 np.array(seen.triangle.shape)[::-1] - 1)  # fmt: skip
    ids = seen.triangle[at[:, 1], at[:, 0]]
    use = (ids >= 0) & ~silent[triangles[np.maximum(ids, 0)]].any(1)
    pair, at, ids = pair[use], at[use], ids[use]
    if len(pair) < 10:
        return None
    share = seen.weights[at[:, 1], at[:, 0]]
    corners = triangles[ids]
    points = np.einsum("nq,nqd->nd", share, shape[corners])
    pixels, by_point = projected(camera, points)
    # the surface's own outline lies where the ray grazes it: the drawn pixel is up to a pixel inside
    pixels = ours.points[pair[:, 0]]
    along = theirs.normals[pair[:, 1]]
    gap = ((pixels - theirs.points[pair[:, 1]]) * along).sum(1) * mm
    far = np.linalg.norm(pixels - theirs.points[pair[:, 1]], axis=1) * mm
    rows = np.einsum("ni,nij->nj", along, by_point) * mm
    of_shape = np.einsum("nq,nqdk->ndk", share, basis[corners])
    weight = OUTLINE_SHARE / (OUTLINE_MM**2 + (0.5 * mm) ** 2) / (1 + (far / width) ** 2) ** 2
    center = np.array([camera.K[0, 2], camera.K[1, 2]])
    return Rows(
        gap, rows, points, np.einsum("nd,ndk->nk", rows, of_shape), weight,
        by_focal=((pixels - center) * along).sum(1) * mm,
    )  # fmt: skip


def normal_rows(posed: Posed, share_of: np.ndarray, rng: np.random.Generator) -> Rows | None:
    """The network's normals against the model's facets. share_of: [V] how much a vertex's normals count."""
    view, camera, seen, shape = posed.view, posed.camera, posed.seen, posed.shape
    triangles, basis = posed.triangles, posed.basis
    y, x = np.nonzero((seen.triangle >= 0) & (view.matte > 0.5))
    if len(y) < 50:
        return None
    chosen = rng.choice(len(y), min(NORMALS, len(y)), replace=False)
    y, x = y[chosen], x[chosen]
    corners = triangles[seen.triangle[y, x]]
    ours = face_normals(shape, corners)
    theirs = camera.normals_to_world(view.normals[y, x])
    a, b, c = (basis[corners[:, k]] for k in range(3))
    pa, pb, pc = (shape[corners[:, k]] for k in range(3))
    e1, e2 = pb - pa, pc - pa
    area = np.maximum(np.linalg.norm(np.cross(e1, e2), axis=1), 1e-9)
    change = np.cross(b - a, e2[:, :, None], axisa=1, axisb=1, axisc=1)
    change += np.cross(e1[:, :, None], c - a, axisa=1, axisb=1, axisc=1)
    change /= area[:, None, None]
    change -= ours[:, :, None] * np.einsum("nd,ndk->nk", ours, change)[:, None]
    facing = np.clip(ours @ -camera.R[2], 0, 1)
    weight = (
        NORMAL_SHARE / NORMAL_SIGMA**2 * share_of[corners].mean(1) * view.confidence[y, x] * (facing > LEAST_FACING)
    )
    error = ours - theirs
    weight = weight / (1 + (error**2).sum(1) / 0.25) ** 2
    turn = np.stack([np.cross(axis, ours) for axis in np.eye(3)], 2)  # [n, 3, 3]: d n / d omega
    zero = np.zeros((3 * len(y), 3))
    return Rows(
        error.ravel(), zero, zero, change.reshape(3 * len(y), -1), np.repeat(weight, 3), by_turn=turn.reshape(-1, 3)
    )  # fmt: skip
