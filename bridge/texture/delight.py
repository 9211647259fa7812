"""The light taken out of the colours: low-order shading of every photograph, from the mesh's normals.

Light on a matt head is a smooth function of the normal: nine spherical harmonics say 99 % of it (Ramamoorthi and
Hanrahan 2001). Skin is one colour over most of a head; brows, lips, hair and beard are the exceptions that robust
weights leave out, so the division keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 10
SCATTER = (0.8, 0.15)  # scale of the robust weights in log light, first and last round
DARKEST, BRIGHTEST = 0.25, 3.0  # of the mean: shading is not trusted beyond
HOLD = 0.02  # pulls the light of a photograph towards that of all
VOTERS = 30_000


@dataclass(frozen=True, eq=False)
class Shadings:
    """coefficients [m, 9, 3] of light relative to its mean over the sphere of normals."""

    coefficients: np.ndarray

    def at(self, i: int, normals: np.ndarray) -> np.ndarray:  # [V, 3] float32
        """What photograph i's light multiplies colours by at places with these normals [V, 3]."""
        return np.clip(harmonics(normals) @ self.coefficients[i], DARKEST, BRIGHTEST).astype(np.float32)


def harmonics(normals: np.ndarray) -> np.ndarray:  # [V, 9]
    """The polynomials that span spherical harmonics up to the second order."""
    x, y, z = np.asarray(normals, np.float64).T
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], 1)


def estimate(colors: np.ndarray, quality: np.ndarray, normals: np.ndarray, seed: int = 0) -> Shadings:
    """colors [m, V, 3] equalised linear light; quality [m, V], 0 where not seen; normals [V, 3]."""
    views = len(colors)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(colors.shape[1], min(VOTERS, colors.shape[1]), replace=False)
    basis = harmonics(normals[chosen])
    seen = quality[:, chosen] > 0
    value = np.where(seen[..., None], colors[:, chosen], 0).astype(np.float64)
    grey = np.maximum(value.mean(-1), 1e-4)
    weights = np.sqrt(quality[:, chosen]) * seen
    # first all photographs together: what a single one does not show it takes from here
    shared = _fit(np.tile(basis, (views, 1)), value.reshape(-1, 3), grey.reshape(-1), weights.reshape(-1))
    found = []
    for i in range(views):
        own = _fit(basis, value[i], grey[i], weights[i], shared) if seen[i].sum() > 200 else shared
        found.append(own)
    coefficients = np.stack(found)
    # one mean for all channels' skin: the tint of skin is albedo, the tint of a photograph's light is not
    level = np.maximum(shared[0], 1e-6)
    return Shadings(coefficients / level)


def _fit(basis, value, grey, weights, prior=None) -> np.ndarray:  # [9, 3]
    used = weights > 0
    basis, value, grey, weights = basis[used], value[used], grey[used], weights[used]
    current = np.median(grey) * np.ones(len(grey))
    for turn in range(ROUNDS):
        scale = SCATTER[0] * (SCATTER[1] / SCATTER[0]) ** (turn / (ROUNDS - 1))
        gap = np.log(grey) - np.log(np.maximum(current, 0.15 * np.median(grey)))
        robust = weights / (1 + (gap / scale) ** 2) ** 2
        system = (basis * robust[:, None]).T @ basis
        right = (basis * robust[:, None]).T @ value
        hold = HOLD * np.trace(system) / 9
        if prior is None:
            penalty = np.diag([0.0, *[0.05] * 8]) * hold
            fitted = np.linalg.solve(system + penalty + 1e-9 * np.eye(9) * np.trace(system), right)
        else:
            fitted = np.linalg.solve(system + hold * np.eye(9), right + hold * prior)
        current = (basis @ fitted).mean(1)
    return fitted
