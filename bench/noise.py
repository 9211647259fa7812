"""Wrong normals and what each loss makes of them: smooth and pixel noise on measured normals, and the network's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from bridge.capture.images import read_photo
from bridge.capture.inputs import Inputs
from bridge.capture.masks import head_mask
from bridge.job.read import MASK_WEIGHT_GIVEN, SMOOTHNESS_PREDICTED
from bridge.normals import make_predictor
from bridge.report.evaluate import evaluate
from bridge.solve import SolveSettings, Target
from bridge.solve.settings import Preset
from bridge.solve.targets import make_targets

from .captures import Case, load, solve

DEGREES = 10.0  # mean angle of the noise
SMOOTH = 0.06  # width of the smooth noise, as a share of the image
LOSSES = ("l2", "l1", "robust", "linear")  # linear with mask weight 1 and alpha 3 is the paper's
PAPER = {"mask_weight": 1.0, "alpha": 3.0}


def turned(targets: Sequence[Target], kind: str, seed: int = 0) -> list[Target]:
    """The targets with normals turned by DEGREES in the mean, in every view another way ("smooth" or "pixel")."""
    rng = np.random.default_rng(seed)
    found = []
    for target in targets:
        noise: np.ndarray = rng.standard_normal(target.normals.shape).astype(np.float32)
        if kind == "smooth":
            noise = cv2.GaussianBlur(noise, (0, 0), SMOOTH * max(target.mask.shape))
            noise = noise / noise.std()
        noise -= (noise * target.normals).sum(-1, keepdims=True) * target.normals
        # the length of two normal components of deviation 1 is sqrt(pi / 2) in the mean
        normals = target.normals + np.tan(np.radians(DEGREES)) / np.sqrt(np.pi / 2) * noise
        normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
        found.append(Target(target.camera, normals.astype(np.float32), target.mask, target.weight))
    return found


def predicted(case: Case) -> list[Target]:
    """Targets with the shipped network's normals."""
    photos = [read_photo(view) for view in case.capture.views]
    masks = [head_mask(view, photo) for view, photo in zip(case.capture.views, photos, strict=True)]
    inputs = Inputs(case.capture, photos, masks)
    predictor = make_predictor("network", "cpu")
    inputs.maps = predictor.predict([p.pixels for p in photos], [p.camera for p in photos], masks)
    return make_targets(inputs.maps)


def table(paths: Sequence[Path], preset: Preset, losses: Sequence[str] = LOSSES, network: bool = True) -> None:
    """Markdown: rows of source and loss."""
    print(f"\n| capture ({preset}), normals | degrees in | loss | vertices | depth_mm | normal_deg ", end="")
    print("| below_10 % | gradient |")
    print("|" + "---|" * 8)
    for path in paths:
        case = load(path)
        sources = {kind: turned(case.targets, kind) for kind in ("smooth", "pixel")}
        if network:
            sources["network"] = predicted(case)
        for name, targets in sources.items():
            wrong = error_of(targets, case.targets)
            for loss in losses:
                changes = PAPER if loss == "linear" else {}
                if name == "network" and loss != "linear":
                    changes = {"mask_weight": MASK_WEIGHT_GIVEN, "laplacian": SMOOTHNESS_PREDICTED}
                settings = SolveSettings.preset(preset, loss=loss, **changes)
                mesh, _, _ = solve(case, settings, targets)
                score = evaluate(case.capture, mesh.vertices, mesh.faces)
                print(
                    f"| {case.capture.name}, {name} | {wrong:.1f} | {loss} | {len(mesh.vertices):,} "
                    f"| {score.depth_mm:.2f} | {score.normal_deg:.2f} | {score.below_10_pct:.1f} "
                    f"| {score.normal_gradient:.4f} |",
                    flush=True,
                )


def error_of(targets: Sequence[Target], truth: Sequence[Target]) -> float:
    """Mean angle between the maps where both know the head, degrees."""
    angles = []
    for a, b in zip(targets, truth, strict=True):
        size = (b.mask.shape[1], b.mask.shape[0])
        normals = cv2.resize(a.normals, size, interpolation=cv2.INTER_LINEAR)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
        assert b.weight is not None
        known = (b.mask > 0.5) & (b.weight > 0.5) & (np.asarray(cv2.resize(a.mask, size)) > 0.5)
        angles.append(np.degrees(np.arccos(np.clip((normals * b.normals).sum(-1), -1, 1)))[known])
    return float(np.concatenate(angles).mean())
