"""Where the head is: a sphere that all cameras look at, and the upright direction of the rig. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .cameras import Camera

HEAD_SHARE = 0.45  # without masks: the head's radius as a share of half the smaller field of view


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """A sphere around what the cameras look at, in the capture's world."""

    center: np.ndarray  # [3]
    radius: float
    up: np.ndarray  # [3] unit
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))  # [3, 3] rows: its axes in the world

    def normalise(self, camera: Camera) -> Camera:
        """The camera in the frame where the head is centred at the origin with radius 1."""
        scale = 1.0 / self.radius
        return camera.transformed(scale, self.axes, -scale * self.axes @ self.center)

    def local(self, points: np.ndarray) -> np.ndarray:  # [N, 3]
        """Points of the world in the frame of normalise()."""
        return (points - self.center) @ self.axes.T / self.radius

    def world(self, points: np.ndarray) -> np.ndarray:  # [N, 3]
        """Back from local()."""
        return points @ self.axes * self.radius + self.center


def nearest_point(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The point with the least sum of squared distances to lines (supplement S3.1).

    origins [N, 3], unit directions [N, 3] -> [3]. Raises ValueError if the lines are parallel.
    """
    projectors = np.eye(3) - directions[:, :, None] * directions[:, None, :]  # [N, 3, 3]
    A = projectors.sum(0)
    if np.linalg.eigvalsh(A)[0] < 1e-6 * len(origins):
        raise ValueError("the optical axes are parallel")
    return np.linalg.solve(A, np.einsum("nij,nj->i", projectors, origins))


# what speaks against a direction being up, in shares of a full contradiction: pictures that lie on their side or stand
# on their head in it, and cameras that look along it (people walk around a head more than they climb over it)
ON_ITS_SIDE, ON_ITS_HEAD, LOOKS_ALONG = 0.3, 0.45, 0.5
LEVEL_DEG = 10.0  # a picture this far off level counts as a full contradiction
MOST_PAIRS = 40  # cameras that propose directions


def rig_up(cameras: Sequence[Camera]) -> np.ndarray:  # [3]
    """The direction that stands for up: the horizons of the pictures lie across it, in landscape or in portrait.

    A camera that looks down steeply has an image up far from the world's, but a level horizon still. So every two
    cameras propose the normal of two of their image axes; the one that most pictures are level in wins, pictures on
    their side or head and cameras that look along it speak against it. Cameras that are rolled freely are outvoted.
    """
    R = np.stack([camera.R for camera in cameras])
    chosen = R[np.linspace(0, len(R) - 1, min(len(R), MOST_PAIRS)).round().astype(int)]
    axes = chosen[:, :2].reshape(-1, 3)
    first, second = np.triu_indices(len(axes), 1)
    proposals = np.cross(axes[first], axes[second])
    proposals = np.concatenate([proposals, -R[:, 1].mean(0, keepdims=True)])
    length = np.linalg.norm(proposals, axis=1)
    proposals = proposals[length > 0.05] / length[length > 0.05, None]
    if not len(proposals):
        return -R[0, 1]
    proposals = np.concatenate([proposals, -proposals])
    across, along = proposals @ R[:, 0].T, proposals @ -R[:, 1].T  # [P, n]: to the image's right, to its top
    turns = np.arctan2(across, along)
    quarters = np.round(turns / (np.pi / 2))
    off_level = np.minimum(np.abs(turns - quarters * np.pi / 2) / np.radians(LEVEL_DEG), 1.0)
    rolled = np.choose(np.abs(quarters).astype(int), (0.0, ON_ITS_SIDE, ON_ITS_HEAD))
    # seen from straight above a picture says nothing about up
    against = np.hypot(across, along) * (off_level + rolled) + LOOKS_ALONG * (proposals @ R[:, 2].T) ** 2
    best = int(np.argmin(against.mean(1)))
    return _levelled(proposals[best], R, quarters[best], off_level[best])


def _levelled(up: np.ndarray, R: np.ndarray, quarters: np.ndarray, off_level: np.ndarray) -> np.ndarray:  # [3]
    """The direction near up that the horizons of all level pictures are most perpendicular to (least squares)."""
    level = off_level < 1
    if not level.any():
        return up
    sideways = quarters[level].astype(int) % 2 == 1
    horizons = np.where(sideways[:, None], R[level, 1], R[level, 0])
    # few cameras side by side leave the tilt towards them open: a small pull keeps it where the vote put it
    system = horizons.T @ horizons / len(horizons) + 0.01 * (np.eye(3) - np.outer(up, up))
    found = np.linalg.eigh(system)[1][:, 0]
    return found if found @ up > 0 else -found


def head_frame(cameras: Sequence[Camera], boxes: np.ndarray | None = None) -> HeadFrame:
    """The head's sphere from the cameras alone, or from the boxes of the head in the images.

    boxes: [m, 4] x0, y0, x1, y1 in pixels of each view (rows of NaN: no box in that view), or None, which takes the
    optical axes (supplement S3.1) and a radius from the field of view.
    """
    origins = np.stack([camera.center for camera in cameras])
    if boxes is None:
        directions = np.stack([camera.forward for camera in cameras])
        center = nearest_point(origins, directions)
        radii = []
        for camera in cameras:
            distance = abs((center - camera.center) @ camera.forward)
            half = min(camera.width / camera.K[0, 0], camera.height / camera.K[1, 1]) / 2
            radii.append(HEAD_SHARE * distance * half)
        return HeadFrame(center, float(np.median(radii)), rig_up(cameras))
    seen = np.flatnonzero(np.isfinite(boxes).all(1))
    if len(seen) < 2:
        return head_frame(cameras)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    directions = np.stack([cameras[i].rays(middles[i : i + 1])[0] for i in seen.tolist()])
    center = nearest_point(origins[seen], directions)
    radii = []
    for i in seen.tolist():
        camera = cameras[i]
        distance = np.linalg.norm(center - camera.center)
        half = max((boxes[i, 2] - boxes[i, 0]) / camera.K[0, 0], (boxes[i, 3] - boxes[i, 1]) / camera.K[1, 1]) / 2
        radii.append(distance * np.sin(np.arctan(half)))
    return HeadFrame(center, float(np.median(radii)), rig_up(cameras))
