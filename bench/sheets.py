"""A sheet for the eye: crops of photographs beside the shaded meshes, ours and OpenMVS's, and the truth if known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bridge.capture.images import read_photo
from bridge.raster import make_rasteriser
from bridge.report import picture
from bridge.report.results import read_ply

from . import photographs

PIXELS = 400  # of a crop on the sheet
GAP = 8
BOXES = Path(__file__).with_name("crops.json")
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Crop:
    """A square of one photograph: its middle and its side, as shares of the photograph's width."""

    part: str
    view: str
    x: float
    y: float
    side: float


def crops(name: str) -> list[Crop]:
    """The crops that crops.json names for a capture; the whole first photograph where it names none."""
    listed = json.loads(BOXES.read_text(encoding="utf-8")).get(name, [])
    return [Crop(*entry) for entry in listed]


def shaded(vertices: np.ndarray, faces: np.ndarray, camera) -> np.ndarray:  # [H, W, 3] uint8
    """The mesh as plaster, lit from the camera's upper left, four samples a pixel."""
    fine = camera.resize(2 * camera.width, 2 * camera.height)
    found = make_rasteriser("cpu", [fine]).render(vertices, faces)
    normals = camera.normals_from_world(found.normals[0]) * (found.triangle[0] >= 0)[..., None]
    return cv2.resize(picture.clay(normals), (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def table(paths: Sequence[Path], presets: Sequence[str], programs: Path | None, work: Path) -> None:
    """WORK/sheets/NAME.jpg of every capture; a real photograph's sheet stays out of the repository."""
    for path in paths:
        case = photographs.Case.of(path, work)
        made = [photographs.ours(case, preset) for preset in presets]
        if programs is not None:
            made += photographs.theirs(case, programs)
        meshes = [(one.who, one.mesh()) for one in made]
        truth = case.capture.evaluation
        if truth is not None and truth.mesh is not None:
            meshes.append(("truth", read_ply(truth.mesh)))
        views = {view.name: view for view in case.capture.views}
        rows = []
        for crop in crops(case.capture.name):
            photo = read_photo(views[crop.view])
            width = photo.camera.width
            side = round(crop.side * width)
            x0, y0 = round(crop.x * width - side / 2), round(crop.y * width - side / 2)
            camera = photo.camera.crop(x0, y0, side, side)
            camera = camera.resize(PIXELS, PIXELS)
            cut = cv2.warpAffine(
                photo.pixels, np.array([[1.0, 0, -x0], [0, 1, -y0]]), (side, side), borderMode=cv2.BORDER_REPLICATE
            )
            how = cv2.INTER_AREA if side > PIXELS else cv2.INTER_CUBIC
            tiles = [cv2.resize((cut * 255).astype(np.uint8), (PIXELS, PIXELS), interpolation=how)]
            rows.append(tiles + [shaded(*mesh, camera) for _, mesh in meshes])
        target = work / "sheets" / f"{case.folder.name}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        page = _page(rows, ["photograph", *(who for who, _ in meshes)])
        cv2.imwrite(str(target), page[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        print(target, flush=True)


def _page(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> np.ndarray:  # [H, W, 3] uint8
    """Tiles [s, s, 3] in a grid with a line of titles above."""
    bordered = [[cv2.copyMakeBorder(tile, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT) for tile in row] for row in rows]
    page = np.concatenate([np.concatenate(row, 1) for row in bordered])
    page = cv2.copyMakeBorder(page, 28, 0, GAP, 0, cv2.BORDER_CONSTANT)
    for column, title in enumerate(titles):
        place = (GAP + column * (PIXELS + GAP), 20)
        cv2.putText(page, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (222, 224, 228), 1, cv2.LINE_AA)
    return page
