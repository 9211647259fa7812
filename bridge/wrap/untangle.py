"""Shapes by which lips and lids do not pass through each other: each alone, and half of any two together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..errors import Check, unchecked
from ..mesh.apart import Folds
from ..model import Template
from .parts import balls, lids_on, outward
from .regions import Regions, folds
from .shapes import CLOSING

MOVES_MM = 0.2  # a shape that moves a fold less cannot make it cross
HALF = 0.5
COMPANION = {"mouthClose": "jawOpen"}  # closes the lips of an open jaw: without it it means nothing (ARKit)


@dataclass(frozen=True)
class Mix:
    """Shapes worn together at one weight. mended: those of them that are changed where faces cross."""

    shapes: tuple[int, ...]
    weight: float
    mended: tuple[int, ...]
    pair: bool = False


@dataclass(frozen=True)
class Effort:
    """rounds over all mixtures; millimetres left between folds; in how many steps the way to a mixture is gone."""

    rounds: int = 1
    margin: float = 0.02
    tries: tuple[int, ...] = (1,)


def untangled(
    template: Template,
    regions: Regions,
    vertices: np.ndarray,  # [V, 3] neutral, millimetres
    shapes: np.ndarray,  # [m, V, 3] displacements at weight 1
    effort: Effort = Effort(),
    *,
    check: Check = unchecked,
) -> np.ndarray:  # [m, V, 3] float64
    """The shapes, changed around lips and lids where they, or half of any two, make faces cross that can be seen."""
    result = shapes.astype(np.float64)
    triangles = template.triangles_of("skin")
    seen = regions.exposed[triangles].all(1)
    eyes = list(zip(balls(template, vertices), lids_on(template, regions), strict=True))

    def off(which: np.ndarray, places: np.ndarray) -> np.ndarray:
        found = np.zeros_like(places)
        for eye, lids in eyes:
            own = lids[which]
            found[own] = outward(places[own], eye)
        return found

    for near in folds(template, regions):
        zone = Folds(vertices, triangles, near, seen, off)
        local = np.ascontiguousarray(result[:, zone.vertices])
        moving = np.linalg.norm(local, axis=2).max(1) > MOVES_MM
        tangle = _Tangle(zone, local, _mixes(template.expression_names, moving))
        for _ in range(effort.rounds):
            if not tangle.loosen(effort, check):
                break
        result[:, zone.vertices] = tangle.shapes
    return result


def mixtures(names: Sequence[str]) -> list[Mix]:
    """Every shape at 1 and at a half, and half of any two; not lids closed at 1, which are held together."""
    return _mixes(tuple(names), np.ones(len(names), bool))


def _mixes(names: Sequence[str], moving: np.ndarray) -> list[Mix]:
    companion = {names.index(a): names.index(b) for a, b in COMPANION.items() if a in names and b in names}
    closing = {names.index(name) for name in CLOSING if name in names}
    own = [int(i) for i in np.flatnonzero(moving)]
    mixes = [Mix((i, *_of(companion, (i,))), 1.0, (i,)) for i in own if i not in closing]
    for group in [*((i,) for i in own), *combinations(own, 2)]:
        mended = tuple(i for i in group if i not in closing) or group
        mixes.append(Mix(tuple(dict.fromkeys((*group, *_of(companion, group)))), HALF, mended, len(group) == 2))
    return mixes


def _of(companion: dict[int, int], group: Sequence[int]) -> list[int]:
    return [companion[i] for i in group if i in companion]


class _Tangle:
    """Shapes [m, n, 3] of one fold and how many pairs of faces cross in each of their mixtures."""

    def __init__(self, zone: Folds, shapes: np.ndarray, mixes: list[Mix]) -> None:
        self.shapes = shapes
        self._zone, self._mixes = zone, mixes
        self._counts = self._crossings(np.arange(len(mixes)))

    def _crossings(self, which: np.ndarray) -> np.ndarray:  # [k] int
        mixes = [self._mixes[i] for i in which]
        members = np.full((len(mixes), 3), -1, np.int64)
        for row, mix in zip(members, mixes, strict=True):
            row[: len(mix.shapes)] = mix.shapes
        return self._zone.crossings(self.shapes, members, np.array([mix.weight for mix in mixes]))

    def loosen(self, effort: Effort, check: Check) -> bool:
        """One round over all mixtures in which faces cross; False when it changed nothing."""
        before = self._counts.sum()
        for k in np.flatnonzero(self._counts):
            check()
            if self._counts[k]:  # still, after the ones before it
                self._mend(int(k), effort)
        return bool(self._counts.sum() < before)

    def _mend(self, k: int, effort: Effort) -> None:
        """What takes a mixture apart is given to its shapes by the squares of their own motion, if fewer faces cross
        then in all mixtures together."""
        mix = self._mixes[k]
        worn = mix.weight * self.shapes[list(mix.shapes)].sum(0)
        moved, left = self._zone.apart(worn, effort.margin, effort.tries)
        if left >= self._counts[k]:
            return
        own = list(mix.mended)
        kept = self.shapes[own]
        motion = np.square(kept).sum((1, 2))
        self.shapes[own] += (motion / motion.sum() / mix.weight)[:, None, None] * moved
        touched = np.array([i for i, other in enumerate(self._mixes) if set(own) & set(other.shapes)])
        now = self._crossings(touched)
        if now.sum() < self._counts[touched].sum():
            self._counts[touched] = now
        else:
            self.shapes[own] = kept
