"""Stand a rig upright as Blender sees it: +Z up, the face towards -Y (the front view), the head at the origin.

The similarity is kept in capture.json, so that results and other data of the rig's own world still line up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..capture.cameras import Camera, Similarity
from ..capture.framing import head_frame, rig_up
from ..capture.record import Capture
from ..errors import BridgeError
from .canonical import Canonical

UP, FRONT = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
HEAD_RADIUS = 0.15  # units: where the scale is unknown a head gets about the size it has in metres
# Horizons tell up within 2 degrees, the network within 10; but where cameras were rolled at will only it tells at all
ROLLED = np.radians(30.0)
EVEN = 0.15  # a mean direction shorter than this says nothing: the cameras stand all around


def similarity(
    cameras: Sequence[Camera],
    front: str | None = None,
    unit_mm: float | None = None,
    head: Canonical | None = None,
) -> Similarity:
    """The similarity that stands the rig upright.

    front: name of the view that shows the face; without it the face is where the head looks, else where most cameras
    stand. unit_mm: of the world as it is; the result is in metres then, else the head gets about the size of a head.
    head: where the network sees it, if that can be trusted.
    Raises BridgeError "view" for a front that does not exist, "cameras-apart" where no head can be placed.
    """
    try:
        frame = head_frame(cameras)
    except ValueError:
        raise BridgeError(
            "cameras-apart", "All cameras look in parallel, so no head can be placed.", "Check the cameras' rotations."
        ) from None
    up = rig_up(cameras)
    if head is not None and up @ head.up < np.cos(ROLLED):
        up = head.up
    if head is not None and front is None:
        front_direction = _across(head.front, up)
    else:
        front_direction = _front(cameras, frame.center, up, front)
    # rows: right (+X), back (+Y), up (+Z) of the upright world in the old one
    rotation = np.stack([np.cross(up, front_direction), -front_direction, up])
    guessed = HEAD_RADIUS / frame.radius if head is None else head.unit_mm / 1000.0
    scale = guessed if unit_mm is None else unit_mm / 1000.0
    return Similarity(scale, rotation, -scale * rotation @ (frame.center if head is None else head.center))


def apply(capture: Capture, turn: Similarity) -> Capture:
    """The capture in the turned world; capture.upright says how it got there from the rig's own world."""
    if capture.evaluation is not None:
        raise BridgeError(
            "upright", "A capture with ground truth cannot be turned: its depth maps are in its own world.", ""
        )
    views = tuple(replace(view, camera=turn.camera(view.camera)) for view in capture.views)
    unit = None if capture.unit_mm is None else capture.unit_mm / turn.scale
    return replace(capture, views=views, unit_mm=unit, upright=turn.after(capture.upright) if capture.upright else turn)


def _front(cameras: Sequence[Camera], center: np.ndarray, up: np.ndarray, front: str | None) -> np.ndarray:  # [3]
    """Unit direction across up from the head towards where its face looks."""
    if front is not None:
        named = [camera for camera in cameras if front in (camera.name, camera.name.rpartition(".")[0])]
        if not named:
            names = ", ".join(camera.name for camera in cameras[:5])
            raise BridgeError("view", f"No view is called '{front}'.", f"The views are {names} and so on.")
        cameras = named
    offsets = np.stack([camera.center for camera in cameras]) - center
    flat = offsets - np.outer(offsets @ up, up)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.maximum(lengths, 1e-12)
    middle = flat.mean(0)
    if np.linalg.norm(middle) < EVEN or front is not None:
        middle = flat[0] if lengths[0] > 1e-9 else cameras[0].up
    return _across(middle, up)


def _across(direction: np.ndarray, up: np.ndarray) -> np.ndarray:  # [3] unit
    """The part of a direction that is square to up."""
    flat = direction - (direction @ up) * up
    return flat / max(np.linalg.norm(flat), 1e-12)
