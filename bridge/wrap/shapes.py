"""The template's expressions carried to another face by deformation transfer (Sumner and Popovic, 2004).

Each triangle turns and stretches as the template's does; the vertices that follow best solve a Poisson equation with
one factorisation for all shapes (Botsch et al., "Deformation Transfer for Detail-Preserving Surface Editing", 2006).
What touches in the template's shape, such as two lids, touches in the other too: pairs of vertices are held together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ..capture.cameras import Similarity
from ..errors import Check, unchecked
from ..mesh.cotangents import cotangents
from ..mesh.factor import factor
from ..model import Template
from .parts import Ball, off_the_eyes
from .regions import Regions

STILL_MM = 0.01  # a vertex that the template's shape moves less stays
OWN_PULL = 1e-3  # of each vertex to the template's own displacement, scaled: keeps what nothing else holds
APART_MM, TOUCHING_MM = 2.5, 1.6  # vertices of two lids: apart in the neutral, touching in the shape
HELD = 50.0  # weight of a pair that touches, beside the Laplacian's weights of about 1
CLOSING = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Vertices that meet in a shape: upper[i] lies on lower[i]."""

    upper: np.ndarray  # [n]
    lower: np.ndarray  # [n]


def transfer(
    template: Template,
    regions: Regions,
    vertices: np.ndarray,  # [V, 3] the other face, parts placed
    moves: Mapping[str, Similarity],  # part -> from the fitted person to its place
    eyes: list[Ball],
    *,
    check: Check = unchecked,
) -> np.ndarray:  # [m, V, 3] float32 displacements from vertices
    """Every expression of the template on another face."""
    skin = np.flatnonzero(regions.skin)
    place = np.full(len(vertices), -1, np.int64)
    place[skin] = np.arange(len(skin))
    triangles = place[template.triangles_of("skin")]
    source, target = template.vertices[skin], vertices[skin]
    laplacian, area = cotangents(target, triangles)
    deltas = template.expressions[:, skin].astype(np.float64)
    still = np.linalg.norm(deltas, axis=2) < STILL_MM  # [m, n]
    size = _sizes(source, target, triangles)
    pull = OWN_PULL * area / area.mean() + 1e3 * still.all(0)
    system = laplacian + sparse.diags(pull)
    lu = factor(system)
    frames = _inverse_frames(source, triangles)
    result = np.zeros((len(deltas), len(vertices), 3), np.float32)
    for shape, delta in enumerate(deltas):
        check()
        if still[shape].all():
            _parts(template, shape, moves, result)
            continue
        turned = delta.any(1)[triangles].any(1)  # the others say nothing
        right = _divergence(source + delta, target, triangles[turned], frames[turned]) + (pull * size)[:, None] * delta
        moved = lu.solve(right)
        if template.expression_names[shape] in CLOSING:
            pairs = _pairs(template, regions, skin, delta)
            moved = _closed(system, right, target, moved, pairs)
        fade = np.clip(np.linalg.norm(delta, axis=1) / STILL_MM - 1, 0, 4) / 4
        result[shape, skin] = moved * fade[:, None]
        if template.expression_names[shape] in CLOSING:
            out = off_the_eyes(template, regions, vertices + result[shape], eyes)
            result[shape, skin] = (out - vertices)[skin]
        _parts(template, shape, moves, result)
    return result


def _parts(template: Template, shape: int, moves: Mapping[str, Similarity], result: np.ndarray) -> None:
    for name, move in moves.items():
        part = template.of_part(name)
        own = template.expressions[shape][part].astype(np.float64)
        result[shape, part] = move.scale * own @ move.rotation.T
    lashes = template.of_part("lashes", "other")
    result[shape, lashes] = template.expressions[shape][lashes]


def _sizes(source: np.ndarray, target: np.ndarray, triangles: np.ndarray) -> np.ndarray:  # [n]
    """How much larger the other face is around each vertex, by edges."""
    total = np.zeros((len(source), 2))
    for k in range(3):
        a, b = triangles[:, k], triangles[:, (k + 1) % 3]
        for column, points in enumerate((source, target)):
            length = np.linalg.norm(points[a] - points[b], axis=1)
            np.add.at(total[:, column], a, length)
            np.add.at(total[:, column], b, length)
    return np.clip(total[:, 1] / np.maximum(total[:, 0], 1e-9), 0.3, 3.0)


def _frames(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:  # [t, 3, 3] columns: two edges and a normal
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    normal = np.cross(u, v)
    normal /= np.sqrt(np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))
    return np.stack([u, v, normal], 2)


def _inverse_frames(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    frames = _frames(vertices, triangles)
    flat = np.abs(np.linalg.det(frames)) < 1e-9
    frames[flat] = np.eye(3)
    return np.linalg.inv(frames)


def _divergence(
    shaped: np.ndarray, target: np.ndarray, triangles: np.ndarray, inverse: np.ndarray
) -> np.ndarray:  # [n, 3]
    """What the Laplacian of the displacement should be, were every triangle changed as the template's is."""
    change = _frames(shaped, triangles) @ inverse - np.eye(3)
    change[np.abs(change).max((1, 2)) > 20] = 0.0  # of triangles without area
    right = np.zeros_like(target)
    for k in range(3):
        a, b, c = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        u, v = target[b] - target[a], target[c] - target[a]
        double = np.linalg.norm(np.cross(u, v), axis=1)
        cot = np.clip((u * v).sum(1) / np.maximum(double, 1e-12), 0.05, 5.0) / 2
        flux = cot[:, None] * np.einsum("tij,tj->ti", change, target[b] - target[c])
        np.add.at(right, b, flux)
        np.add.at(right, c, -flux)
    return right


def _pairs(template: Template, regions: Regions, skin: np.ndarray, delta: np.ndarray) -> Pairs:
    """Of every moved lid vertex the one of the other lid that it comes to lie on."""
    lids = np.flatnonzero(regions.lids[skin])
    neutral, shaped = template.vertices[skin][lids], template.vertices[skin][lids] + delta[lids]
    moving = np.linalg.norm(delta[lids], axis=1) > 2.0
    tree = cKDTree(shaped[~moving])
    far, which = tree.query(shaped[moving])
    upper, lower = lids[moving], lids[~moving][np.minimum(which, (~moving).sum() - 1)]
    apart = np.linalg.norm(neutral[moving] - template.vertices[skin][lower], axis=1)
    # the margin itself: of all vertices that come near one below, the lowest of the upper lid
    touching = (far < TOUCHING_MM) & (apart > APART_MM)
    return Pairs(upper[touching], lower[touching])


def _closed(
    system: sparse.spmatrix, right: np.ndarray, target: np.ndarray, moved: np.ndarray, pairs: Pairs
) -> np.ndarray:
    """The shape once more with each pair held together at the height where its lower vertex is."""
    if not len(pairs.upper):
        return moved
    n = len(pairs.upper)
    C = sparse.csr_matrix(
        (np.r_[np.ones(n), -np.ones(n)], (np.r_[:n, :n], np.r_[pairs.upper, pairs.lower])), (n, len(target))
    )
    gap = target[pairs.lower] - target[pairs.upper]
    return factor(system + HELD * C.T @ C).solve(right + HELD * (C.T @ gap))
