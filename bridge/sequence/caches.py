"""A finished sequence as files that programs animate: point cache, shape curves, motion of the head.

point_cache.pc2 (little endian): "POINTCACHE2\\0", int32 version 1, int32 points, float32 first frame, float32 frames a
sample, int32 samples; then float32 [samples, points, 3] in the head's own frame, whose motion lies beside it. Blender's
Mesh Cache modifier and most other programs read it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import atomic

MAGIC = b"POINTCACHE2\0"
HEADER = "<12siiffi"


def write_pc2(path: Path, first: int, samples: Iterable[np.ndarray], points: int, count: int) -> None:
    """One sample [points, 3] a frame from the first on; none of them but one lies in memory."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack(HEADER, MAGIC, 1, points, float(first), 1.0, count))
        for sample in samples:
            file.write(np.ascontiguousarray(sample, "<f4").tobytes())


def read_pc2(path: Path) -> tuple[float, np.ndarray]:
    """First frame, and samples [n, points, 3] float32 mapped from the file."""
    with path.open("rb") as file:
        magic, _, points, first, _, count = struct.unpack(HEADER, file.read(struct.calcsize(HEADER)))
    if magic != MAGIC:
        raise ValueError(f"'{path.name}' is no point cache")
    return first, np.memmap(path, "<f4", "r", struct.calcsize(HEADER), (count, points, 3))


def filled(numbers: Sequence[int], vertices: Callable[[int], np.ndarray]) -> Iterable[tuple[int, np.ndarray]]:
    """Frames from the first number to the last; between two that are there the others go straight. vertices(number)."""
    before_number, before = numbers[0], vertices(numbers[0])
    yield before_number, before
    for number in numbers[1:]:
        after = vertices(number)
        for between in range(before_number + 1, number):
            share = (between - before_number) / (number - before_number)
            yield between, (1 - share) * before + share * after
        yield number, after
        before_number, before = number, after


def interpolated(numbers: Sequence[int], values: np.ndarray) -> np.ndarray:  # [n, k] -> [frames, k]
    """Curves from the first number to the last, straight where a frame is missing."""
    every = np.arange(numbers[0], numbers[-1] + 1)
    return np.stack([np.interp(every, numbers, column) for column in values.T], 1) if values.size else values


def gaps(numbers: Sequence[int]) -> list[int]:
    """Frames between the first and the last that are not there."""
    return sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))


@dataclass(frozen=True, eq=False)
class Motion:
    """How a head moves from its key frame: x' = R (x - centre) + centre + shift, in the world of the capture."""

    centre: np.ndarray  # [3]
    rotation: np.ndarray  # [frames, 3] rotation vectors, radians
    shift: np.ndarray  # [frames, 3]
    unit_mm: float | None  # millimetres of the world's unit


@dataclass(frozen=True, eq=False)
class Curves:
    """Weights of the shapes, one row a frame. missing: frames that lie between their neighbours."""

    first: int
    names: Sequence[str]
    weights: np.ndarray  # [frames, m]
    missing: Sequence[int]


def write_curves(path: Path, curves: Curves, motion: Motion) -> None:
    """Both as JSON. Raises BridgeError "output"."""
    body = {
        "first": curves.first,
        "frames": len(curves.weights),
        "interpolated": list(curves.missing),
        "shapes": {name: np.round(curves.weights[:, i], 5).tolist() for i, name in enumerate(curves.names)},
        "unit_mm": motion.unit_mm,
        "head": {
            "centre": motion.centre.tolist(),
            "rotation": np.round(motion.rotation, 6).tolist(),
            "shift": np.round(motion.shift, 6).tolist(),
        },
    }
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
