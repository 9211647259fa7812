"""Bundle adjustment: small corrections of camera poses, and the points that they share, from what images show.

Gauss-Newton on reprojection errors, the points eliminated by the Schur complement (Triggs et al., "Bundle Adjustment: A
Modern Synthesis", 2000), outliers weighed down (Cauchy). A prior holds every camera near where it was given; it also
fixes the world's place, turn and scale, which photographs leave open: on average the cameras stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from ..capture.cameras import Camera
from ..errors import Check, unchecked
from .tracks import Tracks

ROUNDS = 40
SETTLED = 1e-3  # of the prior's standard deviation: a smaller step ends the rounds
CAUCHY = 2.4  # in standard deviations: errors of that size count half
MAD = 1.18  # the median length of an error in two dimensions, in standard deviations of one


@dataclass(frozen=True)
class Prior:
    """Standard deviations of what was given: rotation about any axis, position along any."""

    rotation: float  # radians
    position: np.ndarray  # [views] world units

    @property
    def scales(self) -> np.ndarray:  # [6 views]
        """By turn and shift of every camera, as ``perturbed`` takes them."""
        turns = np.full((len(self.position), 3), self.rotation)
        return np.concatenate([turns, np.repeat(self.position[:, None], 3, 1)], 1).ravel()


class Evidence(Protocol):
    """More about the cameras than tracks. Residuals are in standard deviations, columns as in Prior.scales."""

    def equations(self, cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
        """J^T J [6 views, 6 views] and J^T residuals [6 views] of the errors there are."""
        ...

    def information(self, cameras: Sequence[Camera]) -> np.ndarray:
        """J^T J of the errors there would soon be if the cameras moved."""
        ...


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The most likely cameras. loose: how well each is held by all others, as the share of its prior's standard
    deviation that is left to the points in its picture: 1 where there is no evidence. Its turn about the head and its
    shift may each stay unknown as long as they cancel there."""

    cameras: list[Camera]
    points: np.ndarray  # [P, 3] of the tracks
    errors: np.ndarray  # [M] pixels between every observation and its point
    loose: np.ndarray  # [views]


def perturbed(camera: Camera, turn: np.ndarray, shift: np.ndarray) -> Camera:
    """The camera turned about its own centre (rotation vector [3] in its axes) and shifted [3] in the world."""
    R = Rotation.from_rotvec(turn).as_matrix() @ camera.R
    return replace(camera, R=R, t=-R @ (camera.center + shift))


def pose_difference(start: Camera, end: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation between two cameras: ``perturbed(start, *pose_difference(start, end))`` is end."""
    return Rotation.from_matrix(end.R @ start.R.T).as_rotvec(), end.center - start.center


def bundle_adjust(
    given: Sequence[Camera],
    tracks: Tracks,
    prior: Prior,
    free: Sequence[bool],
    *,
    finest: float,
    evidence: Evidence | None = None,
    check: Check = unchecked,
) -> Adjusted:
    """free: which cameras may move; finest: no feature is believed to be found better than by so many pixels."""
    cameras = list(given)
    scales, unknown = prior.scales, np.repeat(np.asarray(free, bool), 6)
    points = triangulated(cameras, tracks)
    for _ in range(ROUNDS):
        check()
        system = _System.of(cameras, points, tracks)
        S, b, points_step = system.reduced(len(cameras), finest)
        if evidence is not None:
            more_S, more_b = evidence.equations(cameras)
            S, b = S + more_S, b + more_b
        S, b = _without_gauge(S, b, cameras)
        # in units of the prior's deviations, where the prior's own part is the identity
        S, b = S * scales[:, None] * scales, b * scales
        away = (
            np.concatenate([np.concatenate(pose_difference(g, c)) for g, c in zip(given, cameras, strict=True)])
            / scales
        )
        step = np.zeros(len(scales))
        step[unknown] = -np.linalg.solve((S + np.eye(len(S)))[np.ix_(unknown, unknown)], (b + away)[unknown])
        steps = (step * scales).reshape(-1, 6)
        cameras = [perturbed(c, s[:3], s[3:]) if f else c for c, s, f in zip(cameras, steps, free, strict=True)]
        points = points + points_step(step * scales)
        if np.abs(step).max() < SETTLED:
            break
    system = _System.of(cameras, points, tracks)
    S = system.reduced(len(cameras), finest)[0]
    if evidence is not None:
        S = S + evidence.information(cameras)
    S = S * scales[:, None] * scales
    blocks = np.stack([S[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] for i in range(len(cameras))])
    return Adjusted(cameras, points, system.distance, _loose(blocks, _slopes(cameras, points), scales))


def _slopes(cameras: Sequence[Camera], points: np.ndarray) -> np.ndarray:  # [views, P, 2, 6]
    """How the points move in each picture with its camera's turn and shift."""
    every = Tracks(np.tile(np.arange(len(points)), len(cameras)), np.repeat(np.arange(len(cameras)), len(points)),
                   np.zeros((len(cameras) * len(points), 2)))  # fmt: skip
    return _System.of(cameras, points, every).by_camera.reshape(len(cameras), -1, 2, 6)


def _loose(known: np.ndarray, slopes: np.ndarray, scales: np.ndarray) -> np.ndarray:  # [views]
    """known [views, 6, 6]: information about each camera in units of its prior; slopes [views, P, 2, 6]."""
    if not slopes.shape[1]:  # outlines alone: the direction that is known least
        return 1 / np.sqrt(1 + np.maximum(np.linalg.eigvalsh(known)[:, 0], 0))
    seen = slopes * scales.reshape(-1, 1, 1, 6)
    left = np.einsum("vpki,vij,vpkj->vp", seen, np.linalg.inv(known + np.eye(6)), seen)
    return np.sqrt(np.median(left / (seen**2).sum((2, 3)), axis=1))  # some points are matched wrongly, and anywhere


def _without_gauge(S: np.ndarray, b: np.ndarray, cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations that say nothing about place, turn and scale of the whole: photographs cannot, and what
    rounding and slopes taken over finite steps leave there would be stronger than a weak prior."""
    eyes = np.stack([camera.center for camera in cameras])
    middle, zero = eyes.mean(0), np.zeros(3)
    free = []
    for axis in np.eye(3):
        free.append([(zero, axis) for _ in cameras])
        free.append([(-camera.R @ axis, np.cross(axis, eye - middle)) for camera, eye in zip(cameras, eyes)])
    free.append([(zero, eye - middle) for eye in eyes])
    basis = np.linalg.qr(np.array(free).reshape(7, -1).T)[0]
    b = b - basis @ (basis.T @ b)
    S = S - basis @ (basis.T @ S)
    return S - (S @ basis) @ basis.T, b


def triangulated(cameras: Sequence[Camera], tracks: Tracks) -> np.ndarray:  # [P, 3]
    """The points nearest to the rays of their observations."""
    rays, eyes = np.empty((len(tracks.view), 3)), np.empty((len(tracks.view), 3))
    for i, camera in enumerate(cameras):
        mine = tracks.view == i
        rays[mine], eyes[mine] = camera.rays(tracks.pixel[mine]), camera.center
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    A, b = np.zeros((tracks.count, 3, 3)), np.zeros((tracks.count, 3))
    np.add.at(A, tracks.point, across)
    np.add.at(b, tracks.point, np.einsum("nij,nj->ni", across, eyes))
    return np.linalg.solve(A + 1e-9 * np.eye(3), b[..., None])[..., 0]


@dataclass(frozen=True, eq=False)
class _System:
    """Reprojection errors and their slopes at some cameras and points."""

    tracks: Tracks
    error: np.ndarray  # [M, 2] pixels
    by_camera: np.ndarray  # [M, 2, 6] turn, shift
    by_point: np.ndarray  # [M, 2, 3]

    @classmethod
    def of(cls, cameras: Sequence[Camera], points: np.ndarray, tracks: Tracks) -> _System:
        K, R, eye = (
            np.stack(values)[tracks.view] for values in zip(*((c.K, c.R, c.center) for c in cameras), strict=True)
        )
        x = np.einsum("nij,nj->ni", R, points[tracks.point] - eye)
        x[:, 2] = np.maximum(x[:, 2], 1e-9)
        image = np.einsum("nij,nj->ni", K, x)[:, :2] / x[:, 2:]
        by_x = K[:, :2].copy()
        by_x[:, :, 2] -= image
        by_x /= x[:, 2, None, None]
        # exp(turn) x = x + turn x x: the slope of row g is x x g
        by_turn = np.cross(x[:, None, :], by_x)
        by_point = by_x @ R
        return cls(tracks, image - tracks.pixel, np.concatenate([by_turn, -by_point], 2), by_point)

    @property
    def distance(self) -> np.ndarray:  # [M]
        return np.linalg.norm(self.error, axis=1)

    def reduced(self, views: int, finest: float) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Normal equations of the cameras, points eliminated, and the points' steps [P, 3] that go with a step."""
        t, points, weight = self.tracks, self.tracks.count, self._weights(finest)
        by_camera, by_point = weight[:, None, None] * self.by_camera, weight[:, None, None] * self.by_point
        U, a = np.zeros((views, 6, 6)), np.zeros((views, 6))
        np.add.at(U, t.view, np.einsum("nki,nkj->nij", by_camera, self.by_camera))
        np.add.at(a, t.view, np.einsum("nki,nk->ni", by_camera, self.error))
        V, c = np.zeros((points, 3, 3)), np.zeros((points, 3))
        np.add.at(V, t.point, np.einsum("nki,nkj->nij", by_point, self.by_point))
        np.add.at(c, t.point, np.einsum("nki,nk->ni", by_point, self.error))
        W = np.zeros((points, views, 6, 3))
        np.add.at(W, (t.point, t.view), np.einsum("nki,nkj->nij", by_camera, self.by_point))
        V += 1e-6 * np.trace(V, axis1=1, axis2=2)[:, None, None] * np.eye(3)  # rays that are nearly parallel
        root = np.linalg.inv(np.linalg.cholesky(V))  # V^-1 = root^T root
        W = np.einsum("pvij,pkj->pkvi", W, root).reshape(3 * points, 6 * views)
        c = np.einsum("pkj,pj->pk", root, c).ravel()
        S = -W.T @ W
        for i in range(views):
            S[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] += U[i]

        def points_step(step: np.ndarray) -> np.ndarray:
            return -np.einsum("pkj,pk->pj", root, (c + W @ step).reshape(points, 3))

        return S, a.ravel() - W.T @ c, points_step

    def _weights(self, finest: float) -> np.ndarray:  # [M]
        """Of the squared errors: their variance as it turns out, less for outliers."""
        count = len(self.error)
        if not count:
            return np.zeros(0)
        fitted = np.sqrt(2 * count / max(2 * count - 3 * self.tracks.count, 1))  # points hide a part of the errors
        sigma = max(finest, float(np.median(self.distance)) / MAD * fitted)
        return 1 / (1 + (self.distance / (CAUCHY * sigma)) ** 2) / sigma**2
