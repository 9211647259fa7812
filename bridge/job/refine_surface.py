"""Stage: every detail that the photographs hold, down to their pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from ..capture.cameras import Camera
from ..capture.images import read_photo
from ..capture.inputs import MOST_PIXELS, Unpacked
from ..check.findings import WARNING, Finding, names
from ..errors import BridgeError
from ..photometric import Detail, Photographs, Refined, Watch, refine_surface, smooth_unseen
from ..refine import write_capture
from ..service.memory import trim_heaps
from ..service.protocol import Status
from ..solve import SolveSettings
from ..solve.coverage import coverage
from ..solve.settings import Preset
from .conditions import refining
from .record import Job, Tools

SEEN = 0.2  # confidence from which on a vertex is fully seen by a single photograph (0.49 head-on)
FINEST = {"draft": 500, "standard": 1000, "fine": 4000}  # pixels across the head's sphere that are looked at last


def refine(job: Job, tools: Tools) -> None:
    """The mesh gets its final density here: that of the preset, as far as the photographs carry it."""
    report, settings = tools.report, job.settings
    if len(job.inputs.photos) < 2:
        job.mesh = smooth_unseen(job.mesh, _seen(job, tools), job.frame, report.check)
        return

    def stepped(done: int, total: int) -> None:
        trim_heaps()  # what a step takes stays with its threads' heaps: 40 photographs of 24 MP went from 4.3 to 6.3 GB
        report.step(done, total)

    vertices = settings.max_vertices or SolveSettings.preset(cast(Preset, settings.preset)).max_vertices
    refined = refine_surface(
        job.mesh,
        photographs(job),
        job.frame,
        Detail(FINEST[settings.preset], vertices, poses=refining(settings)),
        Watch(report.check, stepped, report.control.finish.is_set),
    )
    job.mesh, job.expected_error = refined.mesh, refined.expected_error
    if refined.moved_px:
        _pose(job, tools, refined)
    if refined.outvoted:
        views = tuple(job.targets[job.sharp[i]].camera.name for i in refined.outvoted)
        sentence = f"{names(views)} shows something else than its neighbours: it was left out of the surface's detail."
        job.findings.append(Finding("photo-disagrees", WARNING, views, sentence, "Look at it, or leave it out."))


def _seen(job: Job, tools: Tools) -> np.ndarray:  # [V] 0..1
    """How well the only photograph sees each vertex of the head, not of its body."""
    assert job.prior is not None  # one photograph alone carves no head
    told = job.prior.evidence(job.targets)[: len(job.targets)]
    return np.clip(coverage(job.mesh, told, tools.report.check).confidence / SEEN, 0, 1)


def _pose(job: Job, tools: Tools, refined: Refined) -> None:
    """Everything after sees the cameras where the surface's detail wants them; they are kept beside the result."""
    cameras = job.inputs.cameras
    for i, camera in zip(job.sharp, refined.cameras, strict=True):
        cameras[i] = camera
    job.inputs.pose(cameras)
    job.targets = [
        replace(target, camera=replace(target.camera, R=camera.R, t=camera.t))
        for target, camera in zip(job.targets, cameras, strict=True)
    ]
    write_capture(job.inputs.capture, job.output / "refined")
    sentence = f"The surface's detail moved the cameras by {refined.moved_px:.1f} pixels on average."
    tools.report.send(Status(tools.report.id, sentence))


def photographs(job: Job) -> Photographs:
    """What the run keeps of its sharp photographs, and the way back to their files, in the poses that the run found."""
    views = [job.inputs.capture.views[i] for i in job.sharp]
    photos = [job.inputs.photos[i] for i in job.sharp]

    kept_pixels = Unpacked([photo.pixels for photo in photos])

    def read(i: int) -> tuple[np.ndarray, Camera]:
        view, kept = views[i], photos[i]
        try:
            photo = read_photo(view, MOST_PIXELS)
        except BridgeError:  # the file went away since it was read first
            return kept_pixels[i], kept.camera
        return photo.pixels, replace(photo.camera, R=kept.camera.R, t=kept.camera.t)

    return Photographs(
        kept_pixels,
        [job.targets[i].mask for i in job.sharp],
        [photo.camera for photo in photos],
        read,
        [view.camera.width / photo.camera.width for view, photo in zip(views, photos, strict=True)],
    )
