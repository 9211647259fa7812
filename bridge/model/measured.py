"""Where landmarks lie on templates: small files of ours, measured on rendered people (wrap/landmark_maps)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .template import LandmarkMap

FOLDER = Path(__file__).parent / "landmarks"


def load(name: str) -> LandmarkMap | None:
    """The map of a template, None where none was measured."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return LandmarkMap(stored["corners"], stored["weights"].astype(np.float64), stored["spread"].astype(np.float64))
