"""Landmarks of several views as points in space: robust, weighed by how frontal each view is, uncertainty kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from .landmarks import COUNT, PRESENT, Face

ROUNDS = 12
LEAST_FRONTAL = 0.05  # the far half of a profile is guessed, not seen


@dataclass(frozen=True, eq=False)
class Landmarks:
    """468 points in the capture's world."""

    points: np.ndarray  # [468, 3]
    sigma: np.ndarray  # [468] world units: standard deviation of each point, inf where it is not known
    views: tuple[str, ...]  # names of the views that show the face
    error_px: float  # median reprojection error

    @property
    def known(self) -> np.ndarray:  # [468] bool
        return np.isfinite(self.sigma)


def triangulate(cameras: Sequence[Camera], faces: Sequence[Face | None]) -> Landmarks | None:
    """The points that the views agree on; None where fewer than two views show a face.

    First by linear least squares (Hartley and Zisserman, 12.2), then Gauss-Newton on the reprojection errors with
    Geman and McClure's weights, whose width is the usual error of the view: views from the side err most.
    """
    shown = [(camera, face) for camera, face in zip(cameras, faces, strict=True) if face is not None and _shows(face)]
    if len(shown) < 2:
        return None
    pixels = np.stack([face.points[:, :2] for _, face in shown])  # [m, 468, 2]
    frontal = np.stack([np.maximum(face.frontal, LEAST_FRONTAL) ** 2 * face.presence for _, face in shown])
    points = _linear([camera for camera, _ in shown], pixels, frontal)
    size = np.array([np.ptp(face.points[:, 0]) + np.ptp(face.points[:, 1]) for _, face in shown]) / 200
    for _ in range(ROUNDS):
        errors, jacobians = _residuals([camera for camera, _ in shown], pixels, points)
        length = np.linalg.norm(errors, axis=2)  # [m, 468]
        width = np.maximum(1.5 * np.median(length, axis=1), size)[:, None]
        weights = frontal / (1 + (length / width) ** 2) ** 2 / width**2
        normal = np.einsum("mn,mnij,mnik->njk", weights, jacobians, jacobians)
        right = np.einsum("mn,mnij,mni->nj", weights, jacobians, errors)
        points = points - np.linalg.solve(normal + 1e-12 * _trace(normal), right[..., None])[..., 0]
    errors, _ = _residuals([camera for camera, _ in shown], pixels, points)
    length = np.linalg.norm(errors, axis=2)
    # unit weight: what the errors really are, in their own widths; never better than half of the usual
    usual = (weights * length**2).sum(0) / np.maximum((weights > 0).sum(0), 1)
    covariance = np.linalg.inv(normal + 1e-12 * _trace(normal))
    sigma = np.sqrt(np.trace(covariance, axis1=1, axis2=2) * np.maximum(usual, 0.1))
    names = tuple(camera.name for camera, _ in shown)
    return Landmarks(points, np.where(np.isfinite(sigma), sigma, np.inf), names, float(np.median(length)))


def _shows(face: Face | None) -> bool:
    return face is not None and face.presence > PRESENT


def _linear(cameras: Sequence[Camera], pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:  # [468, 3]
    rows = np.empty((len(cameras), 2, COUNT, 4))
    centre = np.mean([camera.center for camera in cameras], axis=0)  # near 0, so that the fourth number is well scaled
    for i, camera in enumerate(cameras):
        local = camera.transformed(1.0, np.eye(3), -centre)
        P = local.K @ np.c_[local.R, local.t]
        for axis in range(2):
            row = pixels[i, :, axis, None] * P[2] - P[axis]
            rows[i, axis] = row / np.linalg.norm(row[:, :3], axis=1, keepdims=True) * np.sqrt(weights[i])[:, None]
    system = np.einsum("mkni,mknj->nij", rows, rows)
    return np.linalg.solve(system[:, :3, :3] + 1e-12 * _trace(system[:, :3, :3]), -system[:, :3, 3:])[..., 0] + centre


def _residuals(cameras: Sequence[Camera], pixels: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors [m, 468, 2] in pixels and their Jacobians [m, 468, 2, 3]."""
    errors, jacobians = [], []
    for camera, seen in zip(cameras, pixels, strict=True):
        local = points @ camera.R.T + camera.t
        z = np.where(np.abs(local[:, 2]) < 1e-9, 1e-9, local[:, 2])
        x, y = local[:, 0] / z, local[:, 1] / z
        K = camera.K
        errors.append(np.stack([K[0, 0] * x + K[0, 1] * y + K[0, 2], K[1, 1] * y + K[1, 2]], 1) - seen)
        zero, one = np.zeros_like(z), 1 / z
        d_xy = np.stack([np.stack([one, zero, -x / z], 1), np.stack([zero, one, -y / z], 1)], 1)  # [n, 2, 3]
        jacobians.append(np.einsum("ij,njk,kl->nil", K[:2, :2], d_xy, camera.R))
    return np.stack(errors), np.stack(jacobians)


def _trace(matrices: np.ndarray) -> np.ndarray:  # [n, 3, 3] -> [n, 3, 3]
    return np.trace(matrices, axis1=1, axis2=2)[:, None, None] * np.eye(3)
