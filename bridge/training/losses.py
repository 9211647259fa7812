"""What the network is asked for. All angles in radians."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .batches import Batch


def losses(output: Tensor, batch: Batch) -> dict[str, Tensor]:
    """output [N, 8, H, W] (network.py) -> named terms and their weighted "total"."""
    surface = (batch.normal.square().sum(1) > 0.5) & (batch.inside[:, 0] > 0.5) & (batch.matte[:, 0] > 0.5)
    count = surface.sum().clamp(min=1)
    cosine = (output[:, :3] * batch.normal).sum(1).clamp(-1, 1)
    chord = torch.sqrt(2 * (1 - cosine) + 1e-4)  # nearly the angle, with a gradient that does not vanish near 0
    normal = ((1 - cosine) * surface).sum() / count
    sharp = (chord * surface).sum() / count
    matte = functional.binary_cross_entropy_with_logits(output[:, 3:4], batch.matte, reduction="none")
    matte = (matte * batch.inside).sum() / batch.inside.sum().clamp(min=1)
    apart = (output[:, 4:7] - batch.canonical).abs().sum(1)
    canonical = (apart * surface).sum() / count
    # negative log likelihood of the angle under the AngMF distribution (Bae et al. 2021), for the concentration alone
    kappa = concentration(output[:, 7])
    angle = chord.detach()
    nll = -torch.log(kappa**2 + 1) + torch.log1p(torch.exp(-kappa * math.pi)) + kappa * angle
    certainty = (nll * surface).sum() / count
    total = normal + 0.4 * sharp + 0.15 * matte + 0.2 * canonical + 0.02 * certainty
    return {"total": total, "normal": normal, "sharp": sharp, "matte": matte, "canonical": canonical, "nll": certainty}


def concentration(raw: Tensor) -> Tensor:
    """The network's last channel -> kappa > 0; about 1 / expected angle."""
    return functional.softplus(raw) + 0.05
