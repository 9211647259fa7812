"""What changes during a solve: resolution, learning rate and the limits of the edge length (coarse to fine)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

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
    order: int  # of the Laplacian (see USUAL)
    smoothing: float  # times the Laplacian's weight
    spread: int  # times the rounds of the gradient's diffusion


@dataclass(frozen=True)
class Plan:
    """A whole solve."""

    stages: tuple[Stage, ...]
    decay_start: float  # share of the steps after which the learning rate falls, evenly in its logarithm ...
    decay_to: float  # ... to this share of itself


# The Laplacian of order 1 (Eq. 7) keeps the first, fast growth free of folds, but it shrinks whatever is round: a
# surface that it holds to the end stays 0.02 % of the diagonal away from the true one. Order 2 leaves even bends alone
# and damps ripples more. A step goes a share of an edge: what is broad finds its place while vertices are few, in finer
# and finer images (docs/lab/solver.md, "Few vertices for longer").
USUAL = Plan(
    stages=(
        Stage(end=0.25, shrink=4, share=0.16, most=4_000, groups=1, order=1, smoothing=2.0, spread=4),
        Stage(end=0.5, shrink=2, share=0.44, most=25_000, groups=1, order=2, smoothing=1.0, spread=4),
        Stage(end=0.7, shrink=1.5, share=1.0, most=25_000, groups=1, order=2, smoothing=1.0, spread=4),
        Stage(end=1.0, shrink=1, share=1.0, most=inf, groups=2, order=2, smoothing=0.1, spread=1),
    ),
    decay_start=0.6,
    decay_to=0.15,
)
# From 25k vertices the step to so many would be too far: the mesh settles at 100k first. All views in every step of the
# last stage hold broad shapes in place, and the slower rate at its end makes up for the roughness that costs
# (docs/lab/solver.md, "Fine").
DENSE_FROM = 200_000
DENSE = Plan(
    stages=(
        Stage(end=0.2, shrink=4, share=0.16, most=4_000, groups=1, order=1, smoothing=2.0, spread=4),
        Stage(end=0.35, shrink=2, share=0.44, most=25_000, groups=1, order=2, smoothing=1.0, spread=4),
        Stage(end=0.55, shrink=1, share=1.0, most=25_000, groups=1, order=2, smoothing=1.0, spread=4),
        Stage(end=0.75, shrink=1, share=0.44, most=100_000, groups=1, order=2, smoothing=0.4, spread=1),
        Stage(end=1.0, shrink=1, share=1.0, most=inf, groups=1, order=2, smoothing=0.4, spread=1),
    ),
    decay_start=0.75,
    decay_to=0.08,
)
GROUP_MINIMUM = 4  # views a group has at least
LONGEST = 0.15  # upper limit of the edge length in head radii at the start
RELIEF_FROM = 0.8  # share of the steps after which the gradient is not diffused any more, where relief counts

VERTEX_WORK = 11  # what a vertex costs in a view, in units of what a pixel costs (measured, CPU)

PATIENCE = 20  # steps: the mean loss of so many is compared with that of as many before them
LEAST_GAIN = 1e-3  # relative; a smaller gain at the finest level ends the solve ...
SETTLE = 40  # steps later: until the rate has fallen, the length of the steps is what the loss stands still at


def plan_of(settings: SolveSettings) -> Plan:
    """The stages of a solve: those of DENSE where many vertices are wanted."""
    return DENSE if settings.max_vertices >= DENSE_FROM else USUAL


def last_step(settings: SolveSettings, still: int | None) -> int:
    """Number of steps of a solve whose loss stands still since that step (None: it does not)."""
    return settings.steps if still is None else min(settings.steps, still + SETTLE)


def fraction_at(settings: SolveSettings, still: int | None, step: int) -> float:
    """Share of the schedule that is over at a step: evenly to the end, from standing still on as fast as it takes."""
    if still is None or step <= still:
        return step / settings.steps
    left = (last_step(settings, still) - step) / (last_step(settings, still) - still)
    return 1 - left * (1 - still / settings.steps)


def has_converged(losses: list[float], first_of_stage: int) -> bool:
    """True if the loss stands still since that step. losses: of all steps so far."""
    recent = losses[first_of_stage:]
    if len(recent) < 3 * PATIENCE:
        return False
    before, now = sum(recent[-2 * PATIENCE : -PATIENCE]), sum(recent[-PATIENCE:])
    return before - now < LEAST_GAIN * abs(before)


def stage_at(settings: SolveSettings, fraction: float) -> int:
    """Which stage a share 0..1 of the schedule belongs to."""
    stages = plan_of(settings).stages
    return next(i for i, stage in enumerate(stages) if fraction < stage.end or i == len(stages) - 1)


def resolution_of(settings: SolveSettings, stage: Stage) -> int:
    """Pixels of a stage's images."""
    return max(16, round(settings.resolution / stage.shrink))


def wanted_vertices(settings: SolveSettings, stage: Stage) -> float:
    """How many vertices a stage aims at."""
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


def view_groups(settings: SolveSettings, views: int, stage: Stage) -> list[list[int]]:
    """Indices of the views that one step looks at, interleaved so that neighbours on a ring share no group."""
    count = max(1, min(stage.groups, views // GROUP_MINIMUM)) if settings.turns else 1
    return [list(range(first, views, count)) for first in range(count)]


def learning_rate(settings: SolveSettings, fraction: float) -> float:
    """The optimiser's rate at a share 0..1 of the schedule."""
    plan = plan_of(settings)
    late = max(0.0, (fraction - plan.decay_start) / (1 - plan.decay_start))
    return settings.learning_rate * plan.decay_to**late


def work(settings: SolveSettings, views: int, fraction: float) -> float:
    """Share of the solve's work that is done after that share of its steps: the last ones take ten times the first."""
    done = whole = begin = 0.0
    for stage in plan_of(settings).stages:
        a_view = resolution_of(settings, stage) ** 2 + VERTEX_WORK * wanted_vertices(settings, stage)
        step = a_view * views / len(view_groups(settings, views, stage))
        whole += step * (stage.end - begin)
        done += step * max(0.0, min(fraction, stage.end) - begin)
        begin = stage.end
    return done / whole
