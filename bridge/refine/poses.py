"""The poses of a rig, corrected where the photographs know better; and when to leave them alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera, Similarity
from ..errors import Check, unchecked
from ..head.canonical import Canonical, similarity
from ..mattes.silhouettes import BoundingSphere, Silhouette
from .adjust import Adjusted, Prior, bundle_adjust, pose_difference
from .outlines import SIZE, Outlines
from .tracks import Tracks, find_tracks

ROTATION, POSITION = np.radians(1.0), 0.01  # standard deviations of a given pose; the position's in distances
FINEST = 5e-4  # head radii: no feature is believed to be found better
LOOSEST = 0.5  # a camera of which more than this share of its uncertainty would stay is left as it is
LEAST_VIEWS = 3
TOO_LITTLE = (
    "their photographs share too few features, and their outlines say too little",
    "Photographs closer to each other, sharper ones or masks help.",
)
GAIN = 0.67  # errors must fall below this share of what they were, or nothing is changed
SMALL, SMALL_MISFIT = 1e-3, 3e-4  # head radii: features and outlines that fit so well need no better cameras
# Head radii: outlines that are still so far from one solid once the cameras fit are wrong themselves (a predicted mask
# that lacks a helmet), and features decide alone. Good masks reach 0.002, predicted ones of a head 0.005.
WRONG_MISFIT = 0.015
LEAST_POINTS = 12  # that tell where the head was
OUTLIER = 3.0  # medians from where a point was: it was wrong before or is now
FARTHEST = 5.0  # degrees, or percent of the distance: no small error


@dataclass(frozen=True)
class Move:
    """How far one camera was off."""

    name: str
    degrees: float
    percent: float  # of its distance to the head
    pixels: float  # that the head moves in its image
    held: bool  # too little evidence: it stays as it was given


@dataclass(frozen=True, eq=False)
class Refined:
    """cameras: the given ones where they were refused. Errors are pairs of before and after, None without evidence."""

    cameras: list[Camera]
    moves: list[Move]
    points: int  # that at least two photographs share
    error_px: tuple[float, float] | None  # median distance of features from where their point projects
    misfit: tuple[float, float] | None  # mean misfit of the outlines, head radii (check/silhouettes.py)
    refused: str = ""  # why nothing was changed; empty where something was
    cure: str = ""  # of a refusal that should not stay one

    @property
    def sentence(self) -> str:
        if self.refused:
            return f"The cameras stay as they are: {self.refused}."
        moves = [move for move in self.moves if not move.held]
        most = max(moves, key=lambda move: move.pixels)
        mean = [float(np.mean([getattr(move, key) for move in moves])) for key in ("degrees", "percent", "pixels")]
        text = (
            f"{len(moves)} cameras were off by {mean[0]:.2f} degrees, {mean[1]:.2f} % of their distance and "
            f"{mean[2]:.1f} pixels on average, most of all '{most.name}' ({most.pixels:.1f} pixels)"
        )
        if self.error_px is not None:
            text += f"; what they share now fits within {self.error_px[1]:.2f} pixels instead of {self.error_px[0]:.2f}"
        held = [f"'{move.name}'" for move in self.moves if move.held]
        return text + (f"; too little holds {', '.join(held)}, left as given." if held else ".")

    def as_json(self) -> dict:
        return {
            "sentence": self.sentence,
            "changed": not self.refused,
            "points": self.points,
            "error_px": self.error_px and [round(value, 3) for value in self.error_px],
            "misfit_pct": self.misfit and [round(100 * value, 4) for value in self.misfit],
            "views": [
                {
                    "name": move.name,
                    "degrees": round(move.degrees, 4),
                    "percent": round(move.percent, 4),
                    "pixels": round(move.pixels, 3),
                    "held": move.held,
                }
                for move in self.moves
            ],
        }


def refine(
    given: Sequence[Camera],
    photos: Sequence[np.ndarray],
    mattes: Sequence[np.ndarray],
    check: Check = unchecked,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Refined:
    """photos [H, W, 3] sRGB 0..1 without distortion, mattes [h, w] 0..1 of any size; at least two show the head.

    Rotations and positions change, lenses do not.
    """
    silhouettes = [Silhouette.of(camera, matte, SIZE) for camera, matte in zip(given, mattes, strict=True)]
    used = [i for i, silhouette in enumerate(silhouettes) if silhouette.mask.any()]
    sphere = BoundingSphere.around([silhouettes[i] for i in used])
    tracks = find_tracks(photos, given, mattes, sphere, check)
    step(1, 3)
    while len(used) >= LEAST_VIEWS:
        rig = _Rig.of([given[i] for i in used], tracks.of_views(used), [silhouettes[i] for i in used], sphere, check)
        found = rig.best()
        loose = [i for i, value in zip(used, found.loose, strict=True) if value > LOOSEST]
        if not loose:
            break
        used = [i for i in used if i not in loose]
    step(2, 3)
    if len(used) < LEAST_VIEWS:
        moves = _moves(given, given, sphere, [])
        return Refined(list(given), moves, tracks.count, None, None, *TOO_LITTLE)
    before = rig.as_given()
    stay = _in_place(before.points, found.points)
    cameras = list(given)
    for i, camera in zip(used, found.cameras, strict=True):
        cameras[i] = stay.camera(camera)
    errors = (_median(before), _median(found)) if rig.tracks.count else None
    misfit = rig.outlines.misfit(rig.given), rig.outlines.misfit(found.cameras)
    moves = _moves(given, cameras, sphere, used)
    why, cure = _doubt(moves, errors, misfit, SMALL * rig.head_pixels)
    step(3, 3)
    return Refined(list(given) if why else cameras, moves, rig.tracks.count, errors, misfit, why, cure)


@dataclass(frozen=True, eq=False)
class _Rig:
    """The views that take part, and what they know."""

    given: list[Camera]
    tracks: Tracks
    outlines: Outlines
    prior: Prior
    head_pixels: float  # the head's radius in a usual image
    check: Check

    @classmethod
    def of(
        cls, given: list[Camera], tracks: Tracks, silhouettes: list[Silhouette], sphere: BoundingSphere, check: Check
    ) -> _Rig:
        far = np.array([np.linalg.norm(camera.center - sphere.center) for camera in given])
        pixels = float(np.median(np.array([camera.K[0, 0] for camera in given]) * sphere.radius / far))
        return cls(given, tracks, Outlines(silhouettes, sphere, check), Prior(ROTATION, POSITION * far), pixels, check)

    @property
    def finest(self) -> float:
        return FINEST * self.head_pixels

    def best(self) -> Adjusted:
        """By features and outlines, or by features alone where no cameras make the outlines those of one solid."""
        if not self.tracks.count:
            return self.adjusted()
        by_features = self.adjusted(by_outlines=False)
        if by_features.loose.max() <= LOOSEST and self._wrong_outlines(by_features):
            return by_features  # outlines cost ten times as much
        by_both = self.adjusted()
        return by_features if self._wrong_outlines(by_both) else by_both

    def _wrong_outlines(self, adjusted: Adjusted) -> bool:
        return self.outlines.misfit(adjusted.cameras) > WRONG_MISFIT

    def adjusted(self, by_outlines: bool = True) -> Adjusted:
        free = [True] * len(self.given)
        evidence = self.outlines if by_outlines else None
        return bundle_adjust(
            self.given, self.tracks, self.prior, free, finest=self.finest, evidence=evidence, check=self.check
        )

    def as_given(self) -> Adjusted:
        """Only the points are fitted."""
        free = [False] * len(self.given)
        return bundle_adjust(self.given, self.tracks, self.prior, free, finest=self.finest, check=self.check)


def _in_place(before: np.ndarray, after: np.ndarray) -> Similarity:
    """What brings the points [P, 3] back to where they were on the whole. Turns and shifts of cameras that cancel in
    their pictures make the rig wander, and with it the head, away from cameras that are not held."""
    found: Canonical | None = None
    near = np.ones(len(before), bool)
    for _ in range(3):
        if near.sum() < LEAST_POINTS or (found := similarity(after[near], before[near])) is None:
            return Similarity(1.0, np.eye(3), np.zeros(3))
        off = np.linalg.norm(found.apply(after) - before, axis=1)
        near = off <= OUTLIER * np.median(off) + 1e-12
    assert found is not None
    return Similarity(found.scale, found.rotation, found.offset)


def _median(adjusted: Adjusted) -> float:
    return float(np.median(adjusted.errors))


def _moves(
    given: Sequence[Camera], cameras: Sequence[Camera], sphere: BoundingSphere, used: Sequence[int]
) -> list[Move]:
    head = sphere.center + sphere.radius * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    found = []
    for i, (start, end) in enumerate(zip(given, cameras, strict=True)):
        turn, shift = pose_difference(start, end)
        far = np.linalg.norm(start.center - sphere.center)
        pixels = np.linalg.norm(end.project(head)[0] - start.project(head)[0], axis=1).mean()
        degrees, percent = np.degrees(np.linalg.norm(turn)), 100 * np.linalg.norm(shift) / far
        found.append(Move(start.name, float(degrees), float(percent), float(pixels), held=i not in used))
    return found


def _doubt(
    moves: Sequence[Move], errors: tuple[float, float] | None, misfit: tuple[float, float], small: float
) -> tuple[str, str]:
    """Why the change should not be made, and a cure; empty if it should. small: pixels."""
    worst = max(moves, key=lambda move: max(move.degrees, move.percent))
    if max(worst.degrees, worst.percent) > FARTHEST:
        why = (
            f"'{worst.name}' would have to turn by {worst.degrees:.1f} degrees and move by {worst.percent:.1f} % of "
            "its distance, which is no small error"
        )
        return why, "Check Cameras (python -m bridge check) says what is wrong with it."
    features_fit = errors is None or errors[0] < small or errors[1] > GAIN * errors[0]
    outlines_fit = misfit[0] < SMALL_MISFIT or misfit[1] > GAIN * misfit[0]
    if features_fit and outlines_fit:
        fits = f"within {errors[0]:.2f} pixels" if errors is not None else "as far as their outlines tell"
        return f"they fit each other already, {fits}", ""
    return "", ""
