"""Stage: every detail that the photographs hold, down to their pixels."""

from __future__ import annotations

from typing import cast

from ..check.findings import WARNING, Finding, names
from ..photometric import refine_surface
from ..solve import SolveSettings
from ..solve.settings import Preset
from .record import Job, Tools

FINEST = {"draft": 500, "standard": 1000, "fine": 4000}  # pixels across the head's sphere that are looked at last


def refine(job: Job, tools: Tools) -> None:
    """The mesh gets its final density here: that of the preset, as far as the photographs carry it."""
    report, settings = tools.report, job.settings
    if len(job.inputs.photos) < 2:
        return
    refined = refine_surface(
        job.mesh,
        [photo.pixels for photo in job.inputs.photos],
        [target.mask for target in job.targets],
        job.inputs.cameras,
        job.frame,
        FINEST[settings.preset],
        settings.max_vertices or SolveSettings.preset(cast(Preset, settings.preset)).max_vertices,
        report.check,
        report.step,
        report.control.finish.is_set,
    )
    job.mesh = refined.mesh
    if refined.outvoted:
        views = tuple(job.targets[i].camera.name for i in refined.outvoted)
        sentence = f"{names(views)} shows something else than its neighbours: it was left out of the surface's detail."
        job.findings.append(Finding("photo-disagrees", WARNING, views, sentence, "Look at it, or leave it out."))
