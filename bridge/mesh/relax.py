"""Faces that cross or are turned over take the form that they have in a reference mesh."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..head.canonical import similarity
from .closest import face_normals
from .cotangents import cotangents
from .factor import factor
from .intersections import intersecting_faces

ROUNDS = 8  # each mends one ring more around what is still bad
NEAR, TIED = 2.5, 2.0  # of the reference's units: what lies so near, such as two lips, is mended together
WIDEST = 6  # rings around bad faces that stay mended at most, if that is enough


def relaxed(
    vertices: np.ndarray, reference: np.ndarray, triangles: np.ndarray, judged: np.ndarray
) -> np.ndarray:  # [V, 3] x 2, [T, 3], [T] bool -> [V, 3]
    """The mesh with its bad faces among the judged ones mended where that can be done.

    Around them the vertices are the reference's, brought there by a similarity, plus what interpolates the rest of the
    mesh harmonically. What need not have moved is given back.
    """
    laplacian, _ = cotangents(reference, triangles)
    count = len(vertices)
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    links = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)).tocsr()
    links = ((links + links.T) > 0).astype(float)
    given, best, fewest = vertices, vertices, np.inf
    core = np.zeros(count, bool)
    for turn in range(ROUNDS):
        bad = bad_faces(vertices, reference, triangles) & judged
        if bad.sum() < fewest:
            best, fewest = vertices, bad.sum()
        if not bad.any():
            break
        region = np.zeros(count, bool)
        region[triangles[bad]] = True
        core |= region
        for _ in range(turn):
            region |= (links @ region) > 0
        vertices = _reset(vertices, reference, laplacian, links, region)
    if fewest or not core.any():
        return best
    return _given_back(best, given, _rings(links, core), lambda v: bad_faces(v, reference, triangles) & judged)


def _rings(links: sparse.csr_matrix, core: np.ndarray) -> np.ndarray:  # [V]
    """How many edges each vertex is away from the core, WIDEST where it is more."""
    rings, reached = np.full(len(core), float(WIDEST)), core
    for ring in range(WIDEST):
        rings[reached & (rings == WIDEST)] = ring
        reached = reached | ((links @ reached) > 0)
    return rings


def _given_back(
    mended: np.ndarray, given: np.ndarray, rings: np.ndarray, bad: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """As much of what was given as leaves no face bad, for it lies where the scan is: the fewest rings stay mended,
    of those that suffice the softest transition."""
    for reach in range(1, WIDEST):
        for kept in range(reach):
            share = np.clip((rings - kept) / (reach - kept), 0, 1)[:, None]
            trial = mended + share * (given - mended)
            if not bad(trial).any():
                return trial
    return mended


def bad_faces(vertices: np.ndarray, reference: np.ndarray, triangles: np.ndarray) -> np.ndarray:  # [T] bool
    """Faces that another one passes through, or that look away from where the reference's look (frames aligned)."""
    turned = (face_normals(vertices, triangles) * face_normals(reference, triangles)).sum(1) < -0.2
    return intersecting_faces(vertices, triangles) | turned


def _reset(
    vertices: np.ndarray,
    reference: np.ndarray,
    laplacian: sparse.csr_matrix,
    links: sparse.csr_matrix,
    region: np.ndarray,
) -> np.ndarray:
    result = vertices.copy()
    inside = np.flatnonzero(region)
    near = cKDTree(reference[inside]).query_pairs(NEAR, output_type="ndarray")
    near = inside[near] if len(near) else np.empty((0, 2), np.int64)
    ones = np.ones(len(near))
    tied = sparse.coo_matrix(
        (np.r_[ones, ones], (np.r_[near[:, 0], near[:, 1]], np.r_[near[:, 1], near[:, 0]])), links.shape
    ).tocsr()
    _, label = connected_components((links + tied)[inside][:, inside], directed=False)
    degrees = sparse.diags(np.asarray(tied.sum(1)).ravel())
    laplacian = laplacian + TIED * (degrees - tied)
    for number in range(label.max() + 1):
        own = np.zeros(len(vertices), bool)
        own[inside[label == number]] = True
        rim = ((links @ own) > 0) & ~own
        found = similarity(reference[rim], vertices[rim]) if rim.sum() >= 4 else None
        if found is None:
            continue
        set_there = found.apply(reference)
        rest = vertices - set_there
        result[own] = set_there[own] + factor(laplacian[own][:, own]).solve(-(laplacian[own][:, rim] @ rest[rim]))
    return result
