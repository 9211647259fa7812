"""Finished frames together: one topology, a point cache, curves of the shapes and of the head's motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.ndimage import convolve1d
from scipy.spatial.transform import Rotation

from ..model import PARTS
from ..report import results
from . import caches
from .frames import spans
from .identity import Identity, load_identity
from .key_frame import FILE, wrapped_in
from .solve import TRACK, VERTICES, WRAPPED
from .store import Store
from .track import Pose
from .wrapped import pose_of, unposed

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


def gather(store: Store, unit_mm: float | None = None, smooth: bool = True, template: str = "") -> Gathered | None:
    """Write the caches of all followed frames, or else of all wrapped ones, whose template is named; None where there
    are neither. Raises BridgeError "output".
    """
    followed, wrapped = (
        [number for number in store.finished() if (store.place(number) / name).is_file()] for name in (TRACK, WRAPPED)
    )
    if followed:
        identity = load_identity(store.folder / FILE)
        return _write(Followed(store, identity), followed, unit_mm, smooth)
    if wrapped and template:
        identity = wrapped_in(store.place(wrapped[0]), template)
        return _write(Wrapped(store, identity), wrapped, unit_mm, smooth)
    return None


class Takes(Protocol):
    """Finished frames of one kind."""

    @property
    def store(self) -> Store: ...

    @property
    def identity(self) -> Identity: ...

    def pose(self, number: int) -> Pose:
        """As it was measured."""

    def vertices(self, number: int, pose: Pose) -> np.ndarray:  # [V, 3]
        """In the head's own frame. pose: as it was measured, but its weights may be smoothed ones."""


@dataclass(frozen=True)
class Followed:
    """Frames of a known identity."""

    store: Store
    identity: Identity

    def pose(self, number: int) -> Pose:
        return read_pose(self.store.place(number) / TRACK)

    def vertices(self, number: int, pose: Pose) -> np.ndarray:
        with np.load(self.store.place(number) / TRACK, allow_pickle=False) as stored:
            return self.identity.posed(pose.expression) + stored["detail"]


@dataclass(frozen=True)
class Wrapped:
    """Frames that were each reconstructed on their own."""

    store: Store
    identity: Identity

    def pose(self, number: int) -> Pose:
        return pose_of(self.identity, self._world(number))

    def vertices(self, number: int, pose: Pose) -> np.ndarray:
        return unposed(self.identity, pose, self._world(number))

    def _world(self, number: int) -> np.ndarray:
        return np.load(self.store.place(number) / VERTICES).astype(np.float64)


def _write(takes: Takes, numbers: Sequence[int], unit_mm: float | None, smooth: bool) -> Gathered:
    """All files of these frames. One of them at a time is in memory."""
    store, identity = takes.store, takes.identity
    measured = [takes.pose(number) for number in numbers]
    poses = smoothed(numbers, measured, identity.size) if smooth else measured
    local = {
        number: replace(before, expression=after.expression)
        for number, before, after in zip(numbers, measured, poses, strict=True)
    }
    missing, first = caches.gaps(numbers), numbers[0]
    count = numbers[-1] - first + 1
    samples = (sample for _, sample in caches.filled(numbers, lambda number: takes.vertices(number, local[number])))
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
