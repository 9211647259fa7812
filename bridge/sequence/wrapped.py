"""Frames that were each reconstructed and wrapped on their own, as motion and shapes of the first of them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..head.canonical import similarity
from .identity import Identity
from .track import EXPRESSION_SIGMA, PATCH, Pose, bounded, rigid

ROUNDS = 5
NOISE = 0.2  # of a wrapped vertex, in edges


def pose_of(identity: Identity, vertices: np.ndarray) -> Pose:
    """The head's motion and the shapes' weights [m] that explain a wrapped frame [V, 3] best."""
    centre = identity.centre
    skull = identity.follows & ~identity.face
    found = similarity(identity.neutral[skull], vertices[skull])
    R = np.eye(3) if found is None else found.rotation
    t = (vertices[skull] - (identity.neutral[skull] - centre) @ R.T - centre).mean(0)
    chosen = np.flatnonzero(identity.follows)
    basis = identity.shapes[:, chosen].transpose(1, 2, 0).astype(np.float64)  # [n, 3, m]
    weights = np.zeros(len(identity.shapes))
    trust = PATCH / (NOISE * identity.size) ** 2
    nothing_held = np.zeros(len(weights), bool)
    for _ in range(ROUNDS):
        shape = identity.posed(weights)[chosen]
        J = np.concatenate([rigid(shape - centre), basis], 2).reshape(-1, 6 + len(weights))
        error = shape - unposed(identity, Pose(R, t, weights), vertices)[chosen]
        A, b = trust * J.T @ J, trust * J.T @ error.ravel()
        A[6:, 6:] += np.eye(len(weights)) / EXPRESSION_SIGMA**2
        b[6:] += weights / EXPRESSION_SIGMA**2
        step = bounded(A, b, weights, nothing_held)
        t = t + R @ step[3:6]
        R = R @ Rotation.from_rotvec(step[:3]).as_matrix()
        weights = np.clip(weights + step[6:], 0, 1)
    return Pose(R, t, weights)


def unposed(identity: Identity, pose: Pose, vertices: np.ndarray) -> np.ndarray:  # [V, 3] -> [V, 3]
    """World positions of a frame in the head's own frame."""
    return (vertices - identity.centre - pose.t) @ pose.R + identity.centre
