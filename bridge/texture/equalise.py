"""One exposure and one white balance for all photographs, from the places that several of them show.

log light of vertex v in photograph i = albedo(v) - gain(i) + vignetting * r^2: least squares over all vertices that two
or more photographs see, each channel for itself, made robust by Tukey weights; the vertices' own values are eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

VOTERS = 20_000  # vertices
ROUNDS = 12
DARK = 0.004  # linear light: below this a pixel is noise
BRIGHTEST = 0.998  # of the places: what is darker keeps its colour, what is brighter may be clipped
SCATTER = (0.5, 0.06)  # scale of Tukey's weights in log light, in the first and the last round


@dataclass(frozen=True, eq=False)
class Balance:
    """What makes the photographs of all views equally bright and coloured."""

    gains: np.ndarray  # [m, 3] factors on linear light
    vignetting: np.ndarray  # [m] k: light is multiplied by exp(k r^2), r = 1 in the image's corner; 0 without


def equalise(colors: np.ndarray, quality: np.ndarray, corner: np.ndarray | None = None, seed: int = 0) -> Balance:
    """colors [m, V, 3] linear light, quality [m, V] (0: not seen); corner [m, V]: squared distance of the vertex's
    pixel from the optical axis, 1 in the image's corner, to estimate the vignetting that all photographs share."""
    views = len(colors)
    seen = (quality > 0) & (colors > DARK).all(-1)
    shared = np.flatnonzero(seen.sum(0) >= 2)
    balance = Balance(np.ones((views, 3)), np.zeros(views))
    if len(shared) < 50:
        return balance
    chosen = np.random.default_rng(seed).choice(shared, min(VOTERS, len(shared)), replace=False)
    light = np.log(np.where(seen[:, chosen, None], colors[:, chosen], 1.0)).astype(np.float64)
    base = np.where(seen[:, chosen], np.sqrt(quality[:, chosen]), 0.0)
    r2 = np.zeros_like(base) if corner is None else np.where(seen[:, chosen], corner[:, chosen], 0.0)
    gains, slope = np.zeros((views, 3)), 0.0
    for turn in range(ROUNDS):
        scale = SCATTER[0] * (SCATTER[1] / SCATTER[0]) ** (turn / (ROUNDS - 1))
        pulls = np.zeros(2)
        for channel in range(3):
            value = light[..., channel] + slope * r2
            level = value + gains[:, channel, None]
            gap = level - (base * level).sum(0) / base.sum(0)
            weights = base * np.clip(1 - (gap / (4 * scale)) ** 2, 0, 1) ** 2 + 1e-9 * base
            gains[:, channel] = _solve(weights, value)
            if corner is not None:
                level = light[..., channel] + gains[:, channel, None]
                whole = weights.sum(0)
                x = r2 - (weights * r2).sum(0) / whole
                y = level - (weights * level).sum(0) / whole
                pulls += (weights * x * y).sum(), (weights * x * x).sum()
        if corner is not None:
            slope = float(np.clip(-pulls[0] / max(pulls[1], 1e-9), 0, 1.5))
    return Balance(np.exp(gains), np.full(views, slope))


def in_range(balance: Balance, colors: np.ndarray, quality: np.ndarray) -> Balance:
    """The same balance with less light where it would lift places beyond white, which a map of colours cannot hold.

    Places [V] have the colour of the photograph that shows them best; colors [m, V, 3] are those before equalising.
    """
    best = quality.argmax(0)
    shown = np.flatnonzero(quality.max(0) > 0)
    light = colors[best[shown], shown] * balance.gains[best[shown]]
    top = float(np.quantile(light.max(1), BRIGHTEST))
    return replace(balance, gains=balance.gains / max(top, 1.0))


def _solve(weights: np.ndarray, value: np.ndarray) -> np.ndarray:  # [m]
    """Gains that bring weighted values [m, n] of each column together; their weighted mean is 0."""
    share = weights / weights.sum(0)
    system = np.diag(weights.sum(1)) - share @ weights.T
    middle = (share * value).sum(0)
    right = -(weights * (value - middle)).sum(1)
    held = weights.sum(1) / max(weights.sum(), 1e-30)
    # a photograph without overlap keeps its own exposure; the mean stays where it is
    system = system + weights.sum() / len(weights) * (np.outer(held, held) + 1e-6 * np.eye(len(weights)))
    return np.linalg.solve(system, right)
