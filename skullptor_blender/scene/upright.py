"""A rig of any world -> Blender's: metres, feet down, the face towards -Y (front view). NumPy only, no bpy.

Nothing but the cameras is looked at. Up: photographs are taken level, so all image rows lie in planes that hold no up:
the direction that is most orthogonal to them. Front: cameras crowd on the side of the face. What is upright already
stays as it is, to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..link.preflight import ViewRecord, common_point

SNAP = np.radians(5.0)  # an axis of the rig's world that is no further from up was meant to be it
KEEP_FRONT = np.radians(25.0)
ONE_SIDE = 0.15  # length of the mean direction to the cameras (0: an even ring) above which they have a side
LEVEL = 0.1  # mean squared share of up in the image rows above which the photographs were not taken level
SPREAD = 0.03  # and the spread of the rows below which they say nothing about up
HEAD_METRES = 0.25
SIZE_GUESSED = "The size of the rig is not known and was guessed from the pictures: Set Scale makes it true."
HEAD_SHARE = 0.6  # of the smaller side of a photograph of a head


@dataclass(frozen=True, eq=False)
class Upright:
    """matrix [4, 4]: the rig's world -> Blender's world in metres, a rotation times scale, with a shift."""

    matrix: np.ndarray
    scale: float
    said: tuple[str, ...] = ()  # what was guessed, for the artist


def place(views: Sequence[ViewRecord], unit_mm: float | None, front: str = "") -> Upright:
    """Where the rig should stand. unit_mm: millimetres of the rig's unit, None when nobody knows. front: the view that
    shows the face from the front, when it is not the side where most cameras stand. Raises KeyError without it.
    """
    said = []
    up = snapped(up_of(views))
    point, _ = common_point(views)
    if point is None:
        point = np.mean([view.center for view in views], axis=0)
    rotation = rotation_between(up, np.array([0.0, 0.0, 1.0]))
    names = [view.name for view in views]
    towards = [view.center - point for view in ([views[index_of(front, names)]] if front else views)]
    side = rotation @ np.mean([v / max(np.linalg.norm(v), 1e-12) for v in towards], axis=0)
    if np.hypot(side[0], side[1]) > ONE_SIDE:
        turn = -np.pi / 2 - np.arctan2(side[1], side[0])  # to -Y
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        if abs(turn) > (0 if front else KEEP_FRONT):
            rotation = about_z(turn) @ rotation
    else:
        said.append("The cameras stand all around, so turn the rig yourself if the face does not look to the front.")
    if unit_mm:
        scale = unit_mm / 1000.0
    else:
        scale = HEAD_METRES / head_size(views, point)
        said.append(SIZE_GUESSED)
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    if not unit_mm or np.abs(rotation - np.eye(3)).max() > 1e-12:
        matrix[:3, 3] = -scale * rotation @ point  # the head's middle comes to the origin
    return Upright(matrix, scale, tuple(said))


def index_of(name: str, names: Sequence[str]) -> int:
    """A view by its name, or by that of its photograph with its ending. Raises KeyError."""
    for wanted in (name, name.rpartition(".")[0]):
        if wanted in names:
            return list(names).index(wanted)
    raise KeyError(name)


def up_of(views: Sequence[ViewRecord]) -> np.ndarray:  # [3] unit
    """The direction that is up in the photographs."""
    mean = np.sum([-view.R[1] for view in views], axis=0)
    if np.linalg.norm(mean) < 1e-6 * len(views):
        mean = -views[0].R[1]
    mean = mean / np.linalg.norm(mean)
    rows = np.stack([view.R[0] for view in views])
    shares, directions = np.linalg.eigh(rows.T @ rows / len(rows))  # rising
    up = directions[:, 0] * np.sign(directions[:, 0] @ mean or 1.0)
    level = shares[0] < LEVEL and shares[1] > SPREAD and up @ mean > 0.5
    return up if level else mean


def snapped(up: np.ndarray) -> np.ndarray:  # [3] unit
    """The axis of the world that is almost up, else up itself."""
    axis = np.zeros(3)
    axis[np.argmax(np.abs(up))] = np.sign(up[np.argmax(np.abs(up))])
    return axis if angle(up, axis) <= SNAP else up


def head_size(views: Sequence[ViewRecord], point: np.ndarray) -> float:
    """Height of a head that fills its usual share of the photographs, in units of the rig."""
    sizes = [
        np.linalg.norm(view.center - point) * min(view.width / view.K[0, 0], view.height / view.K[1, 1])
        for view in views
    ]
    return max(HEAD_SHARE * float(np.median(sizes)), 1e-9)


def angle(a, b) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1)))


def about_z(turn: float) -> np.ndarray:  # [3, 3]
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [3, 3]
    """The smallest rotation that takes unit a to unit b (Rodrigues)."""
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-9:  # half a turn about anything square to a
        square = np.eye(3)[np.argmin(np.abs(a))]
        axis = np.cross(a, square)
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
