"""Every vertex: from the fitted person to the scan, as smooth as the scan allows.

The displacement d of the skin minimises, over the surface, the distance to the scan's planes both ways plus
stretch * |grad d|^2 plus bend^4 * |laplace d|^2. Lengths in millimetres: what is smaller than `bend` is left to the
template, so the rounds go from large to small (Amberg et al., Optimal Step Nonrigid ICP, 2007, without its ICP basis:
the cotangent Laplacian, so that the answer does not depend on how fine the template is).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree

from ..errors import Check, unchecked
from ..head.canonical import similarity
from ..head.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER
from ..mesh.closest import Target, face_normals
from ..mesh.cotangents import cotangents
from ..mesh.distance import sample_surface
from ..mesh.factor import factor
from ..mesh.normals import vertex_normals
from ..mesh.topology import morton_order
from ..model import Template
from .conformal import Angles
from .fit import HAIR_MM, HAIR_SHARE, mouth_closed
from .regions import Regions, lip_pairs
from .scan import LEAST_COSINE, REACH, Scan, Surface

BACK_SAMPLES = 12_000  # scan points that look for the template


@dataclass(frozen=True)
class Round:
    """One round of closest points and the solve that follows."""

    bend: float  # mm
    stretch: float  # mm^2
    width: float  # mm, of the robust weights


ROUNDS = (
    Round(16.0, 3.0, 6.0),
    Round(9.0, 1.2, 4.0),
    Round(6.0, 0.6, 3.0),
    Round(4.0, 0.3, 2.0),
    Round(2.7, 0.2, 1.5),
    Round(2.0, 0.1, 1.5),
    Round(1.4, 0.05, 1.2),
)
SKULL_BEND, NECK_BEND = 14.0, 5.0  # mm: a skull under hair, a neck under clothes are smooth, whatever lies on them
WALL_MM, WALL = 8.0, 2.0  # unseen skin so near seen skin moves with it: nostrils, lids and lips keep their thickness
SEALED = 30.0  # weight of two lips that touch, beside the Laplacian's of about 1
PICKED, CONTOUR = 200.0, 0.5  # pull of a landmark that a hand has set, and of a contour's per mm^2 of doubt; see area
RIGID, LEAST_RIGID = 2.0, 4  # pull of rigid vertices to where their body is, beside the data's of 1; vertices of a body
RESIDUAL = 1e-2  # of a round's solve: the next round asks for new closest points anyway
# larger over smaller stretch of a triangle against the template, that costs nothing; weight of what is beyond it
# and beyond what the fitted person has there: people are stretched up to 3 themselves
MOST_STRETCHED, ANGLES = 2.0, 10.0
HELD = 2e-4  # pull of every vertex to the fitted person: decides only where nothing else does
COVERED_HELD = (
    0.1  # the same of skull and neck where hair, clothes or nothing is seen: what lies on them drags the skin
)


def deform(
    template: Template,
    regions: Regions,
    scan: Scan,
    start: np.ndarray,  # [V, 3]
    *,
    outside: bool = False,
    rigid: Sequence[np.ndarray] = (),
    rounds: tuple[Round, ...] = ROUNDS,
    check: Check = unchecked,
) -> np.ndarray:  # [V, 3]
    """The skin's vertices on the scan, both in the template's frame; all other parts stay where start has them.

    rigid: sets of vertices [V] bool that turn, move and grow but keep their shape.
    """
    index = np.flatnonzero(regions.skin)
    place = np.full(len(start), -1, np.int64)
    place[index] = np.arange(len(index))
    skin_triangles = place[template.triangles_of("skin")]
    base = start[index]
    laplacian, area = cotangents(base, skin_triangles)
    shown = np.flatnonzero(regions.exposed[index])
    shown = shown[morton_order(base[shown])]  # neighbours walk through the same boxes
    walls = _walls(base, exposed := regions.exposed[index])
    seal, gaps = _lips(template, regions, scan, place, base)
    surface = Surface(scan)
    samples = _Samples(scan, surface, template, regions, place, outside=outside)
    marks = _marks(template, scan, place, start)
    covered = (~(regions.face | regions.ears))[index] & (not outside)
    smooth = np.where(covered, np.where(regions.neck[index], NECK_BEND, SKULL_BEND), 0.0)
    moved = np.zeros_like(base)
    kept = [np.flatnonzero(chosen[index]) for chosen in rigid if chosen[index].sum() >= LEAST_RIGID]
    angles = Angles(template.vertices[index], skin_triangles[exposed[skin_triangles].all(1)])
    most = np.maximum(MOST_STRETCHED, angles.of(base))
    for now in rounds:
        check()
        shape = base + moved
        normals = vertex_normals(shape, skin_triangles).astype(np.float64)
        there, direction, sure, bare = shape.copy(), np.zeros_like(shape), np.zeros(len(shape)), np.ones(len(shape))
        found = surface.nearest(shape[shown], normals[shown], REACH * now.width)
        there[shown], direction[shown], sure[shown], bare[shown] = found
        gap = ((shape - there) * direction).sum(1)
        hair = covered & (gap < 0)
        wide = np.where(hair, np.minimum(HAIR_SHARE * now.width, HAIR_MM), now.width)
        far = np.linalg.norm(shape - there, axis=1)
        weight = exposed * sure * np.where(hair, bare**2, 1) * area / (1 + (far / wide) ** 2) ** 2
        held = HELD + COVERED_HELD * (covered & exposed) * (1 - bare * (sure > 0)) ** 2
        bend = np.maximum(now.bend, smooth) ** 4
        stiffness = now.stretch * laplacian + laplacian @ sparse.diags(bend / area) @ laplacian
        stiffness = stiffness + sparse.diags(held * area) + WALL * walls.T @ walls + SEALED * seal.T @ seal
        pull = SEALED * (seal.T @ gaps)
        bent, asked = angles.rows(shape, most)
        stiffness, pull = stiffness + ANGLES * bent, pull + ANGLES * (asked - bent @ base)
        for chosen in kept:
            stiff = np.zeros(len(base))
            stiff[chosen] = RIGID * area[chosen]
            stiffness = stiffness + sparse.diags(stiff)
            pull[chosen] += stiff[chosen, None] * _rigidly(base, moved, chosen)
        rows, offsets, pulls = samples.rows(shape, start, place, now.width)
        offsets = offsets + rows @ moved.ravel()
        rows, offsets, pulls = sparse.vstack([rows, marks[0]]).tocsr(), np.r_[offsets, marks[1]], np.r_[pulls, marks[2]]
        own = (direction, (direction * (there - base)).sum(1), weight)
        moved = _solve(stiffness, pull, own, (rows, offsets, pulls), moved)
    for chosen in kept:
        moved[chosen] = _rigidly(base, moved, chosen)
    result = start.copy()
    result[index] = base + moved
    return result


def _rigidly(base: np.ndarray, moved: np.ndarray, chosen: np.ndarray) -> np.ndarray:  # [n, 3] displacements
    """How the chosen vertices move as one body that may grow: the similarity nearest to how they have moved."""
    found = similarity(base[chosen], (base + moved)[chosen])
    return moved[chosen] if found is None else found.apply(base[chosen]) - base[chosen]


class _Samples:
    """Points of the scan, each of which looks for its plane of the template."""

    def __init__(
        self,
        scan: Scan,
        surface: Surface,
        template: Template,
        regions: Regions,
        place: np.ndarray,
        *,
        outside: bool = False,
    ) -> None:
        self.points, face = sample_surface(scan.vertices, scan.faces, BACK_SAMPLES, seed=0)
        corners = scan.faces[face]
        normals = surface.normals[corners].mean(1)
        self.normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        a, b, c = (scan.vertices[scan.faces[:, k]] for k in range(3))
        share = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 / BACK_SAMPLES
        self.sure = scan.confidence[corners].mean(1) * share
        self.bare = surface.bare[corners].mean(1)
        self.triangles = template.triangles_of("skin", "eye_left", "eye_right")
        self.counts = regions.exposed[self.triangles].all(1)
        self.one_sided = (~(regions.face | regions.ears))[self.triangles].any(1) & (not outside)
        self.target = Target(template.vertices, self.triangles)
        self.moves = place[self.triangles]

    def rows(
        self, shape: np.ndarray, start: np.ndarray, place: np.ndarray, width: float
    ) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        """J [n, 3 skin vertices], what is missing to the planes [n], and weights [n]."""
        everything = start.copy()
        everything[place >= 0] = shape
        self.target.move(everything)
        planes = face_normals(everything, self.triangles)
        hit = self.target.closest(self.points, self.normals, planes, LEAST_COSINE, REACH * width)
        there = hit.of(everything, self.triangles)
        direction = planes[hit.face]
        gap = ((there - self.points) * direction).sum(1)
        hair = self.one_sided[hit.face] & (gap < 0)
        wide = np.where(hair, np.minimum(HAIR_SHARE * width, HAIR_MM), width)
        weight = (
            self.sure * np.where(hair, self.bare**2, 1) * self.counts[hit.face] / (1 + (hit.distance / wide) ** 2) ** 2
        )
        use = np.flatnonzero(np.isfinite(hit.distance) & (weight > 1e-4 * self.sure.max()))
        corners, shares = self.moves[hit.face[use]], hit.weights[use]
        values = shares[:, :, None] * direction[use, None, :]  # [n, 3 corners, 3 axes]
        columns = 3 * corners[:, :, None] + np.arange(3)
        rows = np.repeat(np.arange(len(use)), 9)
        J = sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), (len(use), 3 * int((place >= 0).sum())))
        return J, -gap[use], weight[use]


def _walls(base: np.ndarray, exposed: np.ndarray) -> sparse.csr_matrix:  # [n, skin vertices]
    """Differences between unseen vertices and the seen ones next to them, through the flesh."""
    inner, outer = np.flatnonzero(~exposed), np.flatnonzero(exposed)
    if not len(inner) or len(outer) < 3:
        return sparse.csr_matrix((0, len(base)))
    far, which = cKDTree(base[outer]).query(base[inner], 3)
    near = far < WALL_MM
    a, b = np.repeat(inner, 3)[near.ravel()], outer[which[near]]
    n = len(a)
    share = np.sqrt(1 - far[near] / WALL_MM)
    return sparse.csr_matrix((np.r_[share, -share], (np.r_[:n, :n], np.r_[a, b])), (n, len(base)))


def _marks(
    template: Template, scan: Scan, place: np.ndarray, start: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Landmarks as rows J [n, 3 skin vertices] of displacements, what those must be [n], and weights [n].

    What a hand has set is held as a point; the contours of lips and lids that the photographs show as lines, across
    which their points are held and along which they slide; all others say less than the surface does.
    """
    marks = template.landmarks
    assert marks is not None  # fit() has asked
    now = marks.points(start)
    usable = np.isfinite(scan.sigma) & (place[marks.corners] >= 0).all(1)
    gap = np.where(usable[:, None], scan.landmarks - now, 0)
    far = np.linalg.norm(gap, axis=1)
    usual = 3 * np.median(far[usable]) + 1 if usable.any() else 1.0
    doubt = np.where(usable, scan.sigma**2, 1.0) + marks.spread**2 + 1
    numbers, axes, weights = [], [], []
    for number in np.flatnonzero(usable & (scan.sigma == 0)):
        numbers += [number] * 3
        axes += list(np.eye(3))
        weights += [PICKED] * 3
    for line in (LIPS_OUTER, LIPS_INNER, EYE_LEFT, EYE_RIGHT):
        ring = np.array(line)
        along = np.roll(scan.landmarks[ring], -1, 0) - np.roll(scan.landmarks[ring], 1, 0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        for number, way in zip(ring, along, strict=True):
            if usable[number] and scan.sigma[number] > 0 and np.isfinite(way).all():
                numbers += [number] * 2
                axes += list(np.linalg.svd(way[None])[2][1:])  # two directions across
                weights += [CONTOUR / doubt[number] / (1 + (far[number] / usual) ** 2) ** 2] * 2
    chosen, across = np.array(numbers, np.int64), np.array(axes).reshape(-1, 3)
    values = marks.weights[chosen][:, :, None] * across[:, None, :]  # [n, 3 corners, 3 axes]
    columns = 3 * place[marks.corners[chosen]][:, :, None] + np.arange(3)
    count = 3 * int((place >= 0).sum())
    J = sparse.csr_matrix(
        (values.ravel(), (np.repeat(np.arange(len(chosen)), 9), columns.ravel())), (len(chosen), count)
    )
    return J, (gap[chosen] * across).sum(1), np.array(weights)


def _lips(
    template: Template, regions: Regions, scan: Scan, place: np.ndarray, base: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Differences [n, skin vertices] of lips that lie on each other, and what displacements must add [n, 3] for it."""
    pairs = lip_pairs(template, regions) if mouth_closed(scan) else np.empty((0, 2), np.int64)
    n = len(pairs)
    upper, lower = place[pairs].T.reshape(2, n)
    ones = (np.r_[np.ones(n), -np.ones(n)], (np.r_[:n, :n], np.r_[upper, lower]))
    closed = template.vertices[pairs[:, 0]] - template.vertices[pairs[:, 1]]
    return sparse.csr_matrix(ones, (n, len(base))), closed - (base[upper] - base[lower])


def _solve(
    stiffness: sparse.spmatrix,
    pull: np.ndarray,  # [n, 3] of the stiffness's own targets
    own: tuple[np.ndarray, np.ndarray, np.ndarray],  # planes of vertices: directions [n, 3], distances, weights [n]
    others: tuple[sparse.csr_matrix, np.ndarray, np.ndarray],  # scan points: J [k, 3n], distances, weights [k]
    start: np.ndarray,
) -> np.ndarray:  # [n, 3]
    """Conjugate gradients, preconditioned by the system in which data pull all ways alike."""
    (direction, distance, weight), (rows, offsets, pulls) = own, others
    count = len(direction)
    blocks = weight[:, None, None] * direction[:, :, None] * direction[:, None, :]
    diagonal = sparse.bsr_matrix((blocks, np.arange(count), np.arange(count + 1)), shape=(3 * count, 3 * count))
    weighted = sparse.diags(pulls) @ rows
    data = diagonal.tocsr() + rows.T @ weighted
    A = data + sparse.kron(stiffness, sparse.eye(3), "csr")
    right = pull + (weight * distance)[:, None] * direction
    right = right.ravel() + weighted.T @ offsets
    even = data.diagonal().reshape(-1, 3).mean(1)
    lu = factor(stiffness + sparse.diags(even))
    inverse = LinearOperator(A.shape, matvec=lambda x: lu.solve(x.reshape(-1, 3)).ravel())
    found, _ = cg(A, right, start.ravel(), rtol=RESIDUAL, maxiter=60, M=inverse)
    return found.reshape(-1, 3)
