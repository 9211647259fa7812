"""Faces that cross or are turned over take the form that they have in a reference mesh."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..head.canonical import similarity
from .closest import face_normals
from .cotangents import cotangents
from .factor import factor
from .intersections import intersecting_faces

ROUNDS = 6
NEAR, TIED = 2.5, 2.0  # of the reference's units: what lies so near, such as two lips, is mended together
RINGS = 2  # around a bad face in the first round, one more in each that follows


def relaxed(
    vertices: np.ndarray, reference: np.ndarray, triangles: np.ndarray, judged: np.ndarray
) -> np.ndarray:  # [V, 3] x 2, [T, 3], [T] bool -> [V, 3]
    """The mesh with its bad faces among the judged ones mended where that can be done.

    Around them the vertices are the reference's, brought there by a similarity, plus what interpolates the rest of the
    mesh harmonically.
    """
    laplacian, _ = cotangents(reference, triangles)
    count = len(vertices)
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    links = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)).tocsr()
    links = ((links + links.T) > 0).astype(float)
    best, fewest = vertices, np.inf
    for turn in range(ROUNDS):
        bad = bad_faces(vertices, reference, triangles) & judged
        if bad.sum() < fewest:
            best, fewest = vertices, bad.sum()
        if not bad.any():
            break
        region = np.zeros(count, bool)
        region[triangles[bad]] = True
        for _ in range(RINGS + turn):
            region |= (links @ region) > 0
        vertices = _reset(vertices, reference, laplacian, links, region)
    return best


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
