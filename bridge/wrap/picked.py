"""All landmarks of a template from a few that a hand has set on it.

Our statistical head's landmarks are brought there by the hand's ones - a similarity, then a thin-plate spline
(Bookstein 1989) that passes through them - and put onto the template's surface.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from ..errors import BridgeError
from ..head.canonical import similarity
from ..head.landmarks import COUNT
from ..model import LandmarkMap, Template
from ..model import head_model as statistical
from .landmark_maps import on_surface

LEAST = 6
FAR = 0.25  # of the picks' own size: what lies so far off the usual head's is on another place than it says
SPREAD_MM = 1.5  # of landmarks that no hand has set


def from_picks(template: Template, picks: dict[int, np.ndarray]) -> LandmarkMap:
    """The map of a template by landmarks {number: point [3], millimetres}. Raises BridgeError "template-picks"."""
    usual = statistical.load().template
    assert usual.landmarks is not None  # the shipped model has them
    marks = usual.landmarks.points(usual.vertices)
    if len(picks) < LEAST:
        raise _wrong(template, f"has {len(picks)} landmarks set by hand", f"Set {LEAST} or more, all around the face.")
    numbers = np.array(sorted(picks))
    there = np.array([picks[int(number)] for number in numbers], np.float64)
    found, mirrored = similarity(marks[numbers], there), similarity(marks[numbers] * [-1, 1, 1], there)
    off, off_mirrored = (_off(fit, marks[numbers] * sign, there) for fit, sign in ((found, 1), (mirrored, [-1, 1, 1])))
    if off_mirrored.mean() < 0.5 * off.mean():
        raise _wrong(template, "has its landmarks on the wrong sides", "Left is the head's own left: swap them.")
    if found is None or off.max() > FAR:
        worst = int(numbers[int(off.argmax())])
        raise _wrong(template, f"has landmark {worst} where no face has it", "Move it onto its place.")
    if np.trace(found.rotation) < 1 + 2 * np.cos(np.radians(40)):
        raise _wrong(
            template, "does not stand upright or looks aside", "Turn it so that +Y (Blender: +Z) is up and the face "
            "looks along +Z (Blender: -Y)."
        )  # fmt: skip
    placed = found.apply(marks)
    warped = placed + RBFInterpolator(placed[numbers], there - placed[numbers], kernel="thin_plate_spline")(placed)
    corners, weights, far = on_surface(template.vertices, template.triangles_of("skin"), warped)
    spread = np.hypot(SPREAD_MM, far)
    spread[numbers] = 0.5
    assert len(corners) == COUNT
    return LandmarkMap(corners, weights, spread)


def _off(fit, source: np.ndarray, target: np.ndarray) -> np.ndarray:  # [n] of the picks' size
    if fit is None:
        return np.full(len(source), np.inf)
    return np.linalg.norm(fit.apply(source) - target, axis=1) / np.linalg.norm(np.ptp(target, axis=0))


def _wrong(template: Template, what: str, cure: str) -> BridgeError:
    return BridgeError("template-picks", f"The template '{template.name}' {what}.", cure)
