"""Whole runs from photographs, ours beside OpenMVS: what they cost and how far they are from what is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import executable

import cv2
import numpy as np

from bridge.capture import record
from bridge.capture.decode import decode
from bridge.capture.record import Capture
from bridge.capture.undistort import needs_undistortion, undistort_capture
from bridge.mesh.distance import distances
from bridge.report.evaluate import evaluate
from bridge.report.results import read_ply

from . import openmvs, sparse
from .process import Spent, spend


@dataclass(frozen=True, eq=False)
class Case:
    """One capture without distortion, where its results go, and the head's masks: given, or predicted for judging."""

    capture: Capture
    file: Path
    folder: Path
    masks: list[Path | None]
    source: Path  # the folder it came from, where its points may lie

    @classmethod
    def of(cls, path: Path, work: Path) -> Case:
        """path: a capture's folder or file; work: where everything made of it is kept and found again."""
        capture = record.load(path)
        source = path if path.is_dir() else path.parent
        folder = work / (capture.name if path.is_dir() else f"{path.parent.name}-{path.stem}")
        folder.mkdir(parents=True, exist_ok=True)
        if any(needs_undistortion(camera) for camera in capture.cameras):
            straight = folder / "capture"
            path = straight / "capture.json"
            if not path.exists():
                undistort_capture(capture, straight)
            capture = record.load(path)
        return cls(capture, path, folder, _masks(capture, path, folder / "normals"), source)

    def held(self) -> np.ndarray:  # [N, 3]
        """Points on the head that no reconstruction was given: those beside the capture, else half of our own."""
        given = sparse.given(self.capture, self.source, self.masks)
        return self.points().held.at if given is None else given

    def held_for(self, made: Made) -> np.ndarray:  # [N, 3]
        """The same for a mesh: where its run corrected the cameras, points are triangulated from those."""
        if made.refined is None:
            return self.held()
        return sparse.find(record.load(made.refined), made.path.parent / "points", self.masks).held.at

    def points(self) -> sparse.Sparse:
        """Sparse points of the capture; half of those that may measure are held out of everything."""
        return sparse.find(self.capture, self.folder / "points", self.masks)


@dataclass(frozen=True, eq=False)
class Made:
    """A mesh in the capture's world and what it took."""

    who: str
    path: Path
    spent: Spent
    refined: Path | None = None  # capture with the cameras that the run corrected, if it did

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        return read_ply(self.path)


def _masks(capture: Capture, path: Path, folder: Path) -> list[Path | None]:
    """The given masks; where one is missing all are predicted, for judging only."""
    if all(view.mask is not None for view in capture.views):
        return [view.mask for view in capture.views]
    if not (folder / "normals.json").exists():
        spend([executable, "-m", "bridge", "normals", path, "-o", folder], folder.with_suffix(".log"))
    listed = json.loads((folder / "normals.json").read_text(encoding="utf-8"))
    names = {entry["name"]: entry["mask"] for entry in listed["views"]}
    masks: list[Path | None] = []
    for view in capture.views:
        whole = folder / f"{view.name}_whole.png"
        if view.name in names and not whole.exists():
            small = decode(folder / names[view.name], "a predicted mask").values
            size = view.camera.width, view.camera.height
            cv2.imwrite(str(whole), cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))
        masks.append(whole if view.name in names else None)
    return masks


def ours(case: Case, preset: str) -> Made:
    """Our own run with nothing kept from an earlier one. A result in the folder is not made again."""
    folder = case.folder / preset
    mesh, cost = folder / "head.ply", folder / "spent.json"
    if not cost.exists():
        folder.mkdir(exist_ok=True)
        spend([executable, "-m", "bridge", "warm"], folder / "warm.txt")  # compiling is no part of the run
        spend(
            [executable, "-m", "bridge", "reconstruct", case.file, "-o", mesh, "--preset", preset, "--no-cache",
             "--report", folder / "report.json", "--refined", folder / "refined"],
            folder / "log.txt",
        ).save(cost)  # fmt: skip
    refined = folder / "refined"
    return Made(f"ours, {preset}", mesh, Spent.load(cost), refined if (refined / "capture.json").is_file() else None)


def theirs(case: Case, programs: Path) -> list[Made]:
    """OpenMVS's mesh and refined mesh."""
    found = openmvs.run(programs, case.capture, case.points(), case.folder / "openmvs")
    return [
        Made("OpenMVS, mesh", found.mesh, found.mesh_spent),
        Made("OpenMVS, refined", found.refined, found.refined_spent),
    ]


HEAD = (
    "\n| capture | who | vertices | s | CPU s | peak MB | depth_mm | normal_deg | below_10 % | gradient | coverage % "
    "| surface % | points % median | p90 | beyond 0.1 % | crossing |\n|" + "---|" * 16
)


def table(paths: Sequence[Path], presets: Sequence[str], programs: Path | None, work: Path) -> None:
    """Markdown: one row a capture and method. Points: distance of held-out points, in % of our mesh's diagonal."""
    print(HEAD)
    for path in paths:
        case = Case.of(path, work)
        made = [ours(case, preset) for preset in presets]
        if programs is not None:
            made += theirs(case, programs)
        diagonal = float(np.linalg.norm(np.ptp(made[0].mesh()[0], axis=0)))
        for one in made:
            print(row(case, one, case.held_for(one), diagonal), flush=True)


def row(case: Case, made: Made, held: np.ndarray, diagonal: float) -> str:
    vertices, faces = made.mesh()
    spent = made.spent
    cells = [case.folder.name, made.who, f"{len(vertices):,}"]
    cells += [f"{spent.wall:.0f}", f"{spent.cpu:.0f}", f"{spent.peak_mb:.0f}"]
    crossing = ""
    if case.capture.evaluation is not None:
        score = evaluate(case.capture, vertices, faces)
        cells += [f"{score.depth_mm:.3f}", f"{score.normal_deg:.2f}", f"{score.below_10_pct:.1f}"]
        cells += [f"{score.normal_gradient:.4f}", f"{score.coverage_pct:.1f}"]
        cells.append("" if score.surface_pct is None else f"{score.surface_pct:.4f}")
        crossing = f"{score.crossing_faces}"
    else:
        cells += [""] * 6
    gap = 100 * distances(held, vertices, faces) / diagonal
    cells += [f"{np.median(gap):.4f}", f"{np.percentile(gap, 90):.4f}", f"{100 * (gap > 0.1).mean():.1f}", crossing]
    return "| " + " | ".join(cells) + " |"


def half(case: Case) -> Case:
    """The case with every second photograph only, in a folder of its own and without ground truth."""
    folder = case.folder / "half"
    file = folder / "capture" / "capture.json"
    if not file.exists():
        undistort_capture(replace(case.capture, views=case.capture.views[::2]), file.parent)
    return Case(record.load(file), file, folder, case.masks[::2], case.source)
