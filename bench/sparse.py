"""Points that structure from motion finds on a head whose cameras are known, half of them held out for measuring."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from bridge.calibrate.database import Matching, Session, find_features, match, opened
from bridge.calibrate.photographs import Photograph
from bridge.capture.images import read_mask
from bridge.capture.record import Capture
from bridge.importers.export import colmap
from bridge.report.results import read_ply
from bridge.service.reporter import Reporter
from bridge.service.wire import Control

NEIGHBOURS = 8  # each photograph is compared with so many: the nearest by viewing direction
APART = np.radians(75.0)  # further apart nothing matches
LEAST_VIEWS, MOST_ERROR_PX, LEAST_ANGLE = 3, 1.0, 4.0  # of a point that measures; pixels, degrees
MOSTLY = 0.95  # of the views that could show a point on the head have it inside their masks
SAME = 1e-7  # of the cloud's diagonal: closer points are one


@dataclass(frozen=True, eq=False)
class SparsePoints:
    """points [N, 3] with the numbers of the views that show each."""

    at: np.ndarray  # [N, 3] world
    views: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Sparse:
    """model: folder of a COLMAP text model with the points that may be used; held: those kept for measuring."""

    model: Path
    images: Path
    held: SparsePoints


def find(capture: Capture, folder: Path, masks: list[Path | None]) -> Sparse:
    """Triangulate points from the capture's own cameras, which must have no distortion.

    masks: of the head, for every view (given or predicted); a point that measures lies inside all that show it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known, model = folder / "known", folder / "sparse"
    images = Path(os.path.commonpath([view.image.parent for view in capture.views]))
    if not (folder / "held.npz").exists():
        colmap(capture, known)
        found = _triangulated(capture, folder, known, images)
        held, once = _half(found)
        points = _measuring(capture, found, once, masks)
        for point in held:
            found.delete_point3D(int(point))
        model.mkdir(exist_ok=True)
        found.write_text(str(model))
        shown = np.zeros((len(points), len(capture.views)), bool)
        for row, views in zip(shown, points.views, strict=True):
            row[views] = True
        np.savez(folder / "held.npz", at=points.at, shown=shown)
    stored = np.load(folder / "held.npz")
    return Sparse(model, images, SparsePoints(stored["at"], [np.flatnonzero(row) for row in stored["shown"]]))


def given(capture: Capture, folder: Path, masks: list[Path | None]) -> np.ndarray | None:  # [N, 3]
    """Points that lie beside a capture (points.npz, points.ply of calibrate) and on the head: inside nearly all masks.

    None where there are none. The cameras may have been found with them, no mesh is.
    """
    if (folder / "points.npz").exists():
        points = np.load(folder / "points.npz")["points"].astype(np.float64)
    elif (folder / "points.ply").exists():
        points = read_ply(folder / "points.ply")[0]
    else:
        return None
    inside, seen = np.zeros(len(points)), np.zeros(len(points))
    for view, mask in zip(capture.views, masks, strict=True):
        if mask is not None:
            matte = read_mask(mask, view.camera) > 0.5
            pixel, z = view.camera.project(points)
            x, y = np.floor(np.nan_to_num(pixel.T, posinf=-1, neginf=-1)).astype(int)
            shown = (z > 0) & (x >= 0) & (y >= 0) & (x < matte.shape[1]) & (y < matte.shape[0])
            seen += shown
            inside += shown & matte[np.where(shown, y, 0), np.where(shown, x, 0)]
    return points[(seen >= LEAST_VIEWS) & (inside >= MOSTLY * seen)]


def _triangulated(capture: Capture, folder: Path, known: Path, images: Path) -> pycolmap.Reconstruction:
    session = Session(folder / "database.db", images, None, seed=0, threads=2)
    session.database.unlink(missing_ok=True)
    model = pycolmap.Reconstruction(str(known))
    names = {image.name: image for image in model.images.values()}
    photographs = []
    with opened(session) as database:
        for name in sorted(names):
            image = names[name]
            camera = model.cameras[image.camera_id]
            database.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig()
            rig.rig_id = image.frame.rig_id
            rig.add_ref_sensor(camera.sensor_id)
            database.write_rig(rig, use_rig_id=True)
            stored = pycolmap.Image(name=name, camera_id=image.camera_id)
            stored.image_id = image.image_id
            database.write_image(stored, use_image_id=True)
            frame = pycolmap.Frame()
            frame.frame_id = image.frame_id
            frame.rig_id = rig.rig_id
            frame.add_data_id(stored.data_id)
            database.write_frame(frame, use_frame_id=True)
            photographs.append(Photograph(images / name, camera.width, camera.height))
    report = Reporter("bench", lambda message: None, Control(), {"points": 1.0})
    report.begin("points")
    find_features(session, photographs, report)
    match(session, _pairs(capture, images), Matching(guided=True), report)
    output = folder / "triangulated"
    output.mkdir(exist_ok=True)
    return pycolmap.triangulate_points(model, str(session.database), str(images), str(output))


def _half(found: pycolmap.Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the points that are held out, and of one at each place: a feature with two directions makes two."""
    ids = np.array(sorted(found.points3D))
    at = np.array([found.points3D[int(key)].xyz for key in ids])
    step = SAME * np.linalg.norm(np.ptp(at, axis=0))
    _, first, place = np.unique(np.round(at / step), axis=0, return_index=True, return_inverse=True)
    chosen = np.random.default_rng(0).permutation(len(first))[::2]
    return ids[np.isin(place.ravel(), chosen)], ids[first[np.sort(chosen)]]


def _measuring(
    capture: Capture, found: pycolmap.Reconstruction, ids: np.ndarray, masks: list[Path | None]
) -> SparsePoints:
    mattes = [None if path is None else read_mask(path, view.camera) > 0.5
              for path, view in zip(masks, capture.views, strict=True)]  # fmt: skip
    at, views = [], []
    for key in ids:
        point = found.points3D[int(key)]
        shown = np.unique([element.image_id - 1 for element in point.track.elements])
        if len(shown) < LEAST_VIEWS or point.error > MOST_ERROR_PX:
            continue
        towards = np.stack([capture.views[i].camera.center - point.xyz for i in shown])
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        if np.degrees(np.arccos(np.clip((towards @ towards.T).min(), -1, 1))) < LEAST_ANGLE:
            continue
        if all(_inside(mattes[i], capture.views[i].camera, point.xyz) for i in shown):
            at.append(point.xyz)
            views.append(shown)
    return SparsePoints(np.array(at).reshape(-1, 3), views)


def _inside(matte: np.ndarray | None, camera, point: np.ndarray) -> bool:
    if matte is None:
        return True
    x, y = np.floor(camera.project(point[None])[0][0]).astype(int)
    return bool(0 <= x < matte.shape[1] and 0 <= y < matte.shape[0] and matte[y, x])


def _pairs(capture: Capture, images: Path) -> list[tuple[str, str]]:
    forward = np.stack([view.camera.forward for view in capture.views])
    angle = np.arccos(np.clip(forward @ forward.T, -1, 1))
    names = [view.image.relative_to(images).as_posix() for view in capture.views]
    found = set()
    for i in range(len(names)):
        for j in np.argsort(angle[i], kind="stable")[1 : NEIGHBOURS + 1]:
            if angle[i, j] < APART:
                found.add((min(names[i], names[j]), max(names[i], names[j])))
    return sorted(found)
