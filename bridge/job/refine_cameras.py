"""Stage: better poses of the cameras, where the artist asks for it or the check found that all are a little off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..capture.cameras import Camera
from ..errors import BridgeError
from ..head.triangulate import triangulate
from ..model import head_model
from ..prior import poses
from ..prior.prior import MOST_VIEWS
from ..refine import refine, write_capture
from ..service.protocol import Status
from . import predict, preflight
from .conditions import measured
from .prior import faces_of, know_head
from .record import Job, Tools

ROUNDS = 2  # of laying the model head and moving the cameras through it


def refine_cameras(job: Job, tools: Tools) -> None:
    """Better poses for all that follows. The network sees the head in the cameras' frame, so it is asked again."""
    if _refined_by_the_face(job, tools):
        return
    inputs, report = job.inputs, tools.report
    wanted = job.settings.refine_cameras or job.loose
    if not wanted or len(inputs.photos) < preflight.LEAST_VIEWS:  # nothing contradicts two cameras
        job.findings = job.postponed
        return
    mattes = [
        found.matte if mask is None else mask for mask, found in zip(inputs.given_masks, inputs.maps, strict=True)
    ]
    job.refined = refine(inputs.cameras, inputs.pixels, mattes, report.check, report.step)
    if job.refined.cure:
        report.warn("cameras-not-refined", job.refined.sentence, job.refined.cure)
    else:
        report.send(Status(report.id, job.refined.sentence))
    if job.refined.refused:
        job.findings = job.postponed
        return
    _place(job, tools, job.refined.cameras)
    write_capture(inputs.capture, job.output / "refined")
    if job.postponed:  # what was said of a camera through others that were off
        preflight.CACHED.run(preflight.check, job, tools)


def _place(job: Job, tools: Tools, cameras: Sequence[Camera]) -> None:
    job.moved = True
    job.inputs.place(cameras)
    if measured(job.settings):
        predict.read_measured(job, tools)
    else:
        predict.CACHED.run(predict.predict, job, tools)


def _refined_by_the_face(job: Job, tools: Tools) -> bool:
    """Two to five photographs share too few features, but all show a face: where its landmarks do not meet, they and
    the model head that is laid on them say how the cameras stand. Whether they did."""
    inputs, report = job.inputs, tools.report
    if not 2 <= len(inputs.photos) <= MOST_VIEWS:
        return False
    try:
        faces = faces_of(job, tools)
    except BridgeError:  # the next stage says it, if it matters
        return False
    given = inputs.cameras
    if not poses.contradict(given, faces) or (near := poses.by_landmarks(given, faces, report.check)) is None:
        return False
    _place(job, tools, near)
    template = head_model.load().template
    surface = template.triangles_of("skin", "eye_left", "eye_right")
    for _ in range(ROUNDS):
        known = know_head(job, tools, faces)
        if known is None:
            break
        shape = known.fitted.pose.points(known.fitted.vertices)
        if (better := poses.by_surface(inputs.cameras, inputs.pixels, shape, surface, report.check)) is None:
            break
        inputs.pose(better)
    write_capture(inputs.capture, job.output / "refined")
    marks = triangulate(given, faces)
    assert marks is not None  # they contradicted the cameras
    moves = [
        np.linalg.norm(new.project(marks.points)[0] - old.project(marks.points)[0], axis=1).mean()
        for old, new in zip(given, inputs.cameras, strict=True)
    ]
    sentence = f"The cameras contradicted the face: they were moved by {np.mean(moves):.0f} pixels on average."
    report.send(Status(report.id, sentence))
    preflight.CACHED.run(preflight.check, job, tools)  # what was said of views through cameras that were off
    return True
