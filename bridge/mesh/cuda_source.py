"""The remesher's kernels (kernels/*.cu), and those of them that others need too."""

from __future__ import annotations

from pathlib import Path

from ..device.source import join
from .candidates import LENGTH
from .normals import TINY

FOLDER = Path(__file__).parent / "kernels"
TOPOLOGY = FOLDER / "topology.cu"
VERTEX_NORMALS = FOLDER / "normals.cu"  # needs TINY
CROSSING = FOLDER / "crossing.cu"
FILES = ("rings.cu", "collapse.cu", "split.cu", "flip.cu", "order.cu")
CHUNK = 128  # elements that one thread adds up or sorts
RANK_BINS = 1 << 14  # by which the longest edges are found, 256 to each doubling of the squared length
DIGIT_BITS = 5  # of a sort's pass


def source() -> str:
    """The CUDA source of the remesher's kernels."""
    constants = {"TINY": TINY, "LENGTH": LENGTH, "CHUNK": CHUNK, "RANK_BINS": RANK_BINS, "DIGIT_BITS": DIGIT_BITS}
    return join([TOPOLOGY, VERTEX_NORMALS, *(FOLDER / name for name in FILES)], constants)
