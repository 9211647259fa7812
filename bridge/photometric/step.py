"""One step of all vertices along their normals: the photographs' evidence against the bending of the surface.

    sum_v (information d^2 / 2 - force d) + BENDING / 2 * integral (mean curvature after the step - its local mean)^2 dA

The second term is what is known of a surface without photographs: it does not change its curvature from place to place
without a reason. Both terms are per area and in lengths, so where the information of the pixels is the stronger the
surface follows them down to few pixels, and where they are silent down to REACH only; the number of vertices does not
matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from ..mesh.normals import vertex_normals

ROUNDS = 2  # of averaging of the normals along which vertices move
HEXAGON = np.sqrt(3) / 2  # area of a vertex of a regular triangle mesh with edges of 1
MOST_ROUNDS = 400


@dataclass(frozen=True, eq=False)
class Bending:
    """The bending energy of one connectivity, and where its vertices move."""

    normals: np.ndarray  # [V, 3] unit
    system: sparse.csr_matrix  # [V, V]
    pull: np.ndarray  # [V]: minus the gradient at rest
    edges: np.ndarray  # [V] mean edge length

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, strength: float, reach: float, sharp: float) -> Bending:
        """The energy about the surface as it is.

        strength: dimensionless; reach: length over which the local mean of the curvature is taken; sharp: curvature
        beside its local mean from which the energy gives way (Geman and McClure): a lip is no noise.
        """
        mean, edges = averaging(vertices, faces)
        normals = vertex_normals(vertices.astype(np.float32), faces).astype(np.float64)
        for _ in range(ROUNDS):
            normals = 0.5 * (normals + mean @ normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        laplacian = sparse.identity(len(vertices), format="csr") - mean
        edge = mean @ edges
        curvature = 4 * ((laplacian @ vertices) * normals).sum(1) / edge**2
        rounds = int(min(MOST_ROUNDS, np.ceil(2 * (reach / np.median(edge)) ** 2)))
        local = curvature.copy()
        for _ in range(rounds):
            local = 0.5 * (local + mean @ local)
        weight = strength * HEXAGON * edge**2  # area
        off = (curvature - local) ** 2
        for _ in range(2):
            off = 0.5 * (off + mean @ off)
        weight = weight / (1 + off / sharp**2)
        to_curvature = sparse.diags(4 / edge**2) @ laplacian
        system = (to_curvature.T @ sparse.diags(weight) @ to_curvature).tocsr()
        return cls(normals, system, -(to_curvature.T @ (weight * (curvature - local))), edges)


def averaging(vertices: np.ndarray, faces: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """[V, V] that takes every vertex's value to its neighbours' mean, and the mean edge length [V]."""
    a, b = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    V = len(vertices)
    lengths = np.linalg.norm(vertices[a] - vertices[b], axis=1)
    count = np.bincount(a, minlength=V) + np.bincount(b, minlength=V)
    edges = (np.bincount(a, lengths, V) + np.bincount(b, lengths, V)) / np.maximum(count, 1)
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(V, V)).tocsr()
    graph = (graph + graph.T).tocsr()
    graph.data[:] = 1.0
    degree = np.asarray(graph.sum(1)).ravel()
    return (sparse.diags(1 / np.maximum(degree, 1)) @ graph).tocsr(), edges


def solve(
    information: np.ndarray, force: np.ndarray, bending: Bending, farthest: float, anchor: float
) -> np.ndarray:  # [V]
    """Motions along the normals, at most farthest.

    The diagonal of the Gauss-Newton system is that of vertices that move alone; neighbours move together, and windows
    normalise part of that away, so a step goes about a sixth of the way. That is wanted: with steps four times as long
    plain skin followed its noise (valid_wf2 2.14 -> 2.23 degrees, nefertiti 3.98 -> 4.41).

    information, force [V]: of the photographs; anchor: information per area that every place has about staying, so
    that broad shapes hold where photographs are silent.
    """
    staying = anchor * HEXAGON * bending.edges**2
    system = (bending.system + sparse.diags(information + staying)).tocsr()
    preconditioner = sparse.diags(1 / system.diagonal())
    found, _ = cg(system, force + bending.pull, rtol=1e-3, maxiter=400, M=preconditioner)
    return np.clip(found, -farthest, farthest)
