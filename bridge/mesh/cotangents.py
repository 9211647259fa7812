"""The cotangent Laplacian of an open or closed triangle mesh as a sparse matrix."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def cotangents(vertices: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The cotangent Laplacian (positive semidefinite, its weights kept above a small share of 1) and vertex areas."""
    count = len(vertices)
    rows, columns, values = [], [], []
    area = np.zeros(count)
    for k in range(3):
        a, b, c = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        u, v = vertices[b] - vertices[a], vertices[c] - vertices[a]
        double = np.linalg.norm(np.cross(u, v), axis=1)
        cot = np.clip((u * v).sum(1) / np.maximum(double, 1e-12), 0.05, 5.0) / 2
        rows += [b, c]
        columns += [c, b]
        values += [cot, cot]
        np.add.at(area, a, double / 6)
    W = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count))
    laplacian = sparse.diags(np.asarray(W.sum(1)).ravel()) - W
    return laplacian.tocsr(), np.maximum(area, 1e-3 * np.median(area))
