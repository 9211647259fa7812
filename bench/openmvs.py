"""A capture through OpenMVS's programs, which the user has built: densify, mesh, refine. For comparison only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bridge.capture.images import read_mask
from bridge.capture.record import Capture

from .process import Spent, spend
from .sparse import Sparse

THREADS = 2
LONGEST = 2000  # pixels of a photograph that OpenMVS looks at; larger ones it halves: forty of 18 MP take half a day


@dataclass(frozen=True)
class Rival:
    """What OpenMVS makes of a capture: its mesh, the refined one, and what each took from the photographs on."""

    mesh: Path
    refined: Path
    mesh_spent: Spent
    refined_spent: Spent


def run(programs: Path, capture: Capture, sparse: Sparse, folder: Path) -> Rival:
    """Depth maps at full resolution, up to LONGEST, inside the masks where there are any; the rest as OpenMVS would.

    A folder that holds a result is not run again.
    """
    rival = Rival(folder / "mesh.ply", folder / "refined.ply", Spent(), Spent())
    if not (folder / "refined.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        scene, dense = folder / "scene.mvs", folder / "dense.mvs"
        common: list[str | Path] = ["-w", folder, "--max-threads", str(THREADS), "--process-priority", "0"]
        model = folder / "colmap"
        model.mkdir(exist_ok=True)
        if not (model / "sparse").exists():
            (model / "sparse").symlink_to(sparse.model.resolve(), target_is_directory=True)
        masks: list[str | Path] = ["--mask-path", _masks(capture, folder / "masks"), "--ignore-mask-label", "0"]
        if any(view.mask is None for view in capture.views):
            masks = []

        longer = max(max(view.camera.width, view.camera.height) for view in capture.views)
        halved = str(max(0, math.ceil(math.log2(longer / LONGEST))))

        def step(name: str, *options: str | Path) -> Spent:
            return spend([programs / name, *common, *options], folder / f"{name}.log")

        if not (folder / "mesh.json").exists():  # a run that was interrupted goes on
            images = str(sparse.images.resolve()) + "/"
            spent = step("InterfaceCOLMAP", "-i", model.resolve(), "-o", scene, "--image-folder", images)
            spent += step("DensifyPointCloud", "-i", scene, "-o", dense, "--resolution-level", halved,
                          "--max-resolution", "4096", "--tower-mode", "0", *masks)  # fmt: skip
            spent += step("ReconstructMesh", "-i", dense, "-p", dense.with_suffix(".ply"), "-o", rival.mesh)
            spent.save(folder / "mesh.json")
        spent = Spent.load(folder / "mesh.json")
        spent += step("RefineMesh", "-i", dense, "-m", rival.mesh, "-o", rival.refined, "--resolution-level", halved)
        spent.save(folder / "refined.json")
    mesh, refined = (Spent.load(folder / name) for name in ("mesh.json", "refined.json"))
    return Rival(rival.mesh, rival.refined, mesh, refined)


def _masks(capture: Capture, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for view in capture.views:
        if view.mask is not None:
            inside = read_mask(view.mask, view.camera) > 0.5
            cv2.imwrite(str(folder / f"{view.image.stem}.mask.png"), np.where(inside, 255, 0).astype(np.uint8))
    return folder
