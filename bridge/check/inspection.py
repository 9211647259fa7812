"""All checks of a capture with its photographs, in order: the files, the cameras against each other, the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from ..capture.normal_map import NormalMap
from ..head.canonical import Canonical, locate
from ..mattes.hull import Hull, carve
from ..mattes.silhouettes import BoundingSphere, Silhouette
from . import hypotheses, photographs, rig
from .findings import ERROR, INFO, WARNING, Finding, by_severity, names
from .matches import PhotoMatches
from .scene import Scene

LEAST_VIEWS = 3
# judged through the other cameras: not to be trusted while one of them is wrong
SIDE_EFFECTS = ("scale", "photo-exposure", "photo-blurred", "coverage-gap", "coverage-face")
MOST_MATCHED = 32  # views beyond which features are not compared: silhouettes alone tell enough


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found, and what it was found with (None where the capture did not get so far)."""

    findings: list[Finding]
    names: list[str]  # of the views
    misfit: np.ndarray  # [views] mean misfit of each outline as given, in head radii; NaN without a silhouette
    seconds: float
    outlines: np.ndarray | None = None  # [views with a silhouette, points] misfit along each outline as given
    scene: Scene | None = None
    hull: Hull | None = None
    canonical: Canonical | None = None  # where the network sees the head; ask it whether it can be trusted
    epipolar_error: float | None = None  # median of matches from where the cameras say, head radii; None: no matches

    @property
    def ok(self) -> bool:
        return all(finding.severity != ERROR for finding in self.findings)


def inspect(
    cameras: Sequence[Camera],
    photos: Sequence[np.ndarray],
    mattes: Sequence[np.ndarray],
    given: Sequence[bool],
    *,
    unit_mm: float | None = None,
    findings: Sequence[Finding] = (),
    maps: Sequence[NormalMap] = (),
    check: Callable[[], None] = lambda: None,
) -> Inspection:
    """photos [H, W, 3] sRGB 0..1, mattes [h, w] 0..1 of any size; given: which mattes are the user's.

    findings: what is known already (files that could not be read). maps: what a network said about the views, if it
    was asked; its canonical coordinates tell where the face is. check is called often and may raise to leave.
    """
    began = time.perf_counter()
    found = list(findings)
    silhouettes = [Silhouette.of(camera, matte) for camera, matte in zip(cameras, mattes, strict=True)]
    used = [i for i, silhouette in enumerate(silhouettes) if not silhouette.empty]
    names_ = [camera.name for camera in cameras]
    misfit, along, off = np.full(len(cameras), np.nan), None, None
    for i in sorted(set(range(len(cameras))) - set(used)):
        sentence = f"No head was found in the photograph of '{cameras[i].name}'."
        found.append(
            Finding("mask-empty", ERROR, (cameras[i].name,), sentence, "Give the view a mask, or leave it out.")
        )

    def done(scene: Scene | None = None, hull: Hull | None = None, frame: Canonical | None = None) -> Inspection:
        told = by_severity(_causes(found))
        return Inspection(told, names_, misfit, time.perf_counter() - began, along, scene, hull, frame, off)

    if len(used) < LEAST_VIEWS:
        sentence = f"{len(used)} views show a head; a head needs at least {LEAST_VIEWS}."
        found.append(Finding("too-few-views", ERROR, (), sentence, "Add photographs from other sides."))
        return done()
    cameras, silhouettes = [cameras[i] for i in used], [silhouettes[i] for i in used]
    mattes, given = [mattes[i] for i in used], [given[i] for i in used]
    if len(used) < len(photos):  # else as they are: they may be read from half floats one by one
        photos = [photos[i] for i in used]
    try:
        sphere = BoundingSphere.around(silhouettes)
    except ValueError:
        cure = "Check the cameras' rotations and their axes."
        found.append(Finding("cameras-apart", ERROR, (), "All cameras look in parallel: no head can be placed.", cure))
        return done()
    matches = PhotoMatches(photos, mattes, cameras, sphere) if len(used) <= MOST_MATCHED else None
    scene = Scene.of(cameras, silhouettes, sphere, matches, check)
    along = scene.agreement.misfits(range(len(used)))
    misfit[used] = along.mean(1)
    whole = hypotheses.find_rig_fault(scene)
    if whole is not None:
        finding, scene = whole
        found.append(finding)
    faults, scene = hypotheses.find_faults(scene, given)
    found += faults
    found += _looking_elsewhere(cameras, sphere, {view for finding in found for view in finding.views})
    wrong = {view for finding in faults if finding.severity != "info" for view in finding.views}
    trusted = [camera.name not in wrong for camera in cameras]
    off = scene.epipolar_error([i for i, right in enumerate(trusted) if not right])
    found += rig.loose(scene, off)
    outlines = scene.agreement.silhouettes
    hull = carve(outlines, sphere, trusted if sum(trusted) >= 2 else [True] * len(cameras))
    frame = None
    if len(hull.points):
        if maps:
            frame = locate([maps[i] for i in used], hull.points, hull.normals, hull.seen)
        found += rig.check(scene.cameras, sphere, hull, unit_mm, frame if frame and frame.trusted else None)

        def taken(i: int) -> tuple[np.ndarray, np.ndarray]:
            return _as_taken(scene, i, photos), _as_taken(scene, i, mattes)

        found += photographs.check([c.name for c in cameras], taken, outlines, hull)
    return done(scene, hull, frame)


def _causes(found: Sequence[Finding]) -> list[Finding]:
    """Without what may be only a side effect: while one camera is wrong, the head's size and the light and sharpness of
    the other photographs, which are judged through it, look wrong too."""
    errors = [finding for finding in found if finding.severity == ERROR]
    if not errors:
        return list(found)
    wrong = {view for finding in errors for view in finding.views}
    kept = [finding for finding in found if finding.code not in SIDE_EFFECTS or wrong & set(finding.views)]
    if lost := len(found) - len(kept):
        count = "1 more finding is" if lost == 1 else f"{lost} more findings are"
        cure = "Put the errors right first, then check again."
        kept.append(Finding("withheld", INFO, (), f"{count} not shown: perhaps a side effect.", cure))
    return kept


def _as_taken(scene: Scene, i: int, images: Sequence[np.ndarray]) -> np.ndarray:
    """The image that camera i took, found faults undone."""
    image = images[scene.photographs[i]]
    return image[:, ::-1] if i in scene.flipped else image


def _looking_elsewhere(cameras: Sequence[Camera], sphere: BoundingSphere, known: set[str]) -> list[Finding]:
    """Cameras that do not have the head in their image at all, if nothing better is known about them."""
    found = []
    for camera in cameras:
        pixels, z = camera.project(sphere.center[None])
        inside = z[0] > 0 and (pixels[0] >= 0).all() and (pixels[0] <= [camera.width, camera.height]).all()
        if not inside and camera.name not in known:
            sentence = f"Camera {names([camera.name])} looks away from the point that the others look at."
            cure = "Check its rotation and axes: OpenCV looks along +Z, Blender along -Z."
            found.append(Finding("camera-away", WARNING, (camera.name,), sentence, cure))
    return found
