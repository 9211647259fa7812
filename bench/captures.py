"""The engine on whole captures with measured normals: every preset's time, memory, error and soundness."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bridge.capture import record as captures
from bridge.capture.framing import HeadFrame, head_frame
from bridge.capture.images import read_photo
from bridge.capture.inputs import Inputs, measured_map
from bridge.capture.masks import head_mask
from bridge.mesh import Mesh
from bridge.mesh.topology import build_twins
from bridge.report.evaluate import Score, evaluate
from bridge.solve import Solver, SolveSettings, Target
from bridge.solve.settings import Preset
from bridge.solve.targets import make_targets

from .measure import peak_mb


@dataclass(frozen=True, eq=False)
class Case:
    """A capture as the solver sees it."""

    capture: captures.Capture
    targets: list[Target]
    frame: HeadFrame


def load(path: Path) -> Case:
    """A capture with its measured normals."""
    capture = captures.load(path)
    photos = [read_photo(view) for view in capture.views]
    masks = [head_mask(view, photo) for view, photo in zip(capture.views, photos, strict=True)]
    inputs = Inputs(capture, photos, masks)
    targets = make_targets([measured_map(inputs, i) for i in range(len(photos))])
    boxes = np.stack([target.box() for target in targets])
    return Case(capture, targets, head_frame([target.camera for target in targets], boxes))


def solve(case: Case, settings: SolveSettings, targets: Sequence[Target] | None = None) -> tuple[Mesh, float, int]:
    """Mesh, seconds and steps of one solve with its clean-up."""
    began = time.perf_counter()
    solver = Solver(targets or case.targets, settings, case.frame)
    steps = 0
    for progress in solver:
        steps = progress.done
    return solver.finish(), time.perf_counter() - began, steps


def row(name: str, mesh: Mesh, seconds: float, score: Score) -> str:
    surface = "" if score.surface_pct is None else f"{score.surface_pct:.4f}"
    closed = bool((build_twins(mesh.faces, len(mesh.vertices)) >= 0).all())
    genus = 1 - (len(mesh.vertices) - len(mesh.faces) // 2) // 2
    return (
        f"| {name} | {len(mesh.vertices):,} | {seconds:.1f} | {peak_mb():.0f} | {score.depth_mm:.3f} "
        f"| {score.normal_deg:.2f} | {score.below_10_pct:.2f} | {score.normal_gradient:.4f} | {surface} "
        f"| {score.crossing_faces} | {'closed' if closed else 'OPEN'}, genus {genus} |"
    )


HEAD = (
    "\n| capture, preset | vertices | s | peak MB | depth_mm | normal_deg | below_10 % | gradient | surface % "
    "| crossing | shape |\n|" + "---|" * 11
)


def table(paths: Sequence[Path], presets: Sequence[Preset]) -> None:
    """Markdown: one row a capture and preset."""
    print(HEAD)
    for path in paths:
        case = load(path)
        for preset in presets:
            mesh, seconds, _ = solve(case, SolveSettings.preset(preset))
            score = evaluate(case.capture, mesh.vertices, mesh.faces)
            print(row(f"{case.capture.name}, {preset}", mesh, seconds, score), flush=True)
