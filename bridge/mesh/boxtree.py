"""A tree of boxes over Morton-sorted faces: what finds crossing faces and closest points without a library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from .topology import morton_order

STACK = 64  # open nodes of a walk through the tree: more than its depth, whatever the mesh


@dataclass(frozen=True, eq=False)
class BoxTree:
    """boxes [2 * leaves, 6] low and high corners: node 1 is the root, node i has the children 2i and 2i + 1, and node
    leaves + k is the face order[k]; the boxes of the nodes after the last face hold nothing."""

    order: np.ndarray  # [F] int64
    leaves: int
    boxes: np.ndarray  # [2 * leaves, 6] of the vertices' type

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray) -> BoxTree:  # [V, 3], [F, 3]
        order = morton_order(vertices[faces].mean(1))
        leaves = 1
        while leaves < len(faces):
            leaves *= 2
        tree = cls(order, leaves, np.empty((2 * leaves, 6), vertices.dtype))
        tree.refit(vertices, faces)
        return tree

    def refit(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Fits the boxes to moved vertices; the order stays, so they had better move little."""
        _fit_leaves(vertices, faces, self.order, self.leaves, self.boxes)
        _fit_nodes(self.leaves, self.boxes)


@njit(parallel=True, cache=True)
def _fit_leaves(vertices, faces, order, leaves, boxes):
    for k in prange(leaves):
        node = leaves + k
        for d in range(3):
            boxes[node, d] = np.inf
            boxes[node, d + 3] = -np.inf
        if k < order.shape[0]:
            for c in range(3):
                for d in range(3):
                    x = vertices[faces[order[k], c], d]
                    boxes[node, d] = min(boxes[node, d], x)
                    boxes[node, d + 3] = max(boxes[node, d + 3], x)


@njit(cache=True)
def _fit_nodes(leaves, boxes):
    for node in range(leaves - 1, 0, -1):
        for d in range(3):
            boxes[node, d] = min(boxes[2 * node, d], boxes[2 * node + 1, d])
            boxes[node, d + 3] = max(boxes[2 * node, d + 3], boxes[2 * node + 1, d + 3])
