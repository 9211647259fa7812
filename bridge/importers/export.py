"""Cameras of a capture for other programs: a COLMAP text model, or transforms.json (conventions: see the readers)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera, Distortion
from ..capture.record import Capture
from ..errors import BridgeError
from ..files import atomic, claim_folder
from .records import GL_TO_CV


def colmap(capture: Capture, folder: Path) -> Path:
    """cameras.txt, images.txt and an empty points3D.txt. Image names are relative to the folder all images share."""
    _no_skew(capture)
    claim_folder(folder)
    root = Path(os.path.commonpath([view.image.parent for view in capture.views]))
    cameras, images = [], []
    for index, view in enumerate(capture.views, 1):
        camera = view.camera
        model, params = _colmap_lens(camera)
        cameras.append(f"{index} {model} {camera.width} {camera.height} {_line(params)}")
        pose = _line([*to_quaternion(camera.R), *camera.t])
        images += [f"{index} {pose} {index} {view.image.relative_to(root).as_posix()}", ""]
    count = len(capture.views)
    _text(folder / "cameras.txt", [f"# Number of cameras: {count}", *cameras])
    _text(folder / "images.txt", [f"# Number of images: {count}", *images])
    _text(folder / "points3D.txt", ["# Number of points: 0"])
    return folder


def transforms(capture: Capture, file: Path) -> Path:
    """transforms.json; file may be a folder. Paths of images are relative to it."""
    _no_skew(capture)
    if file.suffix.lower() != ".json":
        file = file / "transforms.json"
    claim_folder(file.parent)
    frames = []
    for view in capture.views:
        camera, d = view.camera, view.camera.distortion or Distortion()
        if d.k4 or d.k5 or d.k6:
            raise BridgeError(
                "camera-model",
                f"View '{view.name}' has the distortion terms k4 to k6, which transforms.json cannot hold.",
                "Export to colmap.",
            )
        pose = np.eye(4)
        pose[:3, :3] = camera.R.T @ GL_TO_CV
        pose[:3, 3] = camera.center
        K = camera.K
        frame = {
            "file_path": _relative(view.image, file.parent),
            "fl_x": float(K[0, 0]),
            "fl_y": float(K[1, 1]),
            "cx": float(K[0, 2]),
            "cy": float(K[1, 2]),
            "w": camera.width,
            "h": camera.height,
            **{key: float(getattr(d, key)) for key in ("k1", "k2", "p1", "p2", "k3")},
            "transform_matrix": pose.tolist(),
        }
        if view.mask is not None:
            frame["mask_path"] = _relative(view.mask, file.parent)
        frames.append(frame)
    body: dict = {"camera_model": "OPENCV", "frames": frames}
    if capture.unit_mm is not None:
        body["unit_mm"] = capture.unit_mm
    with atomic(file) as temporary:
        temporary.write_text(json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return file


WRITERS: dict[str, Callable[[Capture, Path], Path]] = {"colmap": colmap, "transforms": transforms}


def to_quaternion(R: np.ndarray) -> np.ndarray:  # [4] w x y z
    """The unit quaternion of a rotation, accurate for every angle: the eigenvector of Bar-Itzhack's matrix."""
    N = np.array(
        [
            [R[0, 0] + R[1, 1] + R[2, 2], R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]],
            [0, R[0, 0] - R[1, 1] - R[2, 2], R[0, 1] + R[1, 0], R[0, 2] + R[2, 0]],
            [0, 0, R[1, 1] - R[0, 0] - R[2, 2], R[1, 2] + R[2, 1]],
            [0, 0, 0, R[2, 2] - R[0, 0] - R[1, 1]],
        ]
    )
    _, vectors = np.linalg.eigh(N, UPLO="U")
    q = vectors[:, -1]
    return -q if q[0] < 0 else q


def _colmap_lens(camera: Camera) -> tuple[str, list[float]]:
    K, d = camera.K, camera.distortion
    params = [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
    if d is None:
        return "PINHOLE", params
    values = [getattr(d, item.name) for item in fields(Distortion)]  # k1 k2 p1 p2 k3 k4 k5 k6, COLMAP's order too
    return ("FULL_OPENCV", params + values) if any(values[4:]) else ("OPENCV", params + values[:4])


def _no_skew(capture: Capture) -> None:
    if not capture.views:
        raise BridgeError("capture", "The capture holds no views.", "Give a capture with cameras.")
    for view in capture.views:
        if view.camera.K[0, 1]:
            raise BridgeError(
                "camera-model",
                f"View '{view.name}' has a skew, which neither COLMAP nor transforms.json can hold.",
                "Calibrate without b2 (skew).",
            )


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _line(values: list[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _text(path: Path, lines: list[str]) -> None:
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
