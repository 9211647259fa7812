"""Stage: the files of a head: .npz for the add-on, PLY for everything else, report as JSON and as a picture."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..files import cache_folder
from ..report import picture, quality, results
from ..service.protocol import VERSION, Result
from .record import Job, Tools

HEAD_MM = (120.0, 1200.0)  # a head with shoulders is within this, or the scale is wrong


def write(job: Job, tools: Tools) -> None:
    """Stage: the files of a finished job. If they cannot be written, the mesh goes elsewhere and its place is said."""
    tools.previews.remove()
    try:
        _write(job, tools)
    except BridgeError as error:
        raise BridgeError(error.code, f"{error.sentence} {_kept(job)}", error.cure) from None


def _write(job: Job, tools: Tools) -> None:
    report, mesh, output = tools.report, job.mesh, job.output
    color = {"color": job.color}
    results.write_npz(output / "head.npz", vertices=mesh.vertices, faces=mesh.faces, **color, **_attributes(job))
    report.step(1, 3)
    _write_ply(job, output / "head.ply")
    report.step(2, 3)
    page = picture.run_sheet(job.inputs.pixels, job.targets, job.views, _heading(job))
    picture.save(page, output / "report.png")
    results.write_json(output / "report.json", _body(job, _size_mm(job, tools), tools))
    names = (output / name for name in ("head.npz", "report.json", "report.png"))
    job.result = Result(job.run.id, *map(str, names))


def _write_ply(job: Job, path: Path) -> None:
    channels = {name: job.color[:, i] for i, name in enumerate(("red", "green", "blue"))}  # names that viewers know
    results.write_ply(path, job.mesh.vertices, job.mesh.faces, **channels, **_attributes(job))


def _attributes(job: Job) -> dict[str, np.ndarray]:
    found = {
        "view_count": job.coverage.view_count,
        "confidence": job.coverage.confidence,
        "normal_error": job.normal_error,
    }
    return found if job.expected_error is None else found | {"expected_error": job.expected_error}


def _kept(job: Job) -> str:
    """Where the head is after its folder's disk refused it: the first other place that takes it."""
    for place in (Path(tempfile.gettempdir()), cache_folder(), Path.home()):
        with contextlib.suppress(OSError, BridgeError):
            folder = Path(tempfile.mkdtemp(prefix="skullptor-head-", dir=place))
            try:
                _write_ply(job, folder / "head.ply")
            except BaseException:
                folder.rmdir()
                raise
            return f"The head is kept as '{folder / 'head.ply'}'."
    return "No other place takes the head either."


def _mean_error(job: Job) -> float:
    return float(np.mean([view.normal_error_deg for view in job.views]))


def _heading(job: Job) -> str:
    return (
        f"{job.inputs.capture.name}: {len(job.mesh.vertices):,} vertices from {len(job.views)} views, "
        f"normals {job.settings.normals}, mean difference {_mean_error(job):.1f} degrees"
    )


def _size_mm(job: Job, tools: Tools) -> list[float] | None:
    unit_mm = job.inputs.capture.unit_mm
    if unit_mm is None:
        return None
    size = np.ptp(job.mesh.vertices, axis=0) * unit_mm
    if not HEAD_MM[0] <= size.max() <= HEAD_MM[1]:
        tools.report.warn(
            "scale",
            f"The result is {size.max() / 10:.1f} cm long, which is no human head.",
            "Check the scene's unit scale or the capture's unit_mm, unless the subject is a statue.",
        )
    return [round(float(value), 2) for value in size]


def _body(job: Job, size_mm: list[float] | None, tools: Tools) -> dict:
    """The report, as users and benchmarks read it."""
    mesh, capture, report = job.mesh, job.inputs.capture, tools.report
    sure = quality.view_confidence(mesh, job.targets, job.views, job.coverage.confidence)
    seconds = report.seconds_so_far()
    return {
        "skullptor": VERSION,
        "capture": capture.name,
        "settings": asdict(job.settings),
        "solve": asdict(job.solve),
        "normals_provider": job.inputs.provider,
        "rasteriser": job.solve.raster,
        "steps": job.steps,
        "finished_early": report.control.finish.is_set(),
        "seconds": seconds,
        "seconds_total": round(sum(seconds.values()), 3),
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "unit_mm": capture.unit_mm,
        "size_mm": size_mm,
        "eyes": None if job.eyes is None else job.eyes.round(6).tolist(),
        "refined": None if job.refined is None else job.refined.as_json(),
        "matched": _matched(job),
        "seen_pct": round(float((job.coverage.view_count > 0).mean() * 100), 2),
        "normal_error_deg": round(_mean_error(job), 3),
        "mask_iou": round(float(np.mean([view.mask_iou for view in job.views])), 4),
        "views": [
            {
                "name": view.name,
                "normal_error_deg": round(view.normal_error_deg, 3),
                "mask_iou": round(view.mask_iou, 4),
                "coverage_pct": round(view.coverage * 100, 2),
                "confidence": round(confidence, 4),
            }
            for view, confidence in zip(job.views, sure)
        ],
    }


def _matched(job: Job) -> dict[str, float | None] | None:
    if job.matched is None:
        return None
    unit_mm = job.inputs.capture.unit_mm
    moved = None if unit_mm is None else round(job.matched.moved * unit_mm, 3)
    return {"share_pct": round(100 * float((job.matched.confidence > 0).mean()), 2), "moved_mm": moved}
