"""The optimiser's kernels (kernels/*.cu) with the constants of optimise.py and density.py."""

from __future__ import annotations

from pathlib import Path

from ..device.source import join
from ..mesh.candidates import LENGTH
from ..mesh.cuda_source import CROSSING, TOPOLOGY, VERTEX_NORMALS
from ..mesh.normals import TINY
from .density import EXPONENT, RANGE, UNSEEN_BEND
from .optimise import BETA, FIRST, GAIN, GRADIENT_LIMIT, MOST_BEND, SECOND, SEEN, SPEED_REFERENCE

FOLDER = Path(__file__).parent / "kernels"
FILES = ("density.cu", "move.cu", "contacts.cu")
SUM_CELLS = 32  # partial sums: fewer threads meet at each


def source() -> str:
    """The CUDA source of the optimiser's kernels."""
    columns = {"LENGTH": LENGTH, "SECOND": SECOND, "FIRST": FIRST, "SEEN": SEEN}
    optimiser = {
        "BETA": BETA,
        "SPEED_REFERENCE": SPEED_REFERENCE,
        "GAIN": GAIN,
        "GRADIENT_LIMIT": GRADIENT_LIMIT,
        "MOST_BEND": MOST_BEND,
    }
    density = {"UNSEEN_BEND": UNSEEN_BEND, "EXPONENT": EXPONENT, "LEAST_RANGE": RANGE[0], "MOST_RANGE": RANGE[1]}
    files = [TOPOLOGY, VERTEX_NORMALS, CROSSING, *(FOLDER / name for name in FILES)]
    return join(files, {"TINY": TINY, "SUM_CELLS": SUM_CELLS, **columns, **optimiser, **density})
