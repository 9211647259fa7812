"""MakeHuman's target files: displacements of single vertices."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np

MM = 100.0  # of a decimetre, the unit of these files


def read_target(path: Path | zipfile.Path) -> np.ndarray:  # [n, 4] vertex, dx, dy, dz in decimetres
    """A .target or .target.gz file: one line a moved vertex."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    lines = [line for line in data.decode("utf-8").splitlines() if line and line[0] != "#"]
    return np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
