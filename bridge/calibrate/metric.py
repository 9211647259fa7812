"""The scale of a capture from a known length: the same two places picked in two or more photographs each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import nearest_point
from ..capture.images import undistort_points
from ..errors import BridgeError

INTERPUPILLARY_MM = (
    63.0  # mean of adults; most lie within 54 to 74 mm (Dodgson 2004), so the scale is 10 % off at worst
)
FARTHEST_PX = 0.01  # of the image's longer side: a pick further than this from where the others put the place is wrong
LEAST_DEG = 2.0  # between the rays of a place, or its depth is a guess


@dataclass(frozen=True)
class Pick:
    """A place in one photograph; x, y in pixels of the photograph as it is stored, from its top left corner."""

    view: str
    x: float
    y: float

    @staticmethod
    def parse(text: str) -> Pick:
        match = re.fullmatch(r"(.+):\s*(-?\d+(?:\.\d*)?)\s*,\s*(-?\d+(?:\.\d*)?)\s*", text)
        if not match:
            raise ValueError(f"'{text}' is not NAME:x,y")
        return Pick(match.group(1), float(match.group(2)), float(match.group(3)))


def unit_mm(cameras: Sequence[Camera], ends: Sequence[Sequence[Pick]], length_mm: float) -> float:
    """Millimetres of one world unit. Raises BridgeError "scale"."""
    if len(ends) != 2:
        raise BridgeError(
            "scale", f"A length has two ends, not {len(ends)}.", "Give --between twice, once for each end."
        )
    first, second = (_place(cameras, picks, number) for number, picks in enumerate(ends, 1))
    distance = float(np.linalg.norm(first - second))
    if not distance > 0:
        raise BridgeError("scale", "The two ends of the known length are one place.", "Pick two different places.")
    return length_mm / distance


def _place(cameras: Sequence[Camera], picks: Sequence[Pick], number: int) -> np.ndarray:  # [3]
    cure = "Pick the same place, a pupil or a mark, in two or more photographs from different sides."
    chosen = [_view(cameras, pick.view) for pick in picks]
    if len({camera.name for camera in chosen}) < 2:
        raise BridgeError("scale", f"End {number} of the known length is picked in one photograph only.", cure)
    for camera, pick in zip(chosen, picks):
        if not (0 <= pick.x <= camera.width and 0 <= pick.y <= camera.height):
            size = f"{camera.width} x {camera.height}"
            raise BridgeError("scale", f"The pick {pick.x:g},{pick.y:g} lies outside '{pick.view}' ({size}).", cure)
    pixels = [undistort_points(np.array([[pick.x, pick.y]]), camera) for camera, pick in zip(chosen, picks)]
    rays = np.concatenate([camera.rays(pixel) for camera, pixel in zip(chosen, pixels)])
    if np.degrees(np.arccos(np.clip(rays @ rays.T, -1, 1))).max() < LEAST_DEG:
        raise BridgeError("scale", f"End {number} of the known length is seen from one side only.", cure)
    place = nearest_point(np.stack([camera.center for camera in chosen]), rays)
    for camera, pick, pixel in zip(chosen, picks, pixels):
        projected, depth = camera.project(place[None])
        off = float(np.linalg.norm(projected - pixel)) if depth[0] > 0 else np.inf
        if not off <= FARTHEST_PX * max(camera.width, camera.height):
            raise BridgeError(
                "scale",
                f"The picks of end {number} do not meet: '{pick.view}' is {off:.0f} pixels off."
                if np.isfinite(off)
                else f"The picks of end {number} do not meet: they lie behind '{pick.view}'.",
                cure,
            )
    return place


def _view(cameras: Sequence[Camera], name: str) -> Camera:
    stem = name.rpartition(".")[0]
    for camera in cameras:
        if camera.name in (name, stem):
            return camera
    names = ", ".join(camera.name for camera in cameras[:5])
    raise BridgeError("scale", f"No view is called '{name}'.", f"The views are {names} and so on.")
