"""How far from the true surface a vertex is expected to lie, from what the photographs say about it."""

from __future__ import annotations

import numpy as np

from ..mesh import Surface
from .step import half_way

ROUNDS = 4  # of averaging over neighbours, which the bending of the surface holds together
# Decimal logarithms of the information per area in head radii^-4, and of the median distance from the true surface in
# head radii. Measured on valid_wf2 and nefertiti; on marble_bust, which took no part, the medians are within a factor
# of 1.6 of it above 10.5 and up to 6 times larger in the few percent below.
INFORMATION = (8.25, 8.75, 9.25, 9.75, 10.25, 10.75, 11.25, 11.75, 12.25, 12.75)
DISTANCE = (-2.14, -2.16, -2.54, -3.17, -3.6, -3.7, -3.78, -3.87, -4.02, -4.22)
SILENT = 1e-2  # head radii: where no two photographs say anything


def expected_error(surface: Surface, information: np.ndarray, areas: np.ndarray) -> np.ndarray:  # [V] float32
    """The distance within which half of such vertices lie from the truth, in the lengths of the head's frame.

    information [V] of the vertices' motion along their normals (1 / length^2), areas [V] of their share of the surface.
    """
    for _ in range(ROUNDS):
        information = half_way(np.ascontiguousarray(information), *surface.rings)
        areas = half_way(np.ascontiguousarray(areas), *surface.rings)
    with np.errstate(divide="ignore"):
        density = np.log10(np.maximum(information, 0) / areas)
    found = 10 ** np.interp(density, INFORMATION, DISTANCE)
    return np.where(density < INFORMATION[0], SILENT, found).astype(np.float32)
