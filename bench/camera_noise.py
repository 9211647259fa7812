"""python -m bench.camera_noise CAPTURE... [--sigmas 0.25 0.5 1] [--seeds 1 2 3]: wrong cameras, refined and not.

--preset standard instead of the draft; --without-masks as if the capture had none.

Every camera of a capture with ground truth is turned about each axis by a normal deviate of sigma degrees and shifted
along each by one of sigma percent of its distance to the head; without noise the seed is the draft's. depth_mm is of
the draft after alignment to the true face (evaluate --align procrustes), "placed" after the similarity of the cameras'
frame to the true one, which knows nothing of the mesh; degrees and percent are the cameras' errors after a similarity
of their centres.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bridge.capture import record as captures
from bridge.capture.cameras import Camera
from bridge.capture.framing import head_frame
from bridge.head.canonical import Canonical, similarity
from bridge.job.runner import JobRunner
from bridge.refine.adjust import perturbed, pose_difference, triangulated
from bridge.refine.tracks import Tracks
from bridge.report import results
from bridge.report.evaluate import evaluate
from bridge.service.protocol import Error, JobSettings, Run
from bridge.service.wire import Control


def noisy(cameras: Sequence[Camera], sigma: float, seed: int) -> list[Camera]:
    """sigma in degrees and percent, about and along every axis."""
    rng = np.random.default_rng(seed)
    center = head_frame(cameras).center
    found = []
    for camera in cameras:
        far = np.linalg.norm(camera.center - center)
        turn, shift = np.radians(sigma) * rng.normal(size=3), sigma / 100 * far * rng.normal(size=3)
        found.append(perturbed(camera, turn, shift))
    return found


def left(cameras: Sequence[Camera], truth: Sequence[Camera]) -> tuple[float, float]:
    """Mean degrees and percent between the rigs, after the similarity of their centres."""
    fit = similarity(*(np.stack([camera.center for camera in rig]) for rig in (cameras, truth)))
    assert fit is not None
    center = head_frame(truth).center
    errors = []
    for camera, true in zip(cameras, truth, strict=True):
        turn, shift = pose_difference(true, camera.transformed(fit.scale, fit.rotation, fit.offset))
        far = np.linalg.norm(true.center - center)
        errors.append((np.degrees(np.linalg.norm(turn)), 100 * np.linalg.norm(shift) / far))
    degrees, percent = np.mean(errors, axis=0)
    return float(degrees), float(percent)


def frame(cameras: Sequence[Camera], truth: Sequence[Camera], points: np.ndarray) -> Canonical:
    """The similarity from the world that the cameras describe to the true one, at points [N, 3] of the true one."""
    count, views = len(points), len(truth)
    pixels = np.concatenate([camera.project(points)[0] for camera in truth])
    tracks = Tracks(np.tile(np.arange(count), views), np.repeat(np.arange(views), count), pixels)
    found = similarity(triangulated(cameras, tracks), points)
    assert found is not None
    return found


@dataclass(frozen=True)
class Made:
    """A draft: depth_mm after the alignment of its surface and of its cameras, the cameras, the report."""

    depth: float
    placed: float
    cameras: list[Camera]
    report: dict


def run(
    path: Path, cameras: Sequence[Camera], refine: bool, seed: int = 0, preset: str = "draft", masks: bool = True
) -> Made:
    """A head of the capture with other cameras; masks: with those that it has."""
    original = captures.load(path)
    with tempfile.TemporaryDirectory() as work:
        folder, output = Path(work) / "capture", Path(work) / "output"
        shutil.copytree(path, folder, copy_function=_linked)
        capture = captures.load(folder)
        views = tuple(replace(view, camera=camera) for view, camera in zip(capture.views, cameras, strict=True))
        if not masks:
            views = tuple(replace(view, mask=None) for view in views)
        (folder / "capture.json").unlink()  # a link: the original must not be written to
        capture = replace(capture, views=views)
        captures.save(capture, folder)
        heard: list = []
        settings = JobSettings(preset=preset, refine_cameras=refine, seed=seed)
        JobRunner().run(Run("bench", str(folder), str(output), settings), heard.append, Control())
        for message in heard:
            if isinstance(message, Error):
                raise SystemExit(message.sentence)
        assert capture.evaluation is not None and capture.evaluation.mesh is not None
        truth = results.read_ply(capture.evaluation.mesh)
        vertices, faces = results.read_ply(output / "head.ply")
        report = json.loads((output / "report.json").read_text(encoding="utf-8"))
        found = captures.load(output / "refined").cameras if (output / "refined").is_dir() else list(cameras)
        fit = frame(found, original.cameras, truth[0][:: max(1, len(truth[0]) // 2000)])
        placed = evaluate(capture, fit.apply(vertices), faces)
        return Made(evaluate(capture, vertices, faces, truth).depth_mm, placed.depth_mm, found, report)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.camera_noise", description=__doc__)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--sigmas", nargs="+", type=float, default=[0.0, 0.25, 0.5, 1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--refined-only", action="store_true", help="as given for sigma 0 only")
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--without-masks", action="store_true")
    options = parser.parse_args()
    how = options.preset, not options.without_masks
    print(
        "| capture | sigma | seed | degrees | percent | depth_mm as given | refined | degrees | percent | features px |"
    )
    print("|" + "---|" * 10)
    for path in options.captures:
        truth = captures.load(path).cameras
        for sigma in options.sigmas:
            for seed in options.seeds:
                cameras = noisy(truth, sigma, seed)
                before, draft = left(cameras, truth), 0 if sigma else seed
                given = ""
                if not (sigma and options.refined_only):
                    given = f"{run(path, cameras, False, draft, *how).depth:.3f}"
                made = run(path, cameras, True, draft, *how)
                after = left(made.cameras, truth)
                px = made.report["refined"]["error_px"]
                fits = "" if px is None else f"{px[0]:.2f} -> {px[1]:.2f}"
                print(
                    f"| {path.name} | {sigma:g} | {seed} | {before[0]:.2f} | {before[1]:.2f} | {given} "
                    f"| {made.depth:.3f} | {made.placed:.3f} | {after[0]:.2f} | {after[1]:.2f} | {fits} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
