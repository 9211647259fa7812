"""What the network is asked for. All angles in radians."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..normals.network import rotation_of
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
    known = surface & (batch.canonical.abs().sum(1) > 0)  # 0: not known (own scans)
    canonical = (apart * known).sum() / known.sum().clamp(min=1)
    # negative log likelihood of the angle under the AngMF distribution (Bae et al. 2021), for the concentration alone
    kappa = concentration(output[:, 7])
    angle = chord.detach()
    nll = -torch.log(kappa**2 + 1) + torch.log1p(torch.exp(-kappa * math.pi)) + kappa * angle
    certainty = (nll * surface).sum() / count
    agreement = disagreement(output[:, :3], batch)
    total = normal + 0.4 * sharp + 0.15 * matte + 0.25 * canonical + 0.02 * certainty + 0.2 * agreement
    return {
        "total": total,
        "normal": normal,
        "sharp": sharp,
        "matte": matte,
        "canonical": canonical,
        "nll": certainty,
        "apart": agreement,
    }


def disagreement(normals: Tensor, batch: Batch, queries: int = 256) -> Tensor:
    """1 - cosine of the world normals predicted for one surface point in neighbouring views; [] tensor.

    Every view is compared with the next one of its head. Two pixels show one point where their true canonical points
    are within 4 mm and their true normals within 8 degrees (the second keeps lips, lids and hair sheets apart).
    """
    if batch.views == 1:
        return normals.new_zeros(())
    N, stride = len(normals), 2
    R = rotation_of(batch.quaternion) * normals.new_tensor([1.0, -1.0, -1.0])[:, None]  # OpenGL camera axes
    flat = [x[:, :, ::stride, ::stride].flatten(2).transpose(1, 2) for x in (normals, batch.normal, batch.canonical)]
    predicted, truth = flat[0] @ R, flat[1] @ R  # rows: R^T n
    seen = (
        (truth.square().sum(-1) > 0.5)
        & (flat[2].abs().sum(-1) > 0)
        & (batch.inside[:, 0, ::stride, ::stride].flatten(1) > 0.5)
    )
    total, count = normals.new_zeros(()), 0
    for i in range(N):
        j = i // batch.views * batch.views + (i + 1) % batch.views
        here, there = seen[i].nonzero()[:, 0], seen[j].nonzero()[:, 0]
        if len(here) == 0 or len(there) == 0:
            continue
        here = here[:: max(1, len(here) // queries)]
        with torch.no_grad():
            distance, nearest = torch.cdist(flat[2][i, here], flat[2][j, there]).min(1)
            match = there[nearest]
            same = (distance < 0.03) & ((truth[i, here] * truth[j, match]).sum(-1) > math.cos(math.radians(8)))
        here, match = here[same], match[same]
        if len(here):
            total = total + (1 - (predicted[i, here] * predicted[j, match]).sum(-1)).sum()
            count += len(here)
    return total / max(count, 1)


def concentration(raw: Tensor) -> Tensor:
    """The network's last channel -> kappa > 0; about 1 / expected angle."""
    return functional.softplus(raw) + 0.05
