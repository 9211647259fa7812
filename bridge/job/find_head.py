"""Stages: where the head is in every photograph, and with it better poses of the cameras."""

from __future__ import annotations

from ..refine import refine, write_capture
from ..service.protocol import Status
from . import predict
from .record import Job, Tools


def find_head(job: Job, tools: Tools) -> None:
    """Maps of all views, if a mask is missing: refinement looks at outlines."""
    if any(mask is None for mask in job.inputs.given_masks):
        predict.CACHED.run(predict.predict, job, tools)


def refine_cameras(job: Job, tools: Tools) -> None:
    """Better poses for all that follows. The network sees the head in the cameras' frame, so it is asked again."""
    inputs, report = job.inputs, tools.report
    mattes = [mask for mask in inputs.given_masks if mask is not None]
    if len(mattes) < len(inputs.given_masks):
        found = zip(inputs.given_masks, inputs.maps, strict=True)
        mattes = [known.matte if mask is None else mask for mask, known in found]
    job.refined = refine(inputs.cameras, [photo.pixels for photo in inputs.photos], mattes, report.check, report.step)
    if job.refined.cure:
        report.warn("cameras-not-refined", job.refined.sentence, job.refined.cure)
    else:
        report.send(Status(report.id, job.refined.sentence))
    if not job.refined.refused:
        inputs.place(job.refined.cameras)
        write_capture(inputs.capture, job.output / "refined")
