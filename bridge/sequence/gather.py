"""Finished frames together: one topology, a point cache, curves of the shapes and of the head's motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import convolve1d
from scipy.spatial.transform import Rotation

from ..model import PARTS
from ..report import results
from . import caches
from .frames import spans
from .identity import Identity, load_identity
from .key_frame import FILE
from .solve import TRACK
from .store import Store
from .track import Pose

CACHE, CURVES, TEMPLATE = "point_cache.pc2", "curves.json", "template.npz"
# What measuring adds to a still head; a change that is larger is motion and stays. Radians, edges of the face, weights
NOISE_TURN, NOISE_SHIFT, NOISE_WEIGHT = 0.002, 0.05, 0.02
SMOOTH = np.array([-3, 12, 17, 12, -3]) / 35  # Savitzky and Golay's quadratic over five frames


@dataclass(frozen=True)
class Gathered:
    """What was written. missing: frames that are interpolated."""

    first: int
    last: int
    missing: Sequence[int]

    def __str__(self) -> str:
        text = f"Frames {self.first} to {self.last} as {CACHE} and {CURVES}."
        return f"{text} Interpolated between their neighbours: {spans(self.missing)}." if self.missing else text


def gather(store: Store, unit_mm: float | None = None, smooth: bool = True) -> Gathered | None:
    """Write the caches of all tracked or wrapped frames; None where there are none. Raises BridgeError "output"."""
    numbers = [number for number in store.finished() if (store.place(number) / TRACK).is_file()]
    if not numbers:
        return None
    identity = load_identity(store.folder / FILE)
    poses = [read_pose(store.place(number) / TRACK) for number in numbers]
    if smooth:
        poses = smoothed(numbers, poses, identity.size)
    by_number = dict(zip(numbers, poses, strict=True))

    def vertices(number: int) -> np.ndarray:
        with np.load(store.place(number) / TRACK, allow_pickle=False) as stored:
            return identity.posed(by_number[number].expression) + stored["detail"]

    missing, first = caches.gaps(numbers), numbers[0]
    count = numbers[-1] - first + 1
    samples = (sample for _, sample in caches.filled(numbers, vertices))
    caches.write_pc2(store.folder / CACHE, first, samples, len(identity.neutral), count)
    weights = caches.interpolated(numbers, np.stack([pose.expression for pose in poses]))
    turns = caches.interpolated(numbers, Rotation.from_matrix([pose.R for pose in poses]).as_rotvec())
    shifts = caches.interpolated(numbers, np.stack([pose.t for pose in poses]))
    motion = caches.Motion(identity.centre, turns, shifts, unit_mm)
    curves = caches.Curves(first, identity.shape_names, weights, missing)
    caches.write_curves(store.folder / CURVES, curves, motion)
    write_template(store.folder / TEMPLATE, identity)
    return Gathered(first, numbers[-1], missing)


def write_template(path: Path, identity: Identity) -> None:
    """The neutral template with its shapes, as the add-on reads it."""
    results.write_npz(
        path, vertices=identity.neutral, faces=identity.faces, uv=identity.uv, faces_uv=identity.faces_uv,
        part=identity.part, part_names=np.array(PARTS), shapes=identity.shapes,
        shape_names=np.array(identity.shape_names), distance=np.full(len(identity.neutral), np.nan, np.float32),
    )  # fmt: skip


def read_pose(path: Path) -> Pose:
    """The pose of a tracked frame."""
    with np.load(path, allow_pickle=False) as stored:
        return Pose(stored["R"], stored["t"], stored["expression"])


def smoothed(numbers: Sequence[int], poses: Sequence[Pose], size: float) -> list[Pose]:
    """Rigid motion and coefficients over five frames that follow one another; nothing else is ever smoothed.

    size: of an edge of the face. A difference far beyond measuring noise is motion and is left as it is.
    """
    found = list(poses)
    values = np.stack([np.concatenate([Rotation.from_matrix(p.R).as_rotvec(), p.t, p.expression]) for p in poses])
    noise = np.repeat([NOISE_TURN, NOISE_SHIFT * size, NOISE_WEIGHT], [3, 3, values.shape[1] - 6])
    change = convolve1d(values, SMOOTH, axis=0, mode="nearest") - values
    soft = values + change / (1 + (change / noise) ** 2) ** 2
    for i in range(2, len(poses) - 2):
        if numbers[i + 2] - numbers[i - 2] == 4:
            R = Rotation.from_rotvec(soft[i, :3]).as_matrix()
            found[i] = replace(poses[i], R=R, t=soft[i, 3:6], expression=np.clip(soft[i, 6:], 0, 1))
    return found
