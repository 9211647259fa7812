"""The optimiser of continuous remeshing: Adam with one step size per vertex, and the controller of edge lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from ..mesh import Surface
from ..mesh.candidates import LENGTH
from ..mesh.laplacian import diffused, laplacian
from ..mesh.remesh import HalfEdgeMesh

# columns of HalfEdgeMesh.data after position and target length: E[|g|^2], E[g] (3 columns), and the running share of
# steps in which any pixel saw the vertex
SECOND, FIRST, SEEN = LENGTH + 1, LENGTH + 2, LENGTH + 5
EXTRA_COLUMNS = 5
COLUMNS = LENGTH + 1 + EXTRA_COLUMNS

BETA = 0.8  # both moments
SPEED_REFERENCE = 0.3  # below this speed edges get shorter, above it longer
GAIN = 0.2  # of the controller, per step
LEAST_WEIGHT = 0.5  # of the second-order Laplacian, the share of it that a step of rate 1 takes away in any case
MOST_BEND = 0.25  # share of it that a step takes away at most: its eigenvalues reach 4, and no ripple may turn over
GRADIENT_LIMIT = 10.0  # a new gradient counts at most as this many times the running one


@dataclass(frozen=True)
class Motion:
    """What a step is told, wherever its mesh lies."""

    step: int  # counted from 1
    rate: float  # step length as a share of the edge length
    laplacian: float  # weight
    order: int  # of the Laplacian
    diffusion: int  # rounds over which the gradient is spread; 0: it goes as it is
    relief: float  # its weight as it is beside that
    vertex_budget: float  # that the edge lengths aim at (density.py) ...
    shortest: float  # ... within these limits
    longest: float
    least: float = LEAST_WEIGHT  # share of the second-order Laplacian that a step takes away in any case (optimise.py)


def moments(step: int) -> tuple[float, float, float]:
    """How much of a moment stays and how much of the new is taken, bias-corrected; the share of the rate to go by."""
    c_previous = 1 - BETA ** (step - 1)
    c = 1 - BETA**step
    return BETA * c_previous / c, (1 - BETA) / c, min(1.0, step * (1 - BETA))


@njit(inline="always")
def _speed(data, i):
    """|E[g]| / sqrt(E[|g|^2]): 1 if the gradient is always the same."""
    x, y, z = data[i, FIRST], data[i, FIRST + 1], data[i, FIRST + 2]
    return math.sqrt(x * x + y * y + z * z) / (math.sqrt(data[i, SECOND]) + 1e-8)


@njit(parallel=True, cache=True)
def _step(data, gradient, force, bend, order, keep, take, rate, weight, least, shortest, longest):
    """One update in place along the force and against the bend; where the gradient is not 0 a view saw the vertex."""
    for i in prange(data.shape[0]):
        squared = 0.0
        seen = gradient[i, 0] != 0 or gradient[i, 1] != 0 or gradient[i, 2] != 0
        data[i, SEEN] = BETA * data[i, SEEN] + (1 - BETA) * (1.0 if seen else 0.0)
        inside = weight * _speed(data, i) if order == 1 else 0.0
        for d in range(3):
            g = force[i, d] + inside * bend[i, d]
            m = data[i, FIRST + d]
            if m != 0:  # what is seen for the first time has nothing to be measured by
                limit = abs(m) * GRADIENT_LIMIT
                g = min(max(g, -limit), limit)
            data[i, FIRST + d] = m * keep + g * take
            squared += g * g
        data[i, SECOND] = data[i, SECOND] * keep + squared * take
        speed = _speed(data, i)
        step = rate * data[i, LENGTH] / (math.sqrt(data[i, SECOND]) + 1e-8)
        outside = min(max(weight * speed * step, least * rate), MOST_BEND) if order == 2 else 0.0
        for d in range(3):
            data[i, d] -= step * data[i, FIRST + d] + outside * bend[i, d]
        length = data[i, LENGTH] * (1 + (speed - SPEED_REFERENCE) * GAIN)
        data[i, LENGTH] = min(max(length, shortest[i]), longest)


def optimise(mesh: HalfEdgeMesh, surface: Surface, gradient: np.ndarray, motion: Motion, shortest: np.ndarray) -> None:
    """Moves the mesh, whose surface it is, by one step and adapts the target lengths within shortest [V] .. longest.

    The Laplacian term of Eq. 7 (motion.laplacian, motion.order) is scaled by the vertex's speed: it smooths what still
    moves. Of the first order it is part of the gradient, as published. Of the second it stays out of the moments, as
    weight decay does in Loshchilov and Hutter 2019, and has a limit: where few views look the gradient is small, and in
    one sum with it the term holds the surface away from the true one.
    """
    # what no view sees has nothing to hold it but the pull to be flat
    even = np.ascontiguousarray(mesh.data[:, SEEN]) if motion.order == 2 else None
    bend = laplacian(surface.vertices, surface.rings, even)
    force = gradient
    if motion.diffusion:
        force = diffused(gradient, surface.rings, motion.diffusion) + np.float32(motion.relief) * gradient
    keep, take, ease = moments(motion.step)
    rate, weight, least, longest = motion.rate * ease, motion.laplacian, motion.least, motion.longest
    _step(mesh.data, gradient, force, bend, motion.order, keep, take, rate, weight, least, shortest, longest)
