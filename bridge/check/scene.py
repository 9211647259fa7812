"""Everything the views claim together, and how badly it fits: silhouettes and matches under one cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from ..capture.cameras import Camera
from ..mattes.silhouettes import Agreement, BoundingSphere, Silhouette
from .matches import ENOUGH, KEPT, Pair, PhotoMatches, near_pairs

LIMIT = 8e-4  # mean misfit of the silhouettes that good masks of a good rig stay below (measured: 0 to 5e-4)
CONTRADICTION = 3.0  # cost of a pair of views whose matches the cameras do not explain at all, in units of LIMIT
NO_MATCH_COST = 0.35  # cost of a pair without matches
# Head radii that most matches are off where all cameras are: up to 0.0017 where none is, 0.0015 to 0.02 at a tenth of a
# degree and of a percent; without the two views that make the most of it, for they may be wrong
ALL_OFF, LEFT_OUT = 2e-3, 2


@dataclass(frozen=True)
class Change:
    """Something that may have gone wrong with one view, undone: another camera, or the photograph mirrored."""

    camera: Camera
    flipped: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """Cameras and photographs as they are claimed to belong together. silhouettes[i] is of photographs[i]."""

    cameras: tuple[Camera, ...]
    silhouettes: tuple[Silhouette, ...]  # by photograph, in their own camera
    photographs: tuple[int, ...]  # which one camera i took
    flipped: frozenset[int]  # cameras whose photograph is turned left to right
    agreement: Agreement
    matches: PhotoMatches | None
    pairs: tuple[tuple[int, int], ...]  # of near cameras
    check: Callable[[], None] = lambda: None  # called often; may raise to leave

    @classmethod
    def of(
        cls,
        cameras: Sequence[Camera],
        silhouettes: Sequence[Silhouette],
        sphere: BoundingSphere,
        matches: PhotoMatches | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Scene:
        count = range(len(cameras))
        pairs = near_pairs(cameras, sphere) if matches else []
        if matches:
            matches.find(pairs, check)
        agreement = Agreement(silhouettes, sphere)
        return cls(
            tuple(cameras), tuple(silhouettes), tuple(count), frozenset(), agreement, matches, tuple(pairs), check
        )

    @property
    def sphere(self) -> BoundingSphere:
        return self.agreement.sphere

    def changed(self, changes: dict[int, Change]) -> Scene:
        """With other cameras, or photographs mirrored."""
        cameras = [changes[i].camera if i in changes else camera for i, camera in enumerate(self.cameras)]
        flips = self.flipped ^ {i for i, change in changes.items() if change.flipped}
        return self._rebuilt(cameras, self.photographs, flips, set(changes))

    def exchanged(self, a: int, b: int) -> Scene:
        photographs = list(self.photographs)
        photographs[a], photographs[b] = photographs[b], photographs[a]
        return self._rebuilt(self.cameras, photographs, self.flipped, {a, b})

    def _rebuilt(self, cameras, photographs, flips, touched) -> Scene:
        fresh = {}
        for i in touched:
            silhouette = self.silhouettes[photographs[i]].seen_by(cameras[i])
            fresh[i] = silhouette.mirrored() if i in flips else silhouette
        agreement = self.agreement.replaced(fresh)
        return replace(
            self,
            cameras=tuple(cameras),
            photographs=tuple(photographs),
            flipped=frozenset(flips),
            agreement=agreement,
        )

    def misfit(self, without: Collection[int] = ()) -> float:
        return self.agreement.misfit([i for i in range(len(self.cameras)) if i not in without])

    def compared(self, without: Collection[int] = (), touching: int | None = None) -> list[Pair]:
        if self.matches is None:
            return []
        return [
            self.matches.compare(a, b, self.cameras, self.photographs, sorted(self.flipped))
            for a, b in self.pairs
            if a not in without and b not in without and (touching is None or touching in (a, b))
        ]

    def epipolar_error(self, without: Collection[int] = ()) -> float | None:
        """Median distance, in head radii, of matches from where the cameras say; None where nothing matches."""
        off = [off for a, b, off in self._distances() if a not in without and b not in without]
        return float(np.median(np.concatenate(off))) if off else None

    @cached_property
    def all_off(self) -> bool:
        """Are the cameras off together, so that the small error of one is not its own fault?"""
        pairs = [(a, b, float(np.median(off))) for a, b, off in self._distances()]
        rest = [
            [off for a, b, off in pairs if a not in out and b not in out]
            for out in combinations(range(len(self.cameras)), LEFT_OUT)
        ]
        return all(off and np.median(off) > ALL_OFF for off in rest)

    def _distances(self) -> list[tuple[int, int, np.ndarray]]:
        """The pairs of views with enough matches, and how far each match is off."""
        if self.matches is None:
            return []
        found = [
            (a, b, self.matches.distances(a, b, self.cameras, self.photographs, sorted(self.flipped)))
            for a, b in self.pairs
        ]
        return [entry for entry in found if len(entry[2]) >= ENOUGH]

    def cost(self, without: Collection[int] = ()) -> float:
        """How badly all fits, in units of what a good rig stays below; about 0 to 1 for one without fault."""
        self.check()
        total = self.misfit(without) / LIMIT + self.no_match_cost(without)
        for pair in self.compared(without):
            if pair.fitted >= ENOUGH:
                wrong = 1 - pair.given / pair.fitted
                total += CONTRADICTION * max(0.0, wrong - (1 - KEPT)) / KEPT
        return total

    def no_match_cost(self, without: Collection[int] = ()) -> float:
        """The part of the cost that pairs without matches have: bald or smooth heads have many."""
        return NO_MATCH_COST * sum(pair.fitted < ENOUGH for pair in self.compared(without))
