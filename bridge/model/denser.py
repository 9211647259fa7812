"""A template of four times as many faces: Catmull and Clark's subdivision (1978) of its shape and of all its modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from .template import Template


def denser(template: Template) -> Template:
    """Every face of n corners becomes n quads; vertices keep their numbers, those of edges and faces follow.

    Identities, expressions and landmarks stay what they were, since subdivision is linear.
    """
    step, faces = _subdivision(template.faces, len(template.vertices), smooth=True)
    vertices = step @ template.vertices
    uv, faces_uv = template.uv, np.full_like(faces, -1)
    if len(uv) and (template.faces_uv[:, 0] >= 0).all():
        step_uv, faces_uv = _subdivision(template.faces_uv, len(uv), smooth=False)
        uv = (step_uv @ uv).astype(np.float32)
    whole = _subdivision(template.faces, len(template.vertices), smooth=False)[0]
    first = np.asarray(whole.tocsr().indices[whole.tocsr().indptr[:-1]])  # a vertex that each new one comes from
    return replace(
        template,
        vertices=vertices,
        faces=faces,
        uv=uv,
        faces_uv=faces_uv,
        part=template.part[first],
        mirror=None if template.mirror is None else cKDTree(vertices).query(vertices * [-1, 1, 1])[1].astype(np.int32),
        identity=_modes(step, template.identity),
        expressions=_modes(step, template.expressions),
        regions={name: whole @ inside > 1 - 1e-6 for name, inside in template.regions.items()},
    )


def _modes(step: sparse.csr_matrix, modes: np.ndarray) -> np.ndarray:  # [k, V, 3] -> [k, V', 3] float32
    return np.stack([step @ mode for mode in modes]).astype(np.float32) if len(modes) else modes


def _subdivision(faces: np.ndarray, count: int, *, smooth: bool) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The new points as sums of the old ones [V', V], and the new faces [F', 4]; not smooth: corners stay."""
    sizes = (faces >= 0).sum(1)
    face = np.repeat(np.arange(len(faces)), sizes)
    place = np.arange(len(face)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    corner = faces[face, place].astype(np.int64)
    begin = np.cumsum(sizes) - sizes
    after = begin[face] + (place + 1) % sizes[face]
    before = begin[face] + (place - 1) % sizes[face]
    ends = np.sort(np.stack([corner, corner[after]], 1), 1)
    keys, edge = np.unique(ends[:, 0] * count + ends[:, 1], return_inverse=True)
    a, b = keys // count, keys % count
    middle = _matrix(face, corner, 1 / sizes[face], len(faces), count)
    halfway = _matrix(np.tile(np.arange(len(keys)), 2), np.r_[a, b], np.full(2 * len(keys), 0.5), len(keys), count)
    edges, corners = halfway, sparse.identity(count, format="csr")
    if smooth:
        border = np.bincount(edge) == 1
        across = _matrix(edge, face, np.full(len(face), 0.5), len(keys), len(faces)) @ middle
        edges = sparse.diags(np.where(border, 1.0, 0.5)) @ halfway + sparse.diags(np.where(border, 0.0, 0.5)) @ across
        around = np.maximum(np.bincount(corner, minlength=count), 1)
        faces_of = _matrix(corner, face, 1 / around[corner], count, len(faces)) @ middle
        degree = np.maximum(np.bincount(np.r_[a, b], minlength=count), 1)
        edges_of = _matrix(np.r_[a, b], np.tile(np.arange(len(keys)), 2), 1 / degree[np.r_[a, b]], count, len(keys))
        inner = sparse.diags(1 / around) @ (faces_of + 2 * edges_of @ halfway + sparse.diags(around - 3.0) @ corners)
        rim = np.flatnonzero(border)
        on_rim = np.bincount(np.r_[a[rim], b[rim]], minlength=count)
        one, other = np.r_[a[rim], b[rim]], np.r_[b[rim], a[rim]]
        curve = 0.75 * corners + _matrix(one, other, np.full(len(one), 0.125), count, count)
        used = np.bincount(corner, minlength=count) > 0
        kinds = np.select([~used | ((on_rim != 0) & (on_rim != 2)), on_rim == 2], [0, 1], 2)
        corners = sum(sparse.diags((kinds == k).astype(float)) @ rule for k, rule in enumerate((corners, curve, inner)))
    quads = np.stack([corner, count + edge, count + len(keys) + face, (count + edge)[before]], 1)
    return sparse.vstack([corners, edges, middle]).tocsr(), quads.astype(np.int32)


def _matrix(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, height: int, width: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((values, (rows, columns)), (height, width))
