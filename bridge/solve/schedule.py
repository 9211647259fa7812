"""What changes during a solve: resolution, learning rate and the limits of the edge length (coarse to fine)."""

from __future__ import annotations

from dataclasses import dataclass

from .optimise import LEAST_WEIGHT
from .settings import USUAL_LAPLACIAN, SolveSettings


@dataclass(frozen=True)
class Stage:
    """A part of the solve at one resolution."""

    end: float  # share of the steps at which it ends
    shrink: float  # resolution is settings.resolution / shrink
    share: float  # of the vertices of the result ...
    most: float  # ... but no more than so many: large shapes settle fast only while vertices are few
    groups: int  # the views take turns in this many groups: a step costs that much less and loses little
    order: int  # of the Laplacian (see STAGES)
    smoothing: float  # times the Laplacian's weight
    spread: int  # times the rounds of the gradient's diffusion


# The Laplacian of order 1 (Eq. 7) keeps the first, fast growth free of folds, but it shrinks whatever is round: a
# surface that it holds to the end stays 0.02 % of the diagonal away from the true one. Order 2 leaves even bends alone
# and damps ripples more. A step goes a share of an edge: what is broad finds its place while vertices are few, in finer
# and finer images (docs/bench.md, "Few vertices for longer").
STAGES = (
    Stage(0.25, 4, 0.16, 4_000, 1, 1, 2.0, 4),
    Stage(0.5, 2, 0.44, 25_000, 1, 2, 1.0, 4),
    Stage(0.7, 1.5, 1.0, 25_000, 1, 2, 1.0, 4),
    Stage(1.0, 1, 1.0, float("inf"), 2, 2, 0.1, 1),
)
# From 25k vertices the step to so many would be too far: the mesh settles at 100k first.
DENSE = 200_000
DENSE_STAGES = (
    Stage(0.2, 4, 0.16, 4_000, 1, 1, 2.0, 4),
    Stage(0.35, 2, 0.44, 25_000, 1, 2, 1.0, 4),
    Stage(0.5, 1.5, 1.0, 25_000, 1, 2, 1.0, 4),
    Stage(0.7, 1.5, 0.44, 100_000, 1, 2, 0.4, 1),
    Stage(1.0, 1, 1.0, float("inf"), 2, 2, 0.4, 1),
)
GROUP_MINIMUM = 4  # views a group has at least
LONGEST = 0.15  # upper limit of the edge length in head radii at the start
DECAY_START = 0.6  # share of the steps after which the learning rate falls
DECAY_TO = 0.15
RELIEF_FROM = 0.8  # share of the steps after which the gradient is not diffused any more, where relief counts

VERTEX_WORK = 11  # what a vertex costs in a view, in units of what a pixel costs (measured, CPU)

PATIENCE = 20  # steps: the mean loss of so many is compared with that of as many before them
LEAST_GAIN = 1e-3  # relative; a smaller gain at the finest level ends the solve


def stages_of(settings: SolveSettings) -> tuple[Stage, ...]:
    return DENSE_STAGES if settings.max_vertices >= DENSE else STAGES


def has_converged(losses: list[float], first_of_stage: int) -> bool:
    """True if the loss stands still since that step. losses: of all steps so far."""
    recent = losses[first_of_stage:]
    if len(recent) < 3 * PATIENCE:
        return False
    before, now = sum(recent[-2 * PATIENCE : -PATIENCE]), sum(recent[-PATIENCE:])
    return before - now < LEAST_GAIN * abs(before)


def stage_at(settings: SolveSettings, fraction: float) -> int:
    stages = stages_of(settings)
    return next(i for i, stage in enumerate(stages) if fraction < stage.end or i == len(stages) - 1)


def resolution_of(settings: SolveSettings, stage: Stage) -> int:
    return max(16, round(settings.resolution / stage.shrink))


def wanted_vertices(settings: SolveSettings, stage: Stage) -> float:
    return min(stage.share * settings.max_vertices, stage.most)


def laplacian_weight(settings: SolveSettings, stage: Stage) -> float:
    """Of the Laplacian; the stages' factors were found for their own orders."""
    return settings.laplacian * (stage.smoothing if laplacian_order(settings, stage) == stage.order else 1.0)


def least_laplacian(settings: SolveSettings) -> float:
    """Share of the second-order Laplacian that a step takes away in any case: less for who asks for less than usual."""
    return LEAST_WEIGHT * min(1.0, settings.laplacian / USUAL_LAPLACIAN)


def laplacian_order(settings: SolveSettings, stage: Stage) -> int:
    """Losses that pull as hard however near the surface is need the order that shrinks to hold them back (measured)."""
    return stage.order if settings.loss in ("l2", "robust") else 1


def diffusion(settings: SolveSettings, stage: Stage, fraction: float) -> int:
    """Rounds over which the gradient is spread."""
    return 0 if settings.relief > 0 and fraction >= RELIEF_FROM else settings.diffusion * stage.spread


def view_groups(views: int, stage: Stage) -> list[list[int]]:
    """Indices of the views that one step looks at, interleaved so that neighbours on a ring share no group."""
    count = max(1, min(stage.groups, views // GROUP_MINIMUM))
    return [list(range(first, views, count)) for first in range(count)]


def learning_rate(settings: SolveSettings, fraction: float) -> float:
    late = max(0.0, (fraction - DECAY_START) / (1 - DECAY_START))
    return settings.learning_rate * DECAY_TO**late


def work(settings: SolveSettings, views: int, fraction: float) -> float:
    """Share of the solve's work that is done after that share of its steps: the last ones take ten times the first."""
    done = whole = begin = 0.0
    for stage in stages_of(settings):
        a_view = resolution_of(settings, stage) ** 2 + VERTEX_WORK * wanted_vertices(settings, stage)
        step = a_view * views / len(view_groups(views, stage))
        whole += step * (stage.end - begin)
        done += step * max(0.0, min(fraction, stage.end) - begin)
        begin = stage.end
    return done / whole
