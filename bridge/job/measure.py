"""Stage: how well the mesh explains the photographs, per view and per vertex."""

from __future__ import annotations

from ..head.eyes import eyes
from ..mesh.normals import vertex_normals
from ..report import quality
from ..solve import coverage
from .record import Job, Tools


def measure(job: Job, tools: Tools) -> None:
    """Stage: how well the head fits every view."""
    report = tools.report
    job.views = quality.measure(job.mesh, job.targets, job.frame, report.check)
    report.step(1, 4)
    job.coverage = coverage(job.mesh, job.targets, check=report.check)
    report.step(2, 4)
    job.normal_error = quality.vertex_errors(job.mesh, job.targets, job.views, report.check)
    report.step(3, 4)
    job.eyes = eyes(job.inputs.maps, job.mesh.vertices, vertex_normals(job.mesh.vertices, job.mesh.faces))
    report.step(4, 4)
