"""Stage: better poses of the cameras, where the artist asks for it or the check found that all are a little off."""

from __future__ import annotations

from ..refine import refine, write_capture
from ..service.protocol import Status
from . import predict, preflight
from .conditions import measured
from .record import Job, Tools


def refine_cameras(job: Job, tools: Tools) -> None:
    """Better poses for all that follows. The network sees the head in the cameras' frame, so it is asked again."""
    if not job.settings.refine_cameras and not job.loose:
        return
    inputs, report = job.inputs, tools.report
    if len(inputs.photos) < preflight.LEAST_VIEWS:  # nothing contradicts two cameras
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
    inputs.place(job.refined.cameras)
    write_capture(inputs.capture, job.output / "refined")
    if measured(job.settings):
        predict.read_measured(job, tools)
    else:
        predict.CACHED.run(predict.predict, job, tools)
    if job.postponed:  # what was said of a camera through others that were off
        preflight.CACHED.run(preflight.check, job, tools)
