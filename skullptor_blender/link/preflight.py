"""Checks of a rig before it is sent, so that the artist hears of a bad camera in a second. NumPy only, no bpy.

Each finding names the culprit in one sentence and says what to do. An error stops the run; a warning with drop=True
leaves that one camera out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ...bridge.service.protocol import MINIMUM_VIEWS
from . import image_header

ERROR, WARNING, INFO = "ERROR", "WARNING", "INFO"
SAME_PLACE = 1e-3  # of the distance to the head
PARALLEL = np.radians(2.0)  # rays closer than this say nothing about where they meet
ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    code: str
    severity: str
    view: str  # camera name, "" for the whole rig
    sentence: str
    cure: str
    drop: bool = False  # the run goes on without this camera


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """A camera with its photograph, in plain numbers."""

    name: str
    image: str  # path, "" when the picture exists in memory only
    width: int
    height: int
    K: np.ndarray  # [3, 3]
    R: np.ndarray  # [3, 3]
    t: np.ndarray  # [3]

    @property
    def center(self) -> np.ndarray:
        return -self.R.T @ self.t

    @property
    def ray(self) -> np.ndarray:
        """Unit direction through the middle of the image: off-centre crops look beside their optical axis."""
        pixel = np.linalg.solve(self.K, [self.width / 2, self.height / 2, 1.0])
        direction = self.R.T @ pixel
        return direction / np.linalg.norm(direction)

    def sees(self, point: np.ndarray) -> bool:
        x = self.K @ (self.R @ point + self.t)
        return bool(x[2] > 0 and 0 <= x[0] <= self.width * x[2] and 0 <= x[1] <= self.height * x[2])


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def check_file(name: str, path: str) -> list[Finding]:
    """The picture of one camera: there, readable, whole."""
    file = Path(path)
    if not path or not file.is_file():
        cure = "Put the file back, or choose another background image for this camera."
        return [Finding("image-missing", ERROR, name, f"Camera '{name}': the image '{path}' is missing.", cure)]
    cure = "Copy the file again from the camera, or export it anew."
    try:
        header = image_header.read(file)
    except (OSError, image_header.Unreadable) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sentence = f"Camera '{name}': the image '{file.name}' cannot be read: {reason}."
        return [Finding("image-unreadable", ERROR, name, sentence, cure)]
    if header is not None and not header.complete:
        sentence = f"Camera '{name}': the image '{file.name}' is cut off: its end is missing."
        return [Finding("image-unreadable", ERROR, name, sentence, cure)]
    return []


def check_count(views: Sequence[ViewRecord], elsewhere: int = 0) -> list[Finding]:
    """Enough cameras? elsewhere: cameras of the scene that have no usable image."""
    if len(views) >= MINIMUM_VIEWS:
        return []
    found = f"Only {plural(len(views), 'camera')} can be used" if views else "No camera can be used"
    more = f" ({plural(elsewhere, 'other camera')} cannot)" if elsewhere else ""
    sentence = f"{found}{more}; a head needs at least {MINIMUM_VIEWS}."
    cure = "Give each camera its photograph as a background image, or choose a folder of images named as the cameras."
    return [Finding("too-few-views", ERROR, "", sentence, cure)]


def common_point(views: Sequence[ViewRecord]) -> tuple[np.ndarray | None, list[bool]]:
    """The point that most cameras have in their image, and which cameras those are. Every pair of rays is tried, so
    that half the rig may be wrong. None when no two rays meet in front of their cameras.
    """
    centers, rays = [view.center for view in views], [view.ray for view in views]
    best: tuple[int, float, np.ndarray | None, list[bool]] = (0, 0.0, None, [False] * len(views))
    for i, j in combinations(range(len(views)), 2):
        cosine = float(rays[i] @ rays[j])
        sine = 1.0 - cosine * cosine
        if sine < np.sin(PARALLEL) ** 2:
            continue
        between = centers[j] - centers[i]
        a, b = between @ rays[i], between @ rays[j]
        along_i, along_j = (a - cosine * b) / sine, (cosine * a - b) / sine
        if along_i <= 0 or along_j <= 0:
            continue
        point = (centers[i] + along_i * rays[i] + centers[j] + along_j * rays[j]) / 2
        seen = [view.sees(point) for view in views]
        towards = [(point - c) / max(np.linalg.norm(point - c), 1e-12) @ r for c, r in zip(centers, rays)]
        centred = sum(t for t, s in zip(towards, seen) if s)
        if (sum(seen), centred) > best[:2]:
            best = (sum(seen), float(centred), point, seen)
    return best[2], best[3]


def check_rig(views: Sequence[ViewRecord]) -> list[Finding]:
    """Do the cameras look at one head, from different places?"""
    if len(views) < MINIMUM_VIEWS:
        return []
    point, seen = common_point(views)
    cure = "Check the cameras' rotation: a Blender camera looks along its own -Z axis."
    if point is None or sum(seen) < max(MINIMUM_VIEWS, (len(views) + 1) // 2):
        rays = np.stack([view.ray for view in views])
        if point is None and (rays @ rays[0]).min() > np.cos(PARALLEL):
            sentence = "All cameras look in parallel, so no head can be placed between them."
        else:
            sentence = "The cameras look away from each other: no point is seen by most of them."
        return [Finding("cameras-apart", ERROR, "", sentence, cure)]
    findings = []
    for view, sees in zip(views, seen):
        if not sees:
            sentence = f"Camera '{view.name}' looks away from the point that the others look at; it is left out."
            findings.append(Finding("camera-away", WARNING, view.name, sentence, cure, drop=True))
    used = [view for view, sees in zip(views, seen) if sees]
    findings += _same_place(used, point)
    left_out = {finding.view for finding in findings if finding.drop}
    kept = [view for view in views if view.name not in left_out]
    return findings + check_count(kept, len(views) - len(kept))


def _same_place(views: Sequence[ViewRecord], point: np.ndarray) -> list[Finding]:
    findings = []
    gone: set[str] = set()
    for a, b in combinations(views, 2):
        distance = np.linalg.norm(a.center - point)
        if b.name in gone or np.linalg.norm(a.center - b.center) > SAME_PLACE * distance:
            continue
        gone.add(b.name)
        sentence = f"Camera '{b.name}' stands where '{a.name}' stands; it is left out."
        cure = "Move it to where its photograph was taken, or hide it from rendering."
        findings.append(Finding("camera-twin", WARNING, b.name, sentence, cure, drop=True))
    return findings


def check_pixels(name: str, K: np.ndarray, width: int, height: int, render_ratio: float) -> list[Finding]:
    """A stretched image: its pixels' shape (fx / fy) is not the one that the render settings claim."""
    ratio = K[0, 0] / K[1, 1]
    if abs(ratio / render_ratio - 1) <= ASPECT_TOLERANCE or abs(ratio - 1) <= ASPECT_TOLERANCE:
        return []
    sentence = f"Camera '{name}': its image ({width} x {height} pixels) does not match the frame and is stretched."
    cure = "Set the background's frame method to Fit or Crop, or the scene's resolution to the image's size."
    return [Finding("image-size", ERROR, name, sentence, cure)]


def check_calibrated_size(name: str, width: int, height: int, calibrated: Sequence[int] | None) -> list[Finding]:
    """An image of another shape than the one that this camera was calibrated with (known for imported cameras)."""
    if calibrated is None or abs(width * calibrated[1] / (height * calibrated[0]) - 1) <= 0.5 / max(calibrated):
        return []
    sentence = (
        f"Camera '{name}': its image has {width} x {height} pixels, but the camera was calibrated for "
        f"{calibrated[0]} x {calibrated[1]}."
    )
    return [Finding("image-size", ERROR, name, sentence, "Use the photograph that this camera was solved with.")]
