"""Stage: predicted normals and masks as files for a look, instead of a head."""

from __future__ import annotations

from ..report import normal_files
from ..service.protocol import Result
from .record import Job, Tools


def draw(job: Job, tools: Tools) -> None:
    """Stage: the contact sheet of the normal maps."""
    path = normal_files.write(job.inputs, job.output, tools.report.step)
    job.result = Result(job.run.id, str(path), str(path), str(job.output / normal_files.CONTACT))
