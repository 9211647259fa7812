"""Our statistical head: how people's heads differ, over the topology hm08, and the outer hull of their hair.

A small file of ours (bridge/model/head/, see its card), trained by `python -m bridge train-head-model`; it needs no
other package, so that one photograph is enough to start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from . import arkit, measured
from .package import HM08
from .template import Template

FOLDER = Path(__file__).parent / "head"
FILE = FOLDER / "head_model.npz"
REGIONS = ("exposed", "face", "ears", "neck", "scalp")


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head is template.vertices + identity coefficients times template.identity + hull + hair coefficients times hair
    + expression weights times template.expressions. Coefficients are about N(0, 1), lengths millimetres."""

    template: Template  # skin and eyes of hm08's head; regions: REGIONS
    hull: np.ndarray  # [V, 3] float32: how far the usual outline of hair stands out
    hair: np.ndarray  # [h, V, 3] float32: how hulls differ, in length and volume
    residual: np.ndarray  # [V] float32: what held-out people keep beyond the modes, standard deviation in mm


def save(path: Path, model: HeadModel) -> None:
    """Write the model in half precision: 0.01 mm of a mode of 20 mm is lost."""
    template = model.template
    assert template.landmarks is not None and template.mirror is not None  # the training's have them
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, vertices=template.vertices.astype(np.float32), faces=template.faces, uv=template.uv.astype(np.float32),
        faces_uv=template.faces_uv, part=template.part, mirror=template.mirror,
        identity=template.identity.astype(np.float16), expressions=template.expressions.astype(np.float16),
        hull=model.hull.astype(np.float16), hair=model.hair.astype(np.float16),
        residual=model.residual.astype(np.float16),
        corners=template.landmarks.corners, weights=template.landmarks.weights.astype(np.float32),
        spread=template.landmarks.spread.astype(np.float32),
        **{f"region_{name}": template.regions[name] for name in REGIONS},  # type: ignore[arg-type]  # no allow_pickle
    )  # fmt: skip


@cache
def load(path: Path = FILE) -> HeadModel:
    """The shipped model, read once."""
    with np.load(path, allow_pickle=False) as stored:
        a = {name: stored[name] for name in stored.files}
    marks = measured.LandmarkMap(a["corners"], a["weights"].astype(np.float64), a["spread"].astype(np.float64))
    template = Template(
        name="head model", vertices=a["vertices"].astype(np.float64), faces=a["faces"], uv=a["uv"],
        faces_uv=a["faces_uv"], part=a["part"], mirror=a["mirror"], licence=HM08.licence, landmarks=marks,
        identity=a["identity"].astype(np.float32), expression_names=arkit.NAMES,
        expressions=a["expressions"].astype(np.float32),
        regions={name: a[f"region_{name}"] for name in REGIONS},
    )  # fmt: skip
    hull, hair, residual = (a[name].astype(np.float32) for name in ("hull", "hair", "residual"))
    return HeadModel(template, hull, hair, residual)
