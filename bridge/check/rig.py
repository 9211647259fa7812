"""The cameras among themselves: two at one place, a side of the head that none sees, a head of giants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import rig_up
from ..head.canonical import Canonical
from ..mattes.hull import Hull
from ..mattes.silhouettes import BoundingSphere
from .findings import INFO, WARNING, Finding, names
from .scene import Scene

SAME_PLACE = 1e-3  # of the distance to the head
UNSEEN = 0.12  # share of the surface (its underside aside) that no camera sees, from which on it is told
UNDERSIDE = 0.5  # a normal that points down by more than this belongs to the neck's cut
FRONTAL = np.radians(50.0)  # from the face's direction: a camera within sees the face
SHOULDERS = 0.55  # head radii below the head's centre: nobody asks for them
HEAD_MM = (120.0, 1200.0)  # a head, or a head with shoulders, is within this
HEAD_HEIGHT_MM = 230.0  # chin to crown, were the canonical head of average size
HEIGHT_MM = (150.0, 350.0)  # people's are 200 to 300; a child's, and what the network may be off, are allowed for
UNITS = (2.54, 3.048)  # inches and feet among metric units, but for powers of ten
# Head radii that matches lie off their epipolar lines: 0.0003 to 0.0008 on right rigs, up to 0.0019 in photographs of
# 512 pixels; 0.004 to 0.08 where all cameras are a quarter of a degree and of a percent off, which ruins a head
LOOSE = 3e-3
NEAR_FACTOR = 0.15  # of the logarithm: as far as heads and the network differ


def check(
    cameras: Sequence[Camera], sphere: BoundingSphere, hull: Hull, unit_mm: float | None, canonical: Canonical | None
) -> list[Finding]:
    """canonical: where the network sees the head, if it can be trusted."""
    findings = [*_coincident_cameras(cameras, sphere), *_gap(cameras, sphere, hull)]
    if canonical is not None:
        findings += _face(cameras, canonical)
    return findings + _size(sphere, unit_mm, canonical)


def loose(scene: Scene, off: float | None) -> list[Finding]:
    """Errors of all cameras that are too small to be anybody's fault. off: median of matches, head radii."""
    if off is None or off < LOOSE:
        return []
    assert scene.matches is not None  # what is off was matched
    pixels = off * scene.matches.head_pixels(*scene.cameras)
    sentence = f"The cameras are a little off: what two photographs share lies {pixels:.1f} pixels from where they say."
    cure = "A run refines them: it corrects errors of a degree and less."
    return [Finding("cameras-loose", WARNING, (), sentence, cure)]


def _coincident_cameras(cameras: Sequence[Camera], sphere: BoundingSphere) -> list[Finding]:
    found = []
    for a, b in combinations(cameras, 2):
        apart = np.linalg.norm(a.center - b.center)
        if apart < SAME_PLACE * np.linalg.norm(a.center - sphere.center):
            views = (a.name, b.name)
            sentence = f"Cameras {names(views)} stand at the same place."
            cure = "Move one to where its photograph was taken, or leave it out: it adds nothing."
            found.append(Finding("camera-twin", WARNING, views, sentence, cure))
    return found


def _gap(cameras: Sequence[Camera], sphere: BoundingSphere, hull: Hull) -> list[Finding]:
    """The largest side of the head that no camera sees, named by the cameras beside it."""
    up = rig_up(cameras)
    counted = (hull.normals @ up > -UNDERSIDE) & ((hull.points - sphere.center) @ up > -SHOULDERS * sphere.radius)
    unseen = counted & (hull.counts == 0)
    share = unseen.sum() / max(counted.sum(), 1)
    if share < UNSEEN:
        return []
    side = hull.normals[unseen].mean(0)
    side /= max(np.linalg.norm(side), 1e-9)
    if side @ up > 0.75:
        where = "from above"
    else:
        middle = hull.points.mean(0)
        flat = np.stack([camera.center - middle for camera in cameras])
        flat -= np.outer(flat @ up, up)
        ahead = side - (side @ up) * up
        ahead /= max(np.linalg.norm(ahead), 1e-9)
        across = np.cross(up, ahead)
        angle = np.arctan2(flat @ across, flat @ ahead)
        left, right = np.where(angle >= 0, angle, np.inf), np.where(angle < 0, -angle, np.inf)
        beside = tuple(cameras[int(np.argmin(a))].name for a in (left, right) if np.isfinite(a).any())
        where = f"between {names(beside)}" if len(beside) == 2 else f"beyond {names(beside)}"
    sentence = f"No camera sees the head {where}: {share:.0%} of its surface is guessed there."
    cure = "Add a photograph from that side if it matters."
    return [Finding("coverage-gap", INFO, (), sentence, cure)]


def _face(cameras: Sequence[Camera], canonical: Canonical) -> list[Finding]:
    towards = np.stack([camera.center - canonical.center for camera in cameras])
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    if (towards @ canonical.front).max() > np.cos(FRONTAL):
        return []
    sentence = "No camera looks at the face from the front."
    return [Finding("coverage-face", INFO, (), sentence, "Add a photograph of the face: most detail is seen there.")]


def _size(sphere: BoundingSphere, unit_mm: float | None, canonical: Canonical | None) -> list[Finding]:
    """By the head itself where the network sees it, else by the outlines, whatever they show beside a head."""
    if unit_mm is None:
        return []
    if canonical is not None:
        height, usual, (least, most) = HEAD_HEIGHT_MM * unit_mm / canonical.unit_mm, HEAD_HEIGHT_MM, HEIGHT_MM
        told = f"The head would be {height / 10:.3g} cm high in these units"
    else:
        height, usual, (least, most) = 2 * sphere.radius * unit_mm, 300.0, HEAD_MM
        told = f"The head would be {height / 10:.3g} cm across in these units"
    if least <= height <= most:
        return []
    factor = _known_factor(height / usual, exact=canonical is not None)
    by = f"{factor:g} times too large" if factor > 1 else f"{1 / factor:.4g} times too small"
    right = unit_mm / factor
    cure = f"Set unit_mm to {right:g} (in Blender a unit scale of {right / 1000:g}), unless the subject is a statue."
    return [Finding("scale", WARNING, (), told + (f": {by}." if factor != 1 else "."), cure)]


def _known_factor(ratio: float, exact: bool) -> float:
    """The mistake that a ratio comes of: a power of ten, inches or feet taken for another unit; else itself to
    two digits. exact: the ratio is known well enough to tell inches from powers of ten."""
    powers = 10.0 ** np.arange(-6, 7)
    known = (
        powers if not exact else np.concatenate([powers, *(powers * k for k in UNITS), *(powers / k for k in UNITS)])
    )
    nearest = float(known[np.argmin(np.abs(np.log(known / ratio)))])
    return nearest if not exact or abs(np.log(nearest / ratio)) < NEAR_FACTOR else float(f"{ratio:.2g}")
