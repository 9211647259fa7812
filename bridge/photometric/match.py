"""Offsets along the normals of a mesh that make its photographs agree: search, smooth, solve, a few times over.

Plane sweeping along the surface's own normals (Collins 1996; on a mesh: Hiep et al. 2009), the matching costs
averaged over the surface before the best is chosen (Hosni et al. 2013), matches believed as far as those around agree,
then a robust screened Laplacian so that what cannot be matched follows its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from ..mesh import Mesh
from ..mesh.normals import vertex_normals
from ..raster.look import look
from ..side_by_side import side_by_side
from .consistency import mean_ncc

HEAD_PIXELS = 1000  # across the head's sphere: finer photographs are shrunk
MOST_VIEWS = 4  # that look at one vertex, the most frontal first
LEAST_COSINE = 0.45  # cosine between normal and line of sight below which a view is left out
DEPTH_TOLERANCE = 0.03  # of the head's radius: how far behind the rendered surface a vertex still counts as seen
SEARCHED = 30_000  # vertices that are matched; with more, the others follow them
LEAST_NCC = 0.2  # mean correlation that a match needs
SPREAD = 1  # smoothing steps of the matching costs over SEARCHED vertices: photographs have more grain than renders
AROUND = 2  # rounds of averaging of the normals along which the surface is searched
FOLDED = 0.3  # cosine between a vertex's normal and the mean around it below which it is smoothed
SMOOTHINGS = 20  # rounds
SOLVES = 4  # re-weighted solves: matches that disagree with all around lose their say
SUPPORT = 24  # searched vertices around a match that should agree with it
OUTLIER = 1.2  # search steps of disagreement at which a match counts half


@dataclass(frozen=True)
class Sweep:
    """One search: offsets up to ``reach`` head radii to both sides, patches of (2 half + 1)^2 samples some pixels
    apart, and the weight of the Laplacian for SEARCHED vertices."""

    reach: float
    steps: int
    half: int
    pixels: float
    stiffness: float


# Chosen on valid_wf2 and marble_bust (draft, a network 13 to 16 degrees off): depth_mm 1.94 -> 0.39 and 1.74 -> 0.30.
SWEEPS = (Sweep(0.06, 27, 4, 2.0, 0.05), Sweep(0.022, 21, 4, 1.5, 0.025), Sweep(0.008, 13, 4, 1.0, 0.01))


@dataclass(frozen=True, eq=False)
class Matched:
    """The moved mesh, and how far the best match stood out at every vertex."""

    mesh: Mesh
    confidence: np.ndarray  # [V] float32 0..1; 0 where nothing could be matched
    moved: float  # mean distance that vertices were moved, world units


@dataclass(frozen=True, eq=False)
class _PackedPhotos:
    """Grey photographs in one buffer, for the kernel."""

    cameras: list[Camera]  # in the head's frame, at the pictures' sizes
    pixels: np.ndarray  # float32, all pictures one after another
    starts: np.ndarray  # [N] int64
    sizes: np.ndarray  # [N, 2] int64 height, width
    P: np.ndarray  # [N, 3, 4]

    @classmethod
    def of(cls, photos: Sequence[np.ndarray], cameras: Sequence[Camera], frame: HeadFrame) -> _PackedPhotos:
        small, grey = [], []
        for photo, camera in zip(photos, cameras, strict=True):
            camera = frame.normalise(camera)
            distance = max(float(np.linalg.norm(camera.center)), 1e-6)
            scale = min(1.0, HEAD_PIXELS * distance / (2 * camera.K[0, 0]))
            camera = camera.resize(max(2, round(camera.width * scale)), max(2, round(camera.height * scale)))
            picture = cv2.cvtColor(np.ascontiguousarray(photo, np.float32), cv2.COLOR_RGB2GRAY)
            grey.append(cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA))
            small.append(camera)
        sizes = np.array([g.shape for g in grey], np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]])
        P = np.stack([c.K @ np.concatenate([c.R, c.t[:, None]], 1) for c in small])
        return cls(small, np.concatenate([g.ravel() for g in grey]), starts, sizes, P)


def match_photographs(
    mesh: Mesh,
    photos: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    frame: HeadFrame,
    *,
    check: Check = unchecked,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Matched:
    """Move the vertices of a closed mesh along their normals to where the photographs [H, W, 3] (sRGB 0..1, without
    distortion) of its cameras agree. Connectivity is kept; crossing faces are left to solve.untangled."""
    pictures = _PackedPhotos.of(photos, cameras, frame)
    vertices = frame.local(mesh.vertices)
    adjacency = neighbour_matrix(mesh.faces, len(vertices))
    mean = _averaging_matrix(adjacency)
    vertices = _unfolded(vertices, mesh.faces, adjacency, mean)
    # a random choice, the same every time, spreads evenly over the surface
    count = len(vertices)
    chosen = np.arange(count)
    if count > SEARCHED:
        chosen = np.sort(np.random.default_rng(0).choice(count, SEARCHED, replace=False))
    surface = _Searched(mesh.faces, adjacency, mean, chosen)
    confidence = np.zeros(count, np.float32)
    for i, sweep in enumerate(SWEEPS):
        displacement, certainty = _sweep(vertices, surface, pictures, sweep, check=check)
        vertices = vertices + displacement
        confidence = np.maximum(confidence, certainty)  # the wider the search, the more a match stands out
        step(i + 1, len(SWEEPS))
    vertices = _unfolded(vertices, mesh.faces, adjacency, mean)
    moved = Mesh(frame.world(vertices), mesh.faces)
    return Matched(moved, confidence, float(np.linalg.norm(moved.vertices - mesh.vertices, axis=1).mean()))


@dataclass(frozen=True, eq=False)
class _Searched:
    """One connectivity, and which of its vertices are searched."""

    faces: np.ndarray  # [F, 3]
    adjacency: sparse.csr_matrix  # [V, V]
    mean: sparse.csr_matrix  # [V, V], to the neighbours' mean
    chosen: np.ndarray  # [n] indices


def _sweep(
    vertices: np.ndarray, surface: _Searched, pictures: _PackedPhotos, sweep: Sweep, *, check: Check = unchecked
) -> tuple[np.ndarray, np.ndarray]:
    """Where one search moves every vertex along its normal [V, 3], and its confidence [V]."""
    count, chosen, mean = len(vertices), surface.chosen, surface.mean
    normals = _smoothed_normals(vertices, surface.faces, mean, AROUND)
    points, towards = vertices[chosen], normals[chosen]
    views, seen_by, pixel = _visible(points, towards, vertices, surface.faces, pictures)
    offsets = np.linspace(-sweep.reach, sweep.reach, sweep.steps)
    found = np.zeros((len(chosen), sweep.steps), np.float32)
    block = 4096
    for start in range(0, len(chosen), block):
        check()
        part = slice(start, start + block)
        mean_ncc(points[part], towards[part], views[part], seen_by[part], sweep.pixels * pixel[part], offsets,
                 sweep.half, pictures.pixels, pictures.starts, pictures.sizes, pictures.P, found[part])  # fmt: skip
    matched = np.zeros(count, np.float32)
    matched[chosen] = seen_by >= 2
    costs = np.zeros((count, sweep.steps), np.float32)
    costs[chosen] = found
    costs = _aggregated(costs, matched, mean, count / len(chosen), check)
    offset, certainty = _peak(costs, offsets)
    certainty *= matched
    unit = offsets[1] - offsets[0]
    certainty[chosen] *= _neighbour_support(points, towards, offset[chosen] / unit, certainty[chosen])
    # the data's weight grows with the vertices that are searched, the Laplacian's energy of a field does not
    stiffness = sweep.stiffness * len(chosen) / SEARCHED
    offset = _regularised(offset, certainty, surface.adjacency, stiffness, unit, check=check)
    return offset[:, None] * normals, certainty


def _averaging_matrix(adjacency: sparse.csr_matrix) -> sparse.csr_matrix:
    """[V, V] that takes every vertex's value to its neighbours' mean."""
    return (sparse.diags(1 / np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1)) @ adjacency).tocsr()


def _smoothed_normals(vertices: np.ndarray, faces: np.ndarray, mean: sparse.csr_matrix, rounds: int) -> np.ndarray:
    """Unit normals [V, 3] averaged over some rings: neighbours move side by side."""
    normals = vertex_normals(vertices.astype(np.float32), faces).astype(np.float64)
    for _ in range(rounds):
        normals = 0.5 * (normals + mean @ normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _unfolded(
    vertices: np.ndarray, faces: np.ndarray, adjacency: sparse.csr_matrix, mean: sparse.csr_matrix
) -> np.ndarray:
    """Vertices [V, 3] with folds smoothed whose normals have nothing to do with those around: where predicted normals
    contradict each other the carved surface crumples, and moving it along such normals makes spikes of it."""
    own = vertex_normals(vertices.astype(np.float32), faces)
    folded = (own * _smoothed_normals(vertices, faces, mean, 8)).sum(1) < FOLDED
    chosen = (adjacency @ folded.astype(np.float32) > 0) | folded
    if not chosen.any():
        return vertices
    vertices, mean = vertices.copy(), mean[chosen]
    for _ in range(SMOOTHINGS):
        vertices[chosen] += 0.5 * (mean @ vertices - vertices[chosen])
    return vertices


def neighbour_matrix(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """[V, V] 1 where an edge joins two vertices."""
    a, b = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    graph = sparse.coo_matrix((np.ones(len(a), np.float32), (a, b)), shape=(count, count)).tocsr()
    return (graph + graph.T).astype(bool).astype(np.float32)


def _visible(
    points: np.ndarray, normals: np.ndarray, vertices: np.ndarray, faces: np.ndarray, pictures: _PackedPhotos
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most frontal views that see every point [V, m], how many they are [V], and the size of a pixel there [V]."""
    cameras = pictures.cameras
    vertices = vertices.astype(np.float32)

    def faces_it(camera: Camera) -> np.ndarray:  # [V] cosine, -1 where the camera does not see the point
        seen, _ = look(camera, vertices, faces)
        pixels, depth = camera.project(points)
        x, y = np.floor(pixels).astype(np.int64).T
        inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height) & (depth > 0)
        surface = np.zeros(len(points))
        surface[inside] = seen[y[inside], x[inside]]
        sees = (surface > 0) & (np.abs(surface - depth) < DEPTH_TOLERANCE)
        sight = camera.center - points
        cosine = (sight * normals).sum(1) / np.linalg.norm(sight, axis=1)
        return np.where(sees & (cosine > LEAST_COSINE), cosine, -1)

    facing = np.stack(list(side_by_side(faces_it, cameras)), 1)
    order = np.argsort(-facing, axis=1, kind="stable")[:, :MOST_VIEWS]
    counts = (np.take_along_axis(facing, order, 1) > 0).sum(1)
    centers = np.stack([camera.center for camera in cameras])
    focal = np.array([camera.K[0, 0] for camera in cameras])
    pixel = np.linalg.norm(points - centers[order[:, 0]], axis=1) / focal[order[:, 0]]
    return order.astype(np.int64), counts.astype(np.int64), pixel


def _aggregated(
    costs: np.ndarray, known: np.ndarray, mean: sparse.csr_matrix, thinning: float, check: Check
) -> np.ndarray:
    """Costs [V, D] averaged over the surface where they are known; as far for dense meshes as for SEARCHED vertices."""
    mean = mean.astype(np.float32)
    weight = known[:, None]
    for _ in range(round(SPREAD * thinning)):
        check()
        costs, weight = 0.5 * (costs + mean @ costs), 0.5 * (weight + mean @ weight)
    return costs / np.maximum(weight, 1e-3)


def _peak(costs: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The offset [V] of the highest cost, between the steps by a parabola, and how far it stands out [V] 0..1."""
    rows, last = np.arange(len(costs)), costs.shape[1] - 1
    best = costs.argmax(1)
    middle = np.clip(best, 1, last - 1)
    before, at, after = (costs[rows, middle + k] for k in (-1, 0, 1))
    bend = np.minimum(before - 2 * at + after, -1e-6)
    part = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    height = costs[rows, best]
    stands_out = np.clip(height - np.median(costs, axis=1), 0, 1)
    sure = (best > 0) & (best < last) & (height > LEAST_NCC)
    return offsets[middle] + part * (offsets[1] - offsets[0]), np.where(sure, stands_out, 0).astype(np.float32)


def _neighbour_support(points: np.ndarray, normals: np.ndarray, steps: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    """[V] 0..1: which share of the nearest vertices that face the same way were matched within one or two search steps
    of a vertex's own. Where little can be matched, false matches are as sure as true ones, but each for itself: they
    would stand on the surface as pimples."""
    near = cKDTree(points).query(points, SUPPORT + 1)[1][:, 1:]
    near = np.minimum(near, len(points) - 1)  # the tree fills up with len(points) where there are too few
    alike = (normals[near] * normals[:, None]).sum(2) > 0
    agree = np.clip(2 - np.abs(steps[near] - steps[:, None]), 0, 1) * (certainty[near] > 0)
    return (agree * alike).sum(1) / np.maximum(alike.sum(1), SUPPORT / 4)


def _regularised(
    offset: np.ndarray,
    certainty: np.ndarray,
    adjacency: sparse.csr_matrix,
    stiffness: float,
    unit: float,
    *,
    check: Check = unchecked,
) -> np.ndarray:
    """The smooth field [V] that follows sure offsets [V]: argmin of sum w (x - offset)^2 + stiffness sum (x_i - x_j)^2,
    with weights that fall for offsets that stay apart by more than a search step or so."""
    laplacian = sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    stiff = stiffness * laplacian
    x, weight = np.zeros(len(offset)), certainty.astype(np.float64)
    for _ in range(SOLVES):
        check()
        system = (sparse.diags(weight + 1e-5) + stiff).tocsr()
        x, _ = cg(system, weight * offset, x0=x, rtol=1e-3, maxiter=200, M=sparse.diags(1 / system.diagonal()))
        weight = certainty / (1 + ((x - offset) / (OUTLIER * unit)) ** 2)
    return x
