"""What changes during a solve: resolution, learning rate and the limits of the edge length (coarse to fine)."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import SolveSettings


@dataclass(frozen=True)
class Stage:
    """A part of the solve at one resolution."""

    end: float  # share of the steps at which it ends
    shrink: int  # resolution is settings.resolution / shrink
    edge: float  # lower limit of the edge length, as a multiple of the final one
    groups: int  # the views take turns in this many groups: a step costs that much less and loses little


STAGES = (Stage(0.25, 4, 2.5, 1), Stage(0.6, 2, 1.5, 2), Stage(1.0, 1, 1.0, 2))
GROUP_MINIMUM = 4  # views a group has at least
LONGEST = 0.15  # upper limit of the edge length in head radii at the start
DECAY_START = 0.6  # share of the steps after which the learning rate falls
DECAY_TO = 0.15


PATIENCE = 20  # steps: the mean loss of so many is compared with that of as many before them
LEAST_GAIN = 1e-3  # relative; a smaller gain at the finest level ends the solve


def has_converged(losses: list[float], stage: int, first_of_stage: int) -> bool:
    """True if the finest level's loss stands still. losses: of all steps so far."""
    recent = losses[first_of_stage:]
    if stage < len(STAGES) - 1 or len(recent) < 3 * PATIENCE:
        return False
    before, now = sum(recent[-2 * PATIENCE : -PATIENCE]), sum(recent[-PATIENCE:])
    return before - now < LEAST_GAIN * abs(before)


def stage_at(fraction: float) -> int:
    return next(i for i, stage in enumerate(STAGES) if fraction < stage.end or i == len(STAGES) - 1)


def resolution_of(settings: SolveSettings, stage: int) -> int:
    return max(16, settings.resolution // STAGES[stage].shrink)


def view_groups(views: int, stage: int) -> list[list[int]]:
    """Indices of the views that one step looks at, interleaved so that neighbours on a ring share no group."""
    count = max(1, min(STAGES[stage].groups, views // GROUP_MINIMUM))
    return [list(range(first, views, count)) for first in range(count)]


def learning_rate(settings: SolveSettings, fraction: float) -> float:
    late = max(0.0, (fraction - DECAY_START) / (1 - DECAY_START))
    return settings.learning_rate * DECAY_TO**late
