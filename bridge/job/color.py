"""Stage: the photographs' colours on the vertices."""

from __future__ import annotations

from ..texture import vertex_colors
from .record import Job, Tools


def color(job: Job, tools: Tools) -> None:
    """Stage: colours of the vertices from the photographs."""
    photos = job.inputs.pixels
    masks = [target.mask for target in job.targets]
    check = tools.report.check
    across = None if job.prior is None else job.prior.fitted.pose.rotation[:, 0]
    job.color = vertex_colors.blend(job.mesh, photos, job.inputs.cameras, masks, job.frame, across=across, check=check)
