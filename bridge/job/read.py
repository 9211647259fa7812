"""Stage: the capture, its photographs and masks, and what the solver is asked to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from ..capture.inputs import Inputs, read_inputs
from ..check.findings import WARNING, Finding
from ..errors import BridgeError
from ..prior.prior import MOST_VIEWS
from ..raster import Backend, available, choose
from ..service.protocol import JobSettings, Status
from ..service.reporter import Reporter
from ..solve import SolveSettings
from ..solve.settings import Preset
from .conditions import matching
from .record import Job, Tools

# Silhouettes are exact where predicted normals are not, so they weigh more than with measured normals (there the
# solver's own 0.2 is best). Found with the network of November 2026, 19 degrees off (depth_mm at 0.2 -> here, draft):
# marble_bust 3.03 -> 2.24 and 2.19, valid_wf2 2.70 -> 2.49 and 2.13.
MASK_WEIGHT_PREDICTED, MASK_WEIGHT_GIVEN = 2.0, 4.0
# Where views contradict each other the surface folds, and ripples of a head whose normals are wrong help nobody. 0.2
# reaches outlines better than 0.5 (least IoU on buddha_real with the mattes 0.977 and 0.965, with the given masks 0.946
# and 0.933), which was 0.01 to 0.02 mm better in depth.
SMOOTHNESS_PREDICTED = 0.2
CARVED: Preset = "draft"  # what is carved before the photographs are asked
CARVED_VERTICES = 25_000
DIFFUSION_PREDICTED = 12  # rounds; docs/lab/solver.md, "Seams and pimples"


def read(job: Job, tools: Tools) -> None:
    """Raises BridgeError for whatever cannot be used, before any work is done."""
    raster = rasteriser(job.settings)
    job.inputs = read_inputs(Path(job.run.capture), tools.report.step)
    job.findings = [*remarks(job.inputs), *missing_masks(job.inputs)]
    if job.settings.stage == "mesh":
        job.solve = solve_settings(job.settings, job.inputs, tools.report, raster)
        if "auto" in (job.settings.device, job.settings.raster):
            tools.report.send(Status(job.run.id, f"The mesh is carved on: {raster}."))


def rasteriser(settings: JobSettings) -> Backend:
    """The one to use, at the user's word or the best there is. Raises BridgeError "device" where the user asks for one
    that cannot be used here."""
    name = settings.device if settings.raster == "auto" else settings.raster
    if name not in ("auto", "cpu") and (reason := available()[name]):
        raise BridgeError("device", f"'{name}' was asked for and cannot be used here: {reason}.", "Choose auto or cpu.")
    return choose(cast(Backend, name))  # the protocol has proved it


def remarks(inputs: Inputs) -> list[Finding]:
    """What was odd about the files."""
    return [Finding(said.code, WARNING, said.views, said.sentence, said.cure) for said in inputs.remarks]


def missing_masks(inputs: Inputs) -> list[Finding]:
    """Some views have a mask and others have not: perhaps a file was forgotten."""
    views = zip(inputs.capture.views, inputs.given_masks, strict=True)
    lacking = tuple(view.name for view, mask in views if mask is None)
    if not lacking or len(lacking) == len(inputs.given_masks):
        return []
    return [Finding("mask-missing", WARNING, lacking, f"No mask for {', '.join(lacking)}: it is predicted there.", "")]


def solve_settings(settings: JobSettings, inputs: Inputs, report: Reporter, raster: Backend) -> SolveSettings:
    """The preset's, changed by what kind of normals there are and by what the artist chose."""
    capture = inputs.capture
    changes: dict = {"seed": settings.seed, "raster": raster}
    if settings.normals != "measured":
        given = all(mask is not None for mask in inputs.given_masks)
        changes["mask_weight"] = MASK_WEIGHT_GIVEN if given else MASK_WEIGHT_PREDICTED
        changes["laplacian"] = SMOOTHNESS_PREDICTED
        changes |= {"diffusion": DIFFUSION_PREDICTED, "relief": 0.0}
    for ours, theirs in (("steps", "steps"), ("max_vertices", "max_vertices"), ("smoothness", "laplacian")):
        if (value := getattr(settings, ours)) is not None:
            changes[theirs] = value
    if settings.min_edge_mm:
        if capture.unit_mm is None:
            report.warn(
                "no-scale",
                "The shortest edge is given in millimetres, but the capture's scale is unknown: it is ignored.",
                "Give the capture's unit_mm.",
            )
        else:
            changes["min_edge"] = settings.min_edge_mm / capture.unit_mm
    if len(inputs.photos) <= MOST_VIEWS:
        changes["turns"] = False
    preset = cast(Preset, settings.preset)
    # photographs that are matched bring the detail; maps that are degrees off only add noise
    if matching(settings) and len(inputs.photos) > 1:
        preset = CARVED
        changes["max_vertices"] = min(settings.max_vertices or CARVED_VERTICES, CARVED_VERTICES)
    return SolveSettings.preset(preset, **changes)
