"""What was measured on templates and is kept beside them as small files of ours: where landmarks lie
(wrap/landmark_maps), and what keeps their shapes' lips and lids apart (wrap/shape_corrections)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .template import LandmarkMap, Template

FOLDER = Path(__file__).parent / "landmarks"
CORRECTIONS = Path(__file__).parent / "corrections"


def load(name: str) -> LandmarkMap | None:
    """The map of a template, None where none was measured."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return LandmarkMap(stored["corners"], stored["weights"].astype(np.float64), stored["spread"].astype(np.float64))


def corrected(template: Template) -> Template:
    """The template with shapes by which lips and lids do not pass through each other, where that was measured."""
    change = corrections(template)
    if change is None:
        return template
    return replace(template, expressions=template.expressions + change)


def corrections(template: Template) -> np.ndarray | None:  # [m, V, 3] float32 mm
    """What corrected() adds to the shapes. None where nothing was measured, or for another state of the template."""
    path = CORRECTIONS / f"{template.name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if tuple(stored["shape"]) != template.expressions.shape:
            return None
        change = np.zeros(template.expressions.shape, np.float32)
        change[stored["expression"], stored["vertex"]] = stored["displacement"]
    return change


def keep_corrections(template: Template, change: np.ndarray) -> Path:  # [m, V, 3] mm
    """Write what corrected() shall add to the template's own shapes."""
    expression, vertex = np.nonzero(np.abs(change).max(2) > 5e-4)
    CORRECTIONS.mkdir(exist_ok=True)
    path = CORRECTIONS / f"{template.name}.npz"
    np.savez_compressed(
        path,
        shape=change.shape,
        expression=expression.astype(np.uint8),
        vertex=vertex.astype(np.uint16),
        displacement=change[expression, vertex].astype(np.float16),
    )
    return path
