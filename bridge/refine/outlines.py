"""What silhouettes say about small errors of cameras: a ray through an outline must touch what all other views show.

The misfit of check/silhouettes.py (silhouette coherence: Hernandez, Schmitt and Cipolla 2007), with its slopes. It
holds cameras to which no feature leads, such as one behind the head, and heads without texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..capture.cameras import Camera
from ..errors import Check, unchecked
from ..mattes.silhouettes import BoundingSphere, Silhouette, depth_in, points_on_rays
from .adjust import perturbed

SIZE = 640  # pixels of the longer side of a silhouette
POINTS = 96  # of every outline
STEPS = 128  # places on a ray
SIGMA = 0.003  # head radii: what good masks are off by, as far as neighbouring points share it
SLACK = 0.001  # head radii: misfits below count nothing, or noise would be removed by making all silhouettes larger
NEAR = 0.01  # head radii: points that lie no deeper hold a camera, although they are inside
CAUCHY = 2.4  # in standard deviations: misfits of that size count half
STEP = 1e-3  # radians, and shares of the distance, over which slopes are taken


class Outlines:
    """Evidence for adjust.bundle_adjust."""

    def __init__(self, silhouettes: Sequence[Silhouette], sphere: BoundingSphere, check: Check = unchecked) -> None:
        self._silhouettes = [_sampled(silhouette) for silhouette in silhouettes]
        self._sphere = sphere
        self._check = check

    def misfit(self, cameras: Sequence[Camera]) -> float:
        """Mean over all outlines, head radii."""
        silhouettes = self._seen_by(cameras)
        heights = np.concatenate([_height(self._depths(silhouettes, i)[0]) for i in range(len(cameras))])
        return float(np.maximum(-heights, 0).mean()) if len(heights) else 0.0

    def equations(self, cameras: Sequence[Camera]) -> tuple[np.ndarray, np.ndarray]:
        residual, J = self._slopes(cameras, -SLACK)
        sigma = max(SIGMA, float(np.median(residual))) if len(residual) else SIGMA
        weight = 1 / (1 + (residual / (CAUCHY * sigma)) ** 2) / sigma**2
        return (J * weight[:, None]).T @ J, J.T @ (weight * residual)

    def information(self, cameras: Sequence[Camera]) -> np.ndarray:
        _, J = self._slopes(cameras, NEAR)
        return J.T @ J / SIGMA**2

    def _slopes(self, cameras: Sequence[Camera], below: float) -> tuple[np.ndarray, np.ndarray]:
        """Misfits beyond SLACK [n] of the points that lie less deep than that, and their slopes [n, 6 views]."""
        silhouettes, views = self._seen_by(cameras), len(cameras)
        misfits, slopes = [], []
        turned = [self._perturbed(silhouettes[j]) for j in range(views)]
        for i in range(views):
            self._check()
            depths, along = self._depths(silhouettes, i)
            before = _height(depths)
            active = before < below
            misfits.append(np.maximum(-before[active] - SLACK, 0))
            slopes.append(np.zeros((int(active.sum()), 6 * views)))
            if not active.any():
                continue
            depths, along, before = depths[:, active], np.ascontiguousarray(along[:, active]), before[active]
            others = [j for j in range(views) if j != i]
            for j in others:  # another camera moves: its silhouette changes
                rest = depths[[k for k in others if k != j]].min(0)
                for column, (silhouette, size) in enumerate(turned[j]):
                    after = np.minimum(rest, depth_in(silhouette, along, self._sphere)).max(-1)
                    slopes[-1][:, 6 * j + column] = (before - after) / size
            for column, (silhouette, size) in enumerate(turned[i]):  # its own camera moves: the rays do
                rays = points_on_rays(silhouette.camera, silhouette.outline[active], self._sphere, STEPS)
                after = np.min([depth_in(silhouettes[j], rays, self._sphere) for j in others], 0).max(-1)
                slopes[-1][:, 6 * i + column] = (before - after) / size
        return np.concatenate(misfits), np.concatenate(slopes)

    def _seen_by(self, cameras: Sequence[Camera]) -> list[Silhouette]:
        return [silhouette.seen_by(camera) for silhouette, camera in zip(self._silhouettes, cameras, strict=True)]

    def _depths(self, silhouettes: Sequence[Silhouette], of: int) -> tuple[np.ndarray, np.ndarray]:
        """Depth [views, points, steps] of one view's rays in every silhouette (its own: anything), and the rays."""
        along = points_on_rays(silhouettes[of].camera, silhouettes[of].outline, self._sphere, STEPS)
        depths = np.stack([depth_in(silhouette, along, self._sphere) for silhouette in silhouettes])
        depths[of] = np.inf
        return depths, along

    def _perturbed(self, silhouette: Silhouette) -> list[tuple[Silhouette, float]]:
        """The silhouette after each of its camera's six small moves, and the size of the move."""
        camera = silhouette.camera
        sizes = np.array([STEP] * 3 + [STEP * np.linalg.norm(camera.center - self._sphere.center)] * 3)
        steps = np.diag(sizes)
        return [(replace(silhouette, camera=perturbed(camera, s[:3], s[3:])), size) for s, size in zip(steps, sizes)]


def _sampled(silhouette: Silhouette) -> Silhouette:
    """With POINTS of its outline, moved from the centres of the last pixels inside onto the outline itself."""
    count = len(silhouette.outline)
    pixels = silhouette.outline[np.linspace(0, count, min(POINTS, count), endpoint=False).astype(int)]
    column, row = (pixels - 0.5).astype(int).T
    down, right = np.gradient(silhouette.depth)
    slope = np.stack([right[row, column], down[row, column]], 1)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 0.5)
    return replace(silhouette, outline=pixels - silhouette.depth[row, column, None] * slope)


def _height(depths: np.ndarray) -> np.ndarray:  # [points]
    """How deep a ray comes at its best place into the silhouette that it misses most there; negative: outside."""
    return depths.min(0).max(-1)
