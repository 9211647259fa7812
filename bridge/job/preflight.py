"""Stage: the check of cameras, photographs and masks; what it finds becomes warnings before the head is carved."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from ..check import INFO, inspect
from ..check.findings import Finding
from ..prior.prior import MOST_VIEWS
from .cache import key_of, parts_of
from .conditions import refining
from .record import Cached, Job, Tools

VERSION = "check 8"  # part of the cache's key: another check finds other things
LEAST_VIEWS = 3  # two cameras never contradict a third
TOLD_LATER = ("scale",)  # by the finished mesh, which knows better
# Median of matches from where the cameras say, in head radii, from which on the cameras are refined: 0.0003 to 0.0008
# on right rigs. Two thousandths are a pixel of a thousand across the head, and detail needs better than that.
LOOSE = 1e-3


def check(job: Job, tools: Tools) -> None:
    """Stage: the check of cameras, photographs and masks before the solve. Fewer than three check nothing."""
    inputs = job.inputs
    if len(inputs.photos) < LEAST_VIEWS:
        return
    given = [mask is not None for mask in inputs.given_masks]
    mattes = [m.matte if mask is None else mask for m, mask in zip(inputs.maps, inputs.given_masks, strict=True)]
    inspection = inspect(
        inputs.cameras,
        inputs.pixels,
        mattes,
        given,
        unit_mm=inputs.capture.unit_mm,
        maps=inputs.maps,
        check=tools.report.check,
    )
    told = inspection.findings
    job.findings = [found for found in told if found.severity != INFO and found.code not in TOLD_LATER]
    job.checked = job.findings
    job.loose = (inspection.epipolar_error or 0.0) > LOOSE


def _key(job: Job, tools: Tools) -> str:
    views = [part for view in job.inputs.capture.views for part in parts_of(view)]
    return f"{VERSION.replace(' ', '-')}-{key_of([job.settings.normals, *views])}"


def _pack(job: Job) -> dict[str, np.ndarray]:
    text = json.dumps([asdict(found) for found in job.findings])
    return {"findings": np.frombuffer(text.encode(), np.uint8), "loose": np.array(job.loose)}


def _unpack(job: Job, arrays: dict[str, np.ndarray]) -> None:
    stored = json.loads(arrays["findings"].tobytes())
    job.findings = [Finding(**body | {"views": tuple(body["views"])}) for body in stored]
    job.checked = job.findings
    job.loose = bool(arrays["loose"])
    few = len(job.inputs.photos) <= MOST_VIEWS  # then the face may move them
    if (job.loose or few) and refining(job.settings) and not job.moved:  # the next stage judges once more
        job.postponed, job.findings = job.findings, []


CACHED = Cached(_key, _pack, _unpack)
