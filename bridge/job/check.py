"""python -m bridge check: the pre-flight from the command line."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..capture import record as captures
from ..capture.inputs import Inputs, judge_masks, read_view, stand_apart
from ..check.findings import ERROR, Finding
from ..check.inspection import Inspection, inspect
from ..errors import BridgeError
from ..files import claim_file
from ..report import picture, results
from ..service.protocol import NORMAL_SOURCES, VERSION, JobSettings, Run
from ..service.reporter import Reporter
from ..service.terminal import Terminal, clear_errors, stoppable
from .cache import Cache
from .leave_out import headless
from .predictors import Predictors
from .preview import Previews
from .read import remarks
from .record import Job, Tools
from .runner import run_stage
from .stages import PREDICT, READ

SHARES = {READ.name: 0.2, PREDICT.name: 0.8}


def main(argv: list[str]) -> int:
    """Check the cameras, photographs and masks of a capture; exit code 1 if something in it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bridge check", description=main.__doc__)
    parser.add_argument("capture", type=Path, help="capture folder, or a capture*.json in it")
    parser.add_argument("--json", type=Path, help="also write the findings as JSON here")
    parser.add_argument("--picture", type=Path, help="also write a picture of rig and outlines as PNG here")
    parser.add_argument(
        "--normals",
        choices=[n for n in NORMAL_SOURCES if n != "measured"],
        default="network",
        help="whose matte finds the head where no mask is given",
    )
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(argv)
    with clear_errors() as failed:
        for target in (options.json, options.picture):
            if target:
                claim_file(target)
        capture = captures.load(options.capture)
        with Terminal() as terminal, stoppable() as control:
            report = Reporter("check", terminal.show, control, SHARES)
            inputs, unreadable = read(capture, report)
            stand_apart(capture.cameras)
            unreadable += find_heads(inputs, JobSettings(normals=options.normals, device=options.device), report)
        mattes = [m if m is not None else inputs.maps[i].matte for i, m in enumerate(inputs.given_masks)]
        cameras = [photo.camera for photo in inputs.photos]
        pixels = inputs.pixels
        given = [mask is not None for mask in inputs.given_masks]
        inspection = inspect(
            cameras, pixels, mattes, given, unit_mm=capture.unit_mm, findings=unreadable, maps=inputs.maps
        )
        for finding in inspection.findings:
            print(f"{finding.severity.capitalize()}: {finding.sentence} {finding.cure}", flush=True)
        if not inspection.findings:
            print("Nothing found: cameras, photographs and masks agree.")
        if options.json:
            results.write_json(options.json, as_json(capture, inspection))
        if options.picture:
            from ..check.picture import page

            shown = [pixels[i] for i in np.flatnonzero(np.isfinite(inspection.misfit))]
            heading = f"{capture.name}: {len(capture.views)} views checked in {inspection.seconds:.1f} s"
            picture.save(page(inspection, shown, heading), options.picture)
        return 0 if inspection.ok else 1
    return failed.code


def read(capture: captures.Capture, report: Reporter) -> tuple[Inputs, list[Finding]]:
    """Photographs and masks of the views that can be read, and a finding for each that cannot or is odd."""
    report.begin(READ.name)
    findings, views, photos, given = [], [], [], []
    for i, view in enumerate(capture.views):
        try:
            photo, mask = read_view(view)
        except BridgeError as error:
            findings.append(Finding(error.code, ERROR, (view.name,), error.sentence, error.cure))
            continue
        views.append(view)
        photos.append(photo)
        given.append(mask)
        report.step(i + 1, len(capture.views))
    inputs = Inputs(replace(capture, views=tuple(views)), photos, given)
    judge_masks(inputs)
    return inputs, [*findings, *remarks(inputs)]


def find_heads(inputs: Inputs, settings: JobSettings, report: Reporter) -> list[Finding]:
    """Predict where a mask is missing, kept for the run that follows; views without a head are taken out and named."""
    if all(mask is not None for mask in inputs.given_masks):
        return []
    job = Job(Run(report.id, "", "", settings))
    job.inputs = inputs
    run_stage(PREDICT, job, Tools(report, Cache(), Predictors(), Previews(report, job.output)))
    return headless(inputs)


def as_json(capture: captures.Capture, inspection: Inspection) -> dict:
    """The findings as `--report` writes them."""
    frame = inspection.canonical
    return {
        "skullptor": VERSION,
        "capture": capture.name,
        "ok": inspection.ok,
        "seconds": round(inspection.seconds, 2),
        "findings": [
            {"code": f.code, "severity": f.severity, "views": list(f.views), "sentence": f.sentence, "cure": f.cure}
            for f in inspection.findings
        ],
        "views": [
            {"name": name, "misfit_pct": None if np.isnan(value) else round(100 * float(value), 3)}
            for name, value in zip(inspection.names, inspection.misfit, strict=True)
        ],
        "head": None
        if frame is None
        else {
            "trusted": frame.trusted,
            "agreeing": round(frame.inlier_share, 3),
            "up": [round(float(x), 4) for x in frame.up],
            "front": [round(float(x), 4) for x in frame.front],
            "center": [float(x) for x in frame.center],
            "unit_mm": round(frame.unit_mm, 2),
        },
    }
