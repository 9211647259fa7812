"""Stage: one to five photographs are too few for a whole head, so a head of the statistical model is laid on them."""

from __future__ import annotations

from ..check.findings import INFO, WARNING, Finding, names
from ..errors import BridgeError
from ..head.landmarks import Face, Landmarker, find_faces
from ..model.package import LANDMARKS, need
from ..prior.prior import MOST_VIEWS, know
from .record import Job, Tools

ALONE = 2  # so few photographs need the model; three may do without
LEAST_PIXELS = 200  # of a photograph's shorter side, where it is alone


def lay_head(job: Job, tools: Tools) -> None:
    """Fills job.prior; leaves it None from six photographs on, and where three or more show no face."""
    photos, report = job.inputs.photos, tools.report
    if len(photos) > MOST_VIEWS:
        return
    alone = len(photos) <= ALONE
    try:
        faces = faces_of(job, tools)
    except BridgeError as error:
        if alone:
            raise
        job.findings = [Finding(error.code, WARNING, (), error.sentence, error.cure)]
        return
    widths = [photo.camera.width for photo in photos]
    job.prior = know(job.inputs.maps, faces, widths, job.inputs.capture.unit_mm, check=report.check, step=report.step)
    if job.prior is None:
        if alone:
            raise no_face(tuple(photo.camera.name for photo in photos))
        return
    job.findings = [lacking(job)]


def faces_of(job: Job, tools: Tools) -> list[Face | None]:
    """The face in every photograph. Raises BridgeError "photo-small", "faces-several" and those of missing models."""
    landmarker = Landmarker(need(LANDMARKS))
    photos = job.inputs.photos
    if len(photos) <= ALONE:
        for photo, mask in zip(photos, job.inputs.given_masks, strict=True):
            large_enough(photo.camera.name, photo.camera.width, photo.camera.height)
            if mask is None:
                single(landmarker, photo.camera.name, photo.pixels)
    return find_faces(landmarker, [photo.pixels for photo in photos], check=tools.report.check)


def large_enough(name: str, width: int, height: int) -> None:
    """Raises BridgeError "photo-small"."""
    if min(width, height) < LEAST_PIXELS:
        raise BridgeError(
            "photo-small",
            f"The photograph '{name}' has only {width} x {height} pixels: a head from one or two photographs needs "
            f"{LEAST_PIXELS} at least.",
            "Use the photograph itself, not a thumbnail of it.",
        )


def single(landmarker: Landmarker, name: str, pixels) -> None:
    """Raises BridgeError "faces-several" where a photograph without a mask shows more than one face."""
    if (count := landmarker.count(pixels)) > 1:
        raise BridgeError(
            "faces-several",
            f"The photograph '{name}' shows {count} faces, and it is not clear whose head is wanted.",
            "Crop it to one of them, or give a mask of one head.",
        )


def no_face(views: tuple[str, ...]) -> BridgeError:
    """Where a head is to be made of one or two photographs and none shows a face."""
    which = f"The photograph {names(views)} shows" if len(views) == 1 else f"The photographs {names(views)} show"
    return BridgeError(
        "face-none",
        f"{which} no face that can be recognised.",
        "Use a photograph from the front, or give at least three of the head from several sides.",
    )


def lacking(job: Job) -> Finding:
    """What the photographs leave to the model, and which more would show it."""
    assert job.prior is not None
    share, sides = job.prior.unseen
    count = len(job.inputs.photos)
    seen = f"{count} photograph{'s show' if count > 1 else ' shows'} {100 * (1 - share):.0f} % of the head"
    sentence = f"{seen}: the rest is what heads usually look like."
    cure = f"A photograph from {' and one from '.join(sides)} would show more." if sides else ""
    return Finding("few-photographs", INFO, (), sentence, cure)
