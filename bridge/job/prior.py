"""Stage: one to five photographs are too few for a whole head, so a head of the statistical model is laid on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..check.findings import INFO, WARNING, Finding, names
from ..errors import BridgeError
from ..head.appearance import is_drawn, wears_glasses
from ..head.landmarks import Face, Landmarker, find_faces
from ..model.package import LANDMARKS, need
from ..prior.evidence import LANDMARK_SHARE
from ..prior.prior import MOST_VIEWS, Prior, know
from ..service.protocol import Status
from .record import Job, Tools

ALONE = 2  # so few photographs need the model; three may do without
# of a face: two bare ones had 0.010 and 0.016, behind dark glasses 0.015 and 0.025, behind a hand 0.057 and 0.056
COVERED = 0.035
RIGHT_CAMERAS = 0.04  # of each landmark where cameras are right: outlines and normals tell the shape better
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
        report.send(Status(job.run.id, f"{error.sentence} So nothing stands in where the photographs are silent."))
        return
    job.prior = know_head(job, tools, faces, RIGHT_CAMERAS)
    if job.prior is None:
        if alone:
            raise no_face(tuple(photo.camera.name for photo in photos))
        return
    cameras = [photo.camera.name for photo in photos]
    job.findings = [lacking(job), *covering(cameras, job.prior.covered), *odd(cameras, job.inputs.pixels, faces)]


def know_head(
    job: Job, tools: Tools, faces: Sequence[Face | None], landmark_share: float = LANDMARK_SHARE
) -> Prior | None:
    """The model head laid on the photographs; None where no face is shown."""
    inputs, report = job.inputs, tools.report
    widths = [photo.camera.width for photo in inputs.photos]
    unit_mm = inputs.capture.unit_mm
    return know(
        inputs.maps, faces, widths, unit_mm, landmark_share=landmark_share, check=report.check, step=report.step
    )


def faces_of(job: Job, tools: Tools) -> list[Face | None]:
    """The face in every photograph, looked for once. Raises BridgeError "photo-small", "faces-several" and those of
    missing models."""
    names = [view.name for view in job.inputs.capture.views]
    if not job.faces.keys() >= set(names):
        job.faces = dict(zip(names, _look(job, tools), strict=True))
    return [job.faces[name] for name in names]


def _look(job: Job, tools: Tools) -> list[Face | None]:
    landmarker = Landmarker(need(LANDMARKS))
    photos = job.inputs.photos
    if len(photos) <= ALONE:
        for photo, pixels, mask in zip(photos, job.inputs.pixels, job.inputs.given_masks, strict=True):
            large_enough(photo.camera.name, photo.camera.width, photo.camera.height)
            if mask is None:
                single(landmarker, photo.camera.name, pixels)
        return [landmarker.seek(pixels) for pixels in job.inputs.pixels]
    return find_faces(landmarker, job.inputs.pixels, check=tools.report.check)


def large_enough(name: str, width: int, height: int) -> None:
    """Raises BridgeError "photo-small"."""
    if min(width, height) < LEAST_PIXELS:
        raise BridgeError(
            "photo-small",
            f"The photograph '{name}' has only {width} x {height} pixels: a head from one or two photographs needs "
            f"{LEAST_PIXELS} at least.",
            "Use the photograph itself, not a thumbnail of it.",
        )


def single(landmarker: Landmarker, name: str, pixels: np.ndarray) -> None:
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
        "Use one from the front or the side, or give at least three of the head from several sides.",
    )


def covering(cameras: Sequence[str], shares: Sequence[float]) -> list[Finding]:
    """Photographs in which something lies before the face."""
    views = tuple(name for name, share in zip(cameras, shares, strict=True) if share > COVERED)
    if not views:
        return []
    sentence = f"{names(views)}: something seems to lie before the face, such as a hand or hair."
    cure = "It becomes part of the head; take a photograph without it, or leave this one out."
    return [Finding("face-covered", INFO, views, sentence, cure)]


def odd(cameras: Sequence[str], pictures: Sequence[np.ndarray], faces: Sequence[Face | None]) -> list[Finding]:
    """Photographs that show glasses, and those that seem to be drawings: told, for a sign is no proof."""
    shown = [(name, picture, face) for name, picture, face in zip(cameras, pictures, faces, strict=True) if face]
    found = []
    if worn := tuple(name for name, picture, face in shown if wears_glasses(picture, face)):
        cure = "What is behind them is guessed, and rims may become part of the head; a photograph without is better."
        found.append(Finding("face-glasses", WARNING, worn, f"{names(worn)}: the face seems to wear glasses.", cure))
    if drawn := tuple(name for name, picture, face in shown if is_drawn(picture, face)):
        sentence = f"{names(drawn)}: this seems to be a drawing; a head is made of it as of a photograph."
        found.append(Finding("face-drawn", WARNING, drawn, sentence, "Use a photograph of a face if you have one."))
    return found


def lacking(job: Job) -> Finding:
    """What the photographs leave to the model, and which more would show it."""
    assert job.prior is not None
    share, sides = job.prior.unseen
    sentence = f"{100 * (1 - share):.0f} % of the head is seen."  # short: it is a line in the panel
    cure = "The rest is what heads usually look like."
    if sides:
        cure = f"{cure} A photograph from {' and one from '.join(sides)} would show more."
    return Finding("few-photographs", INFO, (), sentence, cure)
