"""What the mattes of all views together say about each picture: a solid they vote for, seen again by every camera.

A place belongs to the head if nearly all views that have it in their picture show head there (space carving by votes
instead of an intersection, so that one bad matte does not carve a hole). Each view is then told what the *others* say:
a pixel whose ray misses their solid is background, one whose ray goes deep through it is head if the view thinks so
too. In between the solid is too loose to tell, the more so the fewer the views: there the photograph has to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import minimum_filter

from ..capture.cameras import Camera
from ..capture.framing import head_frame
from ..capture.masks import boxes

LEAST_VIEWS = 3
GRID = 64  # voxels along an edge
REACH = 1.4  # half edge of the grid in head radii
AGAINST = 0.1  # share of the views that may call a place of the head background (rounded: 1 view of 5 to 14)
DEEP = 0.12  # head radii below the solid's surface
# Share of what the others' rays go deep through that a matte may lack. The network's own lack at most 0.40, on four
# captures and in subsets of 3 to 7 views
LACKING = 0.42
LEAST_SHARE = 2 / 3  # of the views must agree


@dataclass(frozen=True, eq=False)
class Expected:
    """What the other views say about one view's picture."""

    possible: np.ndarray  # [h, w] bool: the ray meets their solid
    deep: np.ndarray  # [h, w] bool: it goes through the solid's inside
    outvoted: bool  # the view's own matte contradicts that, and was not counted


def expected_from_others(
    cameras: Sequence[Camera], mattes: Sequence[np.ndarray], silent: Sequence[np.ndarray] | None = None
) -> list[Expected] | None:
    """For mattes [h, w] 0..1 of any size of the cameras' fields of view; None where the views are too few or too
    much at odds to agree on a solid. silent: [h, w] bool of each, where its matte has no vote (none: it always has)."""
    if len(cameras) < LEAST_VIEWS:
        return None
    heads = [matte > 0.5 for matte in mattes]
    silent = [np.zeros_like(head) for head in heads] if silent is None else silent
    cameras = [camera.resize(*head.shape[::-1]) for camera, head in zip(cameras, heads, strict=True)]
    grid = _Grid.around(cameras, heads)
    if grid is None:
        return None
    votes = np.stack([grid.votes(*view) for view in zip(cameras, heads, silent)])
    needed = max(LEAST_VIEWS, int(np.ceil(LEAST_SHARE * len(cameras))))
    outvoted = {i for i, head in enumerate(heads) if not head.any()}
    while len(voters := [i for i in range(len(cameras)) if i not in outvoted]) >= needed:
        expected = _leave_one_out(grid, cameras, votes, voters)
        # a matte that lacks something carves it from all others' solid: the worst goes first, then they are asked again
        lacking = {i: _share(expected[i][1], ~heads[i] & ~silent[i]) for i in voters}
        worst = max(voters, key=lacking.__getitem__)
        if lacking[worst] <= LACKING:
            break
        outvoted.add(worst)
    else:
        return None
    if not any(deep.any() for _, deep in expected):
        return None
    return [Expected(*said, i in outvoted) for i, said in enumerate(expected)]


def _share(of: np.ndarray, inside: np.ndarray) -> float:
    return float((of & inside).sum() / max(of.sum(), 1))


@dataclass(frozen=True, eq=False)
class _Grid:
    points: np.ndarray  # [GRID**3, 3] in the world
    voxel: float  # edge length

    @classmethod
    def around(cls, cameras: Sequence[Camera], heads: Sequence[np.ndarray]) -> _Grid | None:
        try:
            frame = head_frame(cameras, boxes(heads))
        except ValueError:  # parallel cameras
            return None
        side = (np.arange(GRID) + 0.5) / GRID * 2 - 1
        cube = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
        return cls(frame.center + REACH * frame.radius * cube, 2 * REACH * frame.radius / GRID)

    def votes(self, camera: Camera, head: np.ndarray, silent: np.ndarray) -> np.ndarray:  # [GRID**3] int8
        """1: the picture shows head there, -1: background, 0: it does not show the place or its matte is silent."""
        pixels, depth = camera.project(self.points)
        column, row = np.floor(np.nan_to_num(pixels.T, posinf=-1, neginf=-1)).astype(np.int64)
        within = (depth > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        row, column = np.where(within, row, 0), np.where(within, column, 0)
        asked = within & ~silent[row, column]
        return np.where(asked, np.where(head[row, column], 1, -1), 0).astype(np.int8)

    def seen(self, camera: Camera, solid: np.ndarray) -> np.ndarray:  # [h, w] bool
        """The picture of voxels [GRID**3] bool."""
        pixels, depth = camera.project(self.points[solid])
        if not len(pixels):
            return np.zeros((camera.height, camera.width), bool)
        step = max(1.0, self.voxel * camera.K[0, 0] / max(float(np.median(depth)), 1e-9))  # pixels between neighbours
        small = np.zeros((int(camera.height / step) + 2, int(camera.width / step) + 2), np.uint8)
        column, row = np.floor(np.nan_to_num(pixels.T, posinf=-1, neginf=-1) / step).astype(np.int64)
        within = (depth > 0) & (column >= 0) & (row >= 0) & (column < small.shape[1]) & (row < small.shape[0])
        small[row[within], column[within]] = 1
        closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        # voxel picture to pixels: its cells are `step` pixels wide, corners at corners
        to_small = np.array([[1 / step, 0, 0.5 / step - 0.5], [0, 1 / step, 0.5 / step - 0.5]])
        shown = cv2.warpAffine(
            closed.astype(np.float32),
            to_small,
            (camera.width, camera.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        return shown > 0.5


def _leave_one_out(
    grid: _Grid, cameras: Sequence[Camera], votes: np.ndarray, voters: Iterable[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Possible and deep [h, w] of each view, by the voters without itself."""
    voters = list(voters)
    against, asked = (votes[voters] < 0).sum(0), (votes[voters] != 0).sum(0)
    found = []
    for i, camera in enumerate(cameras):
        own = i in voters
        no, of = (against - (votes[i] < 0), asked - (votes[i] != 0)) if own else (against, asked)
        solid = no <= np.floor(AGAINST * of + 0.5)  # also where no other picture reaches: shoulders, say
        known = solid & (of >= max(2, (len(voters) - own) / 2))
        depth = round(DEEP * GRID / (2 * REACH))
        inside = minimum_filter(known.reshape(GRID, GRID, GRID), 2 * depth + 1, mode="constant").reshape(-1)
        found.append((grid.seen(camera, solid), grid.seen(camera, inside)))
    return found
