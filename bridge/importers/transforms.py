"""transforms.json of the NeRF family: instant-ngp, nerfstudio, the original NeRF.

Conventions. Pose: transform_matrix is camera -> world with OpenGL camera axes (x right, y up, z backwards), so R =
diag(1, -1, -1) C^T with C its rotation. Pixels: cx, cy as COLMAP gives them, the first centre at (0.5, 0.5): ours.
Intrinsics are global or per frame: fl_x, fl_y (else fl_x), cx, cy (else the image's middle), w, h (else the image's);
camera_angle_x replaces fl_x: fl_x = w / 2 / tan(angle / 2). Distortion: k1 k2 p1 p2 are OpenCV's, k3 and k4 continue
the polynomial (nerfstudio), except for the model OPENCV_FISHEYE where k1..k4 are the fisheye's. The world is the
file's own: applied_transform is not undone. The format has no unit; our exporter adds unit_mm.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from ..capture.cameras import Distortion
from ..capture.record import View
from ..errors import BridgeError
from . import lens
from .pictures import Pictures
from .records import (
    GL_TO_CV,
    Calibration,
    Rig,
    intrinsics,
    make_view,
    number,
    numbers,
    read_text,
    refuse,
    skipped,
    whole,
)

PERSPECTIVE = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
FISHEYE = {"OPENCV_FISHEYE"}


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of a transforms.json (NeRF, Nerfstudio, instant-ngp). Raises BridgeError."""
    file = _file(source) if source.is_dir() else source
    try:
        body = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise refuse(f"'{file.name}'", f"is no complete JSON file ({error})") from None
    if not isinstance(body, dict) or not isinstance(body.get("frames"), list):
        raise refuse(f"'{file.name}'", "must hold a list 'frames'", "Give the transforms.json of the images.")
    views, lost = [], []
    for index, frame in enumerate(body["frames"]):
        where = f"'{file.name}' frame {index}"
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str) or not frame["file_path"].strip():
            raise refuse(where, "must name its image as file_path")
        where = f"frame '{frame['file_path']}' of '{file.name}'"
        if frame.get("transform_matrix") is None:
            lost.append(frame["file_path"])
            continue
        with pictures.left_out():
            views.append(_view(body | frame, where, file.parent, pictures))
    unit = body.get("unit_mm")
    return Rig(
        tuple(views),
        None if unit is None else number(unit, f"'{file.name}'", "unit_mm"),
        skipped(lost, "no transform_matrix"),
    )


def _file(folder: Path) -> Path:
    """transforms.json of a folder; else that of NeRF's training images, or the only one."""
    found = sorted(folder.glob("transforms*.json"))
    for name in ("transforms.json", "transforms_train.json"):
        if folder / name in found:
            return folder / name
    return found[0] if len(found) == 1 else folder / "transforms.json"


def _view(values: dict, where: str, folder: Path, pictures: Pictures) -> View:
    matrix = values["transform_matrix"]
    rows = 3 if isinstance(matrix, list) and len(matrix) == 3 else 4
    pose = numbers(matrix, (rows, 4), where, "transform_matrix")
    R = GL_TO_CV @ pose[:3, :3].T
    image = pictures.find(values["file_path"], where)
    size = None
    if values.get("w") is not None and values.get("h") is not None:
        size = (whole(values["w"], where, "w"), whole(values["h"], where, "h"))
    width, height = size or pictures.size(image, where)
    K = _intrinsics(values, width, height, where)
    distortion = _distortion(values, K, (width, height), where)
    view = make_view(pictures, image, where, Calibration(K, R, -R @ pose[:3, 3], size, distortion))
    mask = values.get("mask_path")
    if view.mask is None and isinstance(mask, str) and mask and (folder / mask).is_file():
        view = View(view.camera, view.image, folder / mask)
    return view


def _intrinsics(values: dict, width: int, height: int, where: str) -> np.ndarray:
    def focal(key: str, angle: str, length: int) -> float | None:
        if values.get(key) is not None:
            return number(values[key], where, key)
        if values.get(angle) is None:
            return None
        half = number(values[angle], where, angle) / 2
        if not 0 < half < math.pi / 2:
            raise refuse(where, f"must give {angle} as an angle between 0 and pi")
        return length / 2 / math.tan(half)

    fx, fy = focal("fl_x", "camera_angle_x", width), focal("fl_y", "camera_angle_y", height)
    fx, fy = fy if fx is None else fx, fx if fy is None else fy
    if fx is None or fy is None:
        raise refuse(where, "has no focal length (fl_x or camera_angle_x)")
    if fx <= 0 or fy <= 0:
        raise refuse(where, "must have a positive focal length")
    cx, cy = (
        length / 2 if values.get(key) is None else number(values[key], where, key)
        for key, length in (("cx", width), ("cy", height))
    )
    return intrinsics(fx, fy, cx, cy)


def _distortion(values: dict, K: np.ndarray, size: tuple[int, int], where: str) -> Distortion | None:
    model = str(values.get("camera_model") or "OPENCV").upper()
    if values.get("is_fisheye"):
        model = "OPENCV_FISHEYE"
    k = [number(values.get(f"k{i}") or 0.0, where, f"k{i}") for i in (1, 2, 3, 4)]
    tangential = number(values.get("p1") or 0.0, where, "p1"), number(values.get("p2") or 0.0, where, "p2")
    if model in FISHEYE:
        return lens.fisheye(k, K, size, where, model)
    if model not in PERSPECTIVE:
        raise BridgeError(
            "camera-model",
            f"{where} has the camera_model {model}, which cannot be imported.",
            "Undistort the images to a PINHOLE or OPENCV model first.",
        )
    return lens.polynomial(k, tangential, K, size, where)
