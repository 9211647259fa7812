"""Stage: how well the mesh explains the photographs, per view and per vertex."""

from __future__ import annotations

from ..report import quality
from ..solve import coverage
from .record import Job, Tools


def measure(job: Job, tools: Tools) -> None:
    """Stage: how well the head fits every view."""
    report = tools.report
    job.views = quality.measure(job.mesh, job.targets, job.frame, report.check)
    report.step(1, 3)
    job.coverage = coverage(job.mesh, job.targets, check=report.check)
    report.step(2, 3)
    job.normal_error = quality.vertex_errors(job.mesh, job.targets, job.views, report.check)
    report.step(3, 3)
