"""Stage: the surface is moved to where the photographs agree, without crossing faces."""

from __future__ import annotations

from dataclasses import replace

from ..capture.inputs import Unpacked
from ..photometric import match_photographs
from ..solve import untangled
from .record import Job, Tools


def match(job: Job, tools: Tools) -> None:
    """Stage: move the surface to where the photographs agree."""
    report = tools.report
    if len(job.inputs.photos) < 2:  # nothing to agree with
        return
    matched = match_photographs(
        job.mesh,
        Unpacked([job.inputs.photos[i].pixels for i in job.sharp]),
        [job.inputs.cameras[i] for i in job.sharp],
        job.frame,
        check=report.check,
        step=lambda done, total: report.step(done, total + 1),
    )
    job.mesh = untangled(job.mesh, matched.mesh, job.frame, report.check)
    job.matched = replace(matched, mesh=job.mesh)
    report.step(1, 1)
