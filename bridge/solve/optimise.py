"""The optimiser of continuous remeshing: Adam with one step size per vertex, and the controller of edge lengths."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..mesh.candidates import LENGTH
from ..mesh.laplacian import diffused, laplacian
from ..mesh.remesh import HalfEdgeMesh
from ..mesh.topology import Rings

# columns of HalfEdgeMesh.data after position and target length: E[|g|^2], |m1| / sqrt(m2), E[g] (3 columns), and the
# running share of steps in which any pixel saw the vertex
SECOND, SPEED, FIRST, SEEN = LENGTH + 1, LENGTH + 2, LENGTH + 3, LENGTH + 6
EXTRA_COLUMNS = 6
COLUMNS = LENGTH + 1 + EXTRA_COLUMNS

BETA = 0.8  # both moments
SPEED_REFERENCE = 0.3  # below this speed edges get shorter, above it longer
GAIN = 0.2  # of the controller, per step
GRADIENT_LIMIT = 10.0  # a new gradient counts at most as this many times the running one


@njit(cache=True)
def moments(step):
    """How much of a moment stays and how much of the new is taken, bias-corrected; the share of the rate to go by."""
    c_previous = 1 - BETA ** (step - 1)
    c = 1 - BETA**step
    return BETA * c_previous / c, (1 - BETA) / c, min(1.0, step * (1 - BETA))


@njit(parallel=True, cache=True)
def _step(data, gradient, force, bend, step, rate, weight, shortest, longest, speed_reference, gain):
    """One update in place along the force; where the gradient is not 0 a view saw the vertex."""
    keep, take, ease = moments(step)
    rate *= ease
    for i in prange(data.shape[0]):
        pull = weight * data[i, SPEED]
        squared = 0.0
        seen = gradient[i, 0] != 0 or gradient[i, 1] != 0 or gradient[i, 2] != 0
        data[i, SEEN] = BETA * data[i, SEEN] + (1 - BETA) * (1.0 if seen else 0.0)
        for d in range(3):
            g = force[i, d] + pull * bend[i, d]
            m = data[i, FIRST + d]
            if step > 1:
                limit = abs(m) * GRADIENT_LIMIT
                g = min(max(g, -limit), limit)
            data[i, FIRST + d] = m * keep + g * take
            squared += g * g
        data[i, SECOND] = data[i, SECOND] * keep + squared * take
        inverse = 1.0 / (math.sqrt(data[i, SECOND]) + 1e-8)
        speed = 0.0
        for d in range(3):
            v = data[i, FIRST + d] * inverse
            speed += v * v
            data[i, d] -= rate * data[i, LENGTH] * v
        speed = math.sqrt(speed)
        data[i, SPEED] = speed
        length = data[i, LENGTH] * (1 + (speed - speed_reference) * gain)
        data[i, LENGTH] = min(max(length, shortest[i]), longest)


def optimise(mesh: HalfEdgeMesh, rings: Rings, positions: np.ndarray, gradient: np.ndarray, step: int, rate: float,
             weight: float, order: int, diffusion: int, relief: float, shortest: np.ndarray,
             longest: float) -> None:  # fmt: skip
    """Moves the mesh by one step (counted from 1) and adapts the target lengths within shortest [V] .. longest.

    The Laplacian term of Eq. 7 (weight, order: see SolveSettings and schedule.Stage) enters the gradient scaled by the
    vertex's speed: it smooths what is still moving. diffusion, relief: see SolveSettings.
    """
    # what no view sees has nothing to hold it but the pull to be flat
    even = np.ascontiguousarray(mesh.data[:, SEEN]) if order == 2 else None
    bend = laplacian(positions, rings, even)
    force = gradient
    if diffusion:
        force = diffused(gradient, rings, diffusion) + np.float32(relief) * gradient
    _step(mesh.data, gradient, force, bend, step, rate, weight, shortest, longest, SPEED_REFERENCE, GAIN)
