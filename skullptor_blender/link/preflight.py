"""Checks of a rig before it is sent, so that the artist hears of a bad camera in a second. NumPy only, no bpy.

Each finding names the culprit in one sentence and says what to do. An error stops the run; a warning with drop=True
leaves that one camera out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...bridge.service.protocol import MINIMUM_VIEWS
from . import image_header

ERROR, WARNING, INFO = "ERROR", "WARNING", "INFO"
SAME_PLACE = 1e-3  # of the distance to the head
PARALLEL = np.radians(2.0)  # rays closer than this say nothing about where they meet
ASPECT_TOLERANCE = 0.01
MOST_PAIRS = 2000


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

    def sees(self, points: np.ndarray) -> np.ndarray:  # [N, 3] -> [N] bool
        x, y, z = (points @ (self.K @ self.R).T + self.K @ self.t).T
        return (z > 0) & (x >= 0) & (x <= self.width * z) & (y >= 0) & (y <= self.height * z)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def check_file(name: str, path: str, has_all_rows: Callable[[Path], bool] = lambda file: False) -> list[Finding]:
    """The picture of one camera: there, readable, whole. has_all_rows: asked about one that lacks its end marker."""
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
    if header is None or header.complete:
        return []
    if not has_all_rows(file):
        sentence = f"Camera '{name}': the image '{file.name}' is cut off: its end is missing."
        return [Finding("image-unreadable", ERROR, name, sentence, cure)]
    sentence = f"Camera '{name}': the image '{file.name}' has no end marker, but all of its rows are there."
    return [Finding("image-cut", WARNING, name, sentence, cure)]


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures that are named as the cameras."""

    kind: str  # "images", "masks" or "normal maps"
    path: str
    exists: bool
    count: int  # of pictures in it


def check_folder(pictures: PictureFolder, without: Sequence[str], cameras: int) -> list[Finding]:
    """Is the folder there, and has it a picture for every camera? without: the cameras it has none for."""
    kind, folder = pictures.kind, pictures.path
    cure = f"Choose the folder that holds the {kind}, each named as its camera, or clear the field."
    if not pictures.exists:
        return [Finding("folder-missing", ERROR, "", f"The folder '{folder}' of {kind} does not exist.", cure)]
    if cameras and len(without) == cameras:
        count = plural(pictures.count, "picture")
        sentence = f"None of the {count} in '{folder}' is named as a camera, so the {kind} fit none."
        return [Finding("folder-fits-none", ERROR, "", sentence, cure)]
    if without and kind != "images":
        names = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        sentence = f"The folder '{folder}' holds no {kind} for {plural(len(without), 'camera')}: {names}."
        return [Finding("folder-partial", WARNING, "", sentence, f"Add the {kind} that are missing.")]
    return []


def check_count(
    views: Sequence[ViewRecord], elsewhere: int = 0, instanced: Mapping[str, int] | None = None
) -> list[Finding]:
    """Enough cameras? elsewhere: cameras of the scene that have no usable image. instanced: how many cameras each
    collection holds that is only instanced here."""
    if len(views) >= MINIMUM_VIEWS:
        return []
    found = f"Only {plural(len(views), 'camera')} can be used" if views else "No camera can be used"
    more = f" ({plural(elsewhere, 'other camera')} cannot)" if elsewhere else ""
    sentence = f"{found}{more}; a head needs one at least, and is better with six."
    if instanced:
        name, count = max(instanced.items(), key=lambda item: item[1])
        sentence += f" The collection '{name}' with {plural(count, 'camera')} is only instanced here."
        cure = "Make the collection real: Object > Apply > Make Instances Real, or a library override of it."
        return [Finding("too-few-views", ERROR, "", sentence, cure)]
    cure = "Give each camera its photograph as a background image, or choose a folder of images named as the cameras."
    return [Finding("too-few-views", ERROR, "", sentence, cure)]


def common_point(views: Sequence[ViewRecord]) -> tuple[np.ndarray | None, list[bool]]:
    """The point that most cameras have in their image, and which cameras those are. Every pair of rays is tried (of
    large rigs MOST_PAIRS), so that half the rig may be wrong. None when no two rays meet in front of their cameras.
    """
    centers, rays = np.stack([view.center for view in views]), np.stack([view.ray for view in views])
    first, second = np.triu_indices(len(views), 1)
    if len(first) > MOST_PAIRS:  # enough that good pairs are among them even if half the rig is wrong
        chosen = np.linspace(0, len(first) - 1, MOST_PAIRS).round().astype(int)
        first, second = first[chosen], second[chosen]
    cosine = (rays[first] * rays[second]).sum(1)
    sine = 1.0 - cosine * cosine
    between = centers[second] - centers[first]
    a, b = (between * rays[first]).sum(1), (between * rays[second]).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        along_first, along_second = (a - cosine * b) / sine, (cosine * a - b) / sine
    met = (sine >= np.sin(PARALLEL) ** 2) & (along_first > 0) & (along_second > 0)
    if not met.any():
        return None, [False] * len(views)
    first, second = first[met], second[met]
    on_first = centers[first] + along_first[met, None] * rays[first]
    points = (on_first + centers[second] + along_second[met, None] * rays[second]) / 2  # [P, 3]
    seen, centred = np.zeros((len(points), len(views)), bool), np.zeros(len(points))
    for k, view in enumerate(views):
        seen[:, k] = view.sees(points)
        towards = points - centers[k]
        distance = np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
        centred += np.where(seen[:, k], towards @ rays[k] / distance, 0)
    best = int(np.lexsort((centred, seen.sum(1)))[-1])
    return points[best], seen[best].tolist()


def check_rig(views: Sequence[ViewRecord]) -> list[Finding]:
    """Do the cameras look at one head, from different places?"""
    if len(views) < 2:
        return []
    point, seen = common_point(views)
    cure = "Check the cameras' rotation: a Blender camera looks along its own -Z axis."
    if point is None or sum(seen) < max(2, (len(views) + 1) // 2):
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
    centers = np.stack([view.center for view in views])
    apart = np.linalg.norm(centers[:, None] - centers, axis=2)
    near = apart <= SAME_PLACE * np.linalg.norm(centers - point, axis=1)[:, None]
    findings = []
    gone: set[int] = set()
    for i, k in np.argwhere(np.triu(near, 1)).tolist():
        if k in gone:
            continue
        gone.add(k)
        sentence = f"Camera '{views[k].name}' stands where '{views[i].name}' stands; it is left out."
        cure = "Move it to where its photograph was taken, or hide it from rendering."
        findings.append(Finding("camera-twin", WARNING, views[k].name, sentence, cure, drop=True))
    return findings


def check_pixels(name: str, K: np.ndarray, width: int, height: int, render_ratio: float) -> list[Finding]:
    """A stretched image: its pixels' shape (fx / fy) is not the one that the render settings claim."""
    ratio = K[0, 0] / K[1, 1]
    if abs(ratio / render_ratio - 1) <= ASPECT_TOLERANCE or abs(ratio - 1) <= ASPECT_TOLERANCE:
        return []
    sentence = f"Camera '{name}': its image ({width} x {height} pixels) does not match the frame and is stretched."
    cure = "Set the background's frame method to Fit or Crop, or the scene's resolution to the image's size."
    return [Finding("image-size", ERROR, name, sentence, cure)]


def check_calibrated_size(
    name: str, width: int, height: int, calibrated: Sequence[int] | None, lies: bool = False
) -> list[Finding]:
    """An image of another shape than the one that this camera was calibrated with (known for imported cameras). lies:
    its EXIF says that the stored pixels lie on their side."""
    if calibrated is None or abs(width * calibrated[1] / (height * calibrated[0]) - 1) <= 0.5 / max(calibrated):
        return []
    sentence = (
        f"Camera '{name}': its image has {width} x {height} pixels, but the camera was calibrated for "
        f"{calibrated[0]} x {calibrated[1]}"
    )
    if lies and width * calibrated[0] == height * calibrated[1]:
        sentence += ": its pixels are stored on their side, and its EXIF orientation says so"
        return [Finding("image-size", ERROR, name, f"{sentence}.", "Save it turned upright, without the EXIF tag.")]
    return [Finding("image-size", ERROR, name, f"{sentence}.", "Use the photograph that this camera was solved with.")]
