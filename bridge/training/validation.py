"""Validation on identities that training never sees: ICT heads of other seeds, and the held-out avatars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .batches import Batch, make_batch
from .group import World, make_group
from .losses import concentration

VALIDATION_SEED = 9_000_000_000


@dataclass(frozen=True)
class Score:
    """Angles in degrees over pixels whose truth is known; canonical error in head units (radius 1 = 140 mm)."""

    mean: float
    below_10_pct: float
    iou: float
    canonical: float
    calibration: float  # correlation of predicted and true error

    def line(self, name: str) -> str:
        return (
            f"{name} mean {self.mean:.2f} deg, <10 {self.below_10_pct:.1f} %, IoU {self.iou:.4f}, "
            f"canonical {self.canonical:.4f}, certainty r {self.calibration:.2f}"
        )


def validation_groups(data: Path, cache: Path, count: int, views: int, size: int) -> dict[str, list[dict]]:
    """{"ict": groups, "avatar": groups}; made once and kept in the cache folder."""
    sets = {}
    for name in ("ict", "avatar"):
        path = cache / f"validation_{name}_{count}_{views}_{size}.npz"
        if not path.exists():
            whole = World.load(data, held_out=True)
            world = World(whole.ict, []) if name == "ict" else World(None, whole.avatars)
            groups = [vars(make_group(VALIDATION_SEED + i, world, views, size)) for i in range(count)]
            arrays = {k: np.stack([g[k] for g in groups]) for k in groups[0]}
            np.savez(path, **arrays)  # type: ignore[arg-type]  # of allow_pickle, which is none of the names
        with np.load(path) as stored:
            arrays = {k: stored[k] for k in stored.files}
        sets[name] = [{k: v[i] for k, v in arrays.items()} for i in range(count)]
    return sets


def score_output(output: torch.Tensor, batch: Batch) -> list[np.ndarray]:
    """Angles [P] deg, canonical errors [P], predicted errors [P] on the surface; intersection and union."""
    surface = (batch.normal.square().sum(1) > 0.5) & (batch.matte[:, 0] > 0.9)
    cosine = (torch.nn.functional.normalize(output[:, :3], dim=1) * batch.normal).sum(1).clamp(-1, 1)
    angle = torch.rad2deg(torch.acos(cosine))[surface]
    canonical = (output[:, 4:7] - batch.canonical).norm(dim=1)[surface]
    expected = 1 / concentration(output[:, 7])[surface]
    mine, truth = output[:, 3] > 0, batch.matte[:, 0] > 0.5
    areas = torch.stack(((mine & truth).sum(), (mine | truth).sum()))
    return [t.cpu().numpy() for t in (angle, canonical, expected, areas)]


@torch.no_grad()
def validate(model: torch.nn.Module, groups: list[dict], size: int, device: torch.device, views: int = 6) -> Score:
    """The scores of a model on groups of views that it was not trained on."""
    was, parts = model.training, []
    model.eval()
    for group in groups:
        chosen = {k: v[:views] for k, v in group.items()}
        batch = make_batch([chosen], size, None).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            output = model(batch.image, batch.quaternion, batch.distance, batch.views)
        parts.append(score_output(output.float(), batch))
    model.train(was)
    angle, canonical, expected = (np.concatenate([p[i] for p in parts]) for i in range(3))
    areas = np.sum([p[3] for p in parts], axis=0)
    return Score(
        float(angle.mean()),
        float((angle < 10).mean() * 100),
        float(areas[0] / areas[1]),
        float(canonical.mean()),
        float(np.corrcoef(angle, expected)[0, 1]),
    )
