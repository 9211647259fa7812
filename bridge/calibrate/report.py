"""What a calibration tells the user: a table, advice, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..capture.framing import head_frame, rig_up
from ..capture.record import Capture
from .motion import Motion, Registered
from .photographs import mm35_of

GOOD_SHARE = 0.9  # of the photographs joined, below which it is advised what to shoot
GOOD_PX = 1.0
WIDE_DEG = 30.0  # between neighbouring joined cameras around the head
LOOSE_TIMES, LOOSE_DEG = 4.0, 0.05  # looser than the others' median by this, and by this at all: a guess
FOCAL_OFF = 0.25  # a focal length this far from what EXIF says is worth a word


def body(motion: Motion, capture: Capture | None, seconds: dict[str, float], notes: Sequence[str]) -> dict:
    """The report as plain JSON data. Lengths are the capture's."""
    total = len(motion.joined) + len(motion.failed)
    return {
        "photographs": total,
        "joined": len(motion.joined),
        "error_px": round(motion.error_px, 4),
        "points": len(motion.points),
        "unit_mm": None if capture is None else capture.unit_mm,
        "lenses": _lenses(motion.joined),
        "views": [
            {
                "name": joined.camera.name,
                "image": joined.photograph.name,
                "features": joined.features,
                "points": joined.points,
                "error_px": round(joined.error_px, 4),
                "loose_deg": round(joined.loose_deg, 4),
            }
            for joined in motion.joined
        ],
        "failed": [{"image": f.photograph.name, "features": f.features, "why": f.why} for f in motion.failed],
        "advice": advice(motion),
        "notes": list(notes),
        "seconds": seconds,
    }


def table(motion: Motion) -> str:
    """One line a photograph."""
    photographs = [*(item.photograph for item in motion.joined), *(item.photograph for item in motion.failed)]
    width = max([len(photograph.name) for photograph in photographs] + [10])
    lines = [f"{'photograph':{width}}  features  points  error px  loose deg"]
    for joined in motion.joined:
        name = joined.photograph.name
        lines.append(
            f"{name:{width}}  {joined.features:8}  {joined.points:6}  {joined.error_px:8.2f}  {joined.loose_deg:9.3f}"
        )
    lines += [f"{f.photograph.name:{width}}  {f.features:8}  did not join: {f.why}" for f in motion.failed]
    return "\n".join(lines)


def advice(motion: Motion) -> list[str]:
    """What to shoot or to check, in sentences; empty when all is well."""
    total = len(motion.joined) + len(motion.failed)
    found = []
    if len(motion.joined) < GOOD_SHARE * total:
        found.append(
            f"{len(motion.joined)} of {total} photographs joined; shoot with more overlap, at least every 15 degrees "
            "around the head and in two or three heights, with the same light and zoom and everything in focus."
        )
        if any("mask hides" in failed.why for failed in motion.failed):
            found.append("If the camera moved and the head did not, leave out --masks: the background helps then.")
    if motion.joined and motion.error_px > GOOD_PX:
        found.append(
            f"The points lie {motion.error_px:.1f} pixels off on average: did the person or the background move? If "
            "the person turned before a still background, give --masks."
        )
    found += [
        f"The lens of {lens['photographs']} photographs came out as {lens['focal_mm35']:.0f} mm (35 mm equivalent), "
        f"but expected were {lens['known_mm35']:.0f} mm: check the result, or give --focal-mm35."
        for lens in _lenses(motion.joined)
        if lens["known_mm35"] and abs(lens["focal_mm35"] / lens["known_mm35"] - 1) > FOCAL_OFF
    ]
    usual = float(np.median([joined.loose_deg for joined in motion.joined])) if motion.joined else 0.0
    found += [
        f"The camera of '{joined.camera.name}' is held far more loosely than the others and may be turned by degrees: "
        "shoot more photographs beside it, or leave it out."
        for joined in motion.joined
        if joined.loose_deg > max(LOOSE_TIMES * usual, LOOSE_DEG)
    ]
    gap = _widest_gap(motion.joined)
    if gap is not None:
        before, after, degrees = gap
        found.append(
            f"There is a gap of {degrees:.0f} degrees between '{before}' and '{after}': more photographs there would "
            "make the cameras surer."
        )
    return found


def _lenses(joined: Sequence[Registered]) -> list[dict]:
    lenses = []
    for group in sorted({item.group for item in joined}):
        members = [item for item in joined if item.group == group]
        camera, known = members[0].camera, members[0].photograph.focal_mm35
        lenses.append(
            {
                "photographs": len(members),
                "focal_px": round(float(camera.K[0, 0]), 3),
                "focal_mm35": round(mm35_of(float(camera.K[0, 0]), camera.width, camera.height), 2),
                "known_mm35": None if known is None else round(known, 2),
            }
        )
    return lenses


def _widest_gap(joined: Sequence[Registered]) -> tuple[str, str, float] | None:
    """The neighbours around the head that are too far apart for safe matching, but not the open side of a half ring."""
    if len(joined) < 4:
        return None
    cameras = [item.camera for item in joined]
    try:
        center, up = head_frame(cameras).center, rig_up(cameras)
    except ValueError:
        return None
    offsets = np.stack([camera.center for camera in cameras]) - center
    side = np.cross(up, offsets[0])
    side /= max(np.linalg.norm(side), 1e-12)
    angles = np.degrees(np.arctan2(offsets @ side, offsets @ np.cross(side, up)))
    order = np.argsort(angles)
    gaps = np.diff(np.append(angles[order], angles[order[0]] + 360))
    inner = np.argsort(gaps)[:-1]  # the widest is where nobody stood
    worst = int(inner[-1])
    if gaps[worst] < WIDE_DEG:
        return None
    return cameras[order[worst]].name, cameras[order[(worst + 1) % len(order)]].name, float(gaps[worst])
