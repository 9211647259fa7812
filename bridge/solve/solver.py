"""The optimisation loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.framing import HeadFrame
from bridge.mesh import Mesh

from .settings import SolveSettings
from .targets import Target


@dataclass(frozen=True)
class Progress:
    """What one step reports."""

    done: int  # steps taken
    total: int  # steps planned; an early stop ends the iteration before it is reached
    loss: float
    vertices: int


class Solver:
    """Iterating takes the steps; the caller may stop at any time and call finish().

    Works in the head's frame (unit sphere, float32) and returns world coordinates (float64): the world's scale and
    its distance from the origin do not matter. start: a sphere to begin with; None takes it from the masks' boxes.
    Raises ValueError with a sentence when fewer than 2 views have a mask.
    """

    def __init__(self, targets: Sequence[Target], settings: SolveSettings, start: HeadFrame | None = None) -> None:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Progress]:
        raise NotImplementedError

    def mesh(self) -> Mesh:
        """The mesh of this moment: closed, manifold, outward."""
        raise NotImplementedError

    def finish(self) -> Mesh:
        """The mesh after the final clean-up. May be called after any number of steps."""
        raise NotImplementedError
