"""The capture folder (docs/pipeline/capture.md): load, validate, save. The contract between everything.

A loader refuses with one sentence that names the view and the field. Pixels are read elsewhere (images.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..files import atomic
from .cameras import Camera, Distortion, Similarity

SCHEMA = 1
ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class NormalsEncoding:
    """How a normal map is stored: n = value / max * 2 - 1, in the axes named."""

    axes: str = "opengl"  # opengl: x right, y up, z to the camera; opencv: x right, y down, z away
    max: int = 65535


@dataclass(frozen=True)
class View:
    """One photograph: its camera and its files (absolute paths)."""

    camera: Camera
    image: Path
    mask: Path | None = None
    normals: Path | None = None

    @property
    def name(self) -> str:
        return self.camera.name


@dataclass(frozen=True)
class EvaluationView:
    """Ground truth of one novel view."""

    camera: Camera
    depth: Path
    normals: Path
    mask: Path


@dataclass(frozen=True)
class Evaluation:
    """Ground truth that must never be an input. depth_range is in world units."""

    views: tuple[EvaluationView, ...]
    depth_range: tuple[float, float]
    normals_encoding: NormalsEncoding
    mesh: Path | None = None
    mask_values: object = None


@dataclass(frozen=True)
class Capture:
    """Photographs of one head with the cameras that took them. unit_mm: millimetres per world unit, None if unknown.

    upright: how the rig's own world was mapped to this one, whose +Z is up and whose -Y is where the face looks
    (upright.py); None where the world is the rig's own.
    """

    name: str
    views: tuple[View, ...]
    unit_mm: float | None = None
    normals_encoding: NormalsEncoding = field(default_factory=NormalsEncoding)
    evaluation: Evaluation | None = None
    upright: Similarity | None = None
    license: object = None
    attribution: object = None
    notes: object = None
    subsets: object = None

    @property
    def cameras(self) -> list[Camera]:
        return [view.camera for view in self.views]


_CARRIED = ("license", "attribution", "notes", "subsets")


def load(path: Path | str) -> Capture:
    """Read a capture. path: the folder or a capture*.json in it. Raises BridgeError with code "capture"."""
    path = Path(path)
    file = path / "capture.json" if path.is_dir() else path
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _error(f"There is no capture at '{path}'.", "Give a folder that holds a capture.json.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _error(f"'{file.name}' cannot be read: {error}.", "Write the capture again.") from None
    return _Reader(file.parent, file.name).capture(body)


def save(capture: Capture, folder: Path | str, file_name: str = "capture.json") -> Path:
    """Write capture.json into the folder that already holds its files; returns its path. Atomic."""
    folder = Path(folder).resolve()

    def relative(path: Path | None) -> str | None:
        return None if path is None else Path(path).resolve().relative_to(folder).as_posix()

    body: dict = {"schema": SCHEMA, "name": capture.name, "unit_mm": capture.unit_mm, "views": []}
    for view in capture.views:
        files = {key: relative(getattr(view, key)) for key in ("image", "mask", "normals")}
        body["views"].append({"name": view.name, **files, **_camera_json(view.camera)})
    body["normals_encoding"] = _encoding_json(capture.normals_encoding)
    if capture.evaluation is not None:
        truth = capture.evaluation
        body["evaluation"] = {
            "mesh": relative(truth.mesh),
            "depth_range": list(truth.depth_range),
            "normals_encoding": _encoding_json(truth.normals_encoding),
            "views": [
                {
                    "name": view.camera.name,
                    **{key: relative(getattr(view, key)) for key in ("depth", "normals", "mask")},
                    **{k: v for k, v in _camera_json(view.camera).items() if k != "distortion"},
                }
                for view in truth.views
            ],
        }
    if capture.upright is not None:
        body["upright"] = {
            "scale": float(capture.upright.scale),
            "rotation": capture.upright.rotation.tolist(),
            "offset": capture.upright.offset.tolist(),
        }
    body |= {key: getattr(capture, key) for key in _CARRIED if getattr(capture, key) is not None}
    target = folder / file_name
    with atomic(target) as temporary:
        temporary.write_text(json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return target


def _camera_json(camera: Camera) -> dict:
    distortion = None
    if camera.distortion is not None:
        distortion = {"model": "opencv"} | {f.name: getattr(camera.distortion, f.name) for f in fields(Distortion)}
    return {
        "width": camera.width,
        "height": camera.height,
        "K": np.asarray(camera.K).tolist(),
        "R": np.asarray(camera.R).tolist(),
        "t": np.asarray(camera.t).tolist(),
        "distortion": distortion,
    }


def _encoding_json(encoding: NormalsEncoding) -> dict:
    return {"axes": encoding.axes, "max": encoding.max}


def _error(sentence: str, cure: str) -> BridgeError:
    return BridgeError("capture", sentence, cure)


class _Reader:
    """Turns the JSON into records; every refusal names where it is."""

    def __init__(self, folder: Path, file_name: str) -> None:
        self.folder = folder
        self.file_name = file_name

    def fail(self, where: str, what: str) -> BridgeError:
        return _error(f"{self.file_name}: {where} {what}.", "Correct it there, or export the capture again.")

    def known(self, body: object, where: str, keys: Sequence[str]) -> dict:
        if not isinstance(body, dict):
            raise self.fail(where, "must be an object")
        for key in body:
            if key not in keys:
                raise self.fail(where, f"has the unknown field '{key}'")
        return body

    def capture(self, body: object) -> Capture:
        keys = ("schema", "name", "unit_mm", "views", "normals_encoding", "evaluation", "upright", *_CARRIED)
        body = self.known(body, "the capture", keys)
        if body.get("schema") != SCHEMA:
            raise self.fail("the capture", f"has schema {body.get('schema')!r}, this version reads {SCHEMA}")
        unit = body.get("unit_mm")
        if unit is not None and not (isinstance(unit, (int, float)) and np.isfinite(unit) and unit > 0):
            raise self.fail("the capture", "must give unit_mm as a positive number or null")
        if not isinstance(body.get("views"), list):
            raise self.fail("the capture", "must hold a list 'views'")
        views = tuple(self.view(view, index) for index, view in enumerate(body["views"]))
        names = [view.name for view in views]
        for name in names:
            if names.count(name) > 1:
                raise self.fail(f"view '{name}'", "exists twice: names must differ")
        truth = body.get("evaluation")
        return Capture(
            name=str(body.get("name") or self.folder.name),
            views=views,
            unit_mm=None if unit is None else float(unit),
            normals_encoding=self.encoding(body.get("normals_encoding"), "normals_encoding"),
            evaluation=None if truth is None else self.evaluation(truth),
            upright=self.upright(body.get("upright")),
            **{key: body.get(key) for key in _CARRIED},
        )

    def view(self, body: object, index: int) -> View:
        keys = ("name", "image", "mask", "normals", "width", "height", "K", "R", "t", "distortion")
        body = self.known(body, f"view {index}", keys)
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise self.fail(f"view {index}", "has no name")
        where = f"view '{name}'"
        return View(
            camera=self.camera(body, name, where),
            image=self.needed_file(body, "image", where),
            mask=self.file(body, "mask", where),
            normals=self.file(body, "normals", where),
        )

    def evaluation(self, body: object) -> Evaluation:
        body = self.known(body, "evaluation", ("mesh", "depth_range", "normals_encoding", "views", "mask_values"))
        near_far = self.numbers(body, "depth_range", "evaluation", (2,))
        views = []
        for index, view in enumerate(body.get("views") or []):
            where = f"evaluation view {index}"
            view = self.known(view, where, ("name", "width", "height", "K", "R", "t", "depth", "normals", "mask"))
            camera = self.camera(view, str(view.get("name") or index), where)
            depth, normals, mask = (self.needed_file(view, key, where) for key in ("depth", "normals", "mask"))
            views.append(EvaluationView(camera, depth, normals, mask))
        return Evaluation(
            views=tuple(views),
            depth_range=(float(near_far[0]), float(near_far[1])),
            normals_encoding=self.encoding(body.get("normals_encoding"), "evaluation.normals_encoding"),
            mesh=self.file(body, "mesh", "evaluation"),
            mask_values=body.get("mask_values"),
        )

    def upright(self, body: object) -> Similarity | None:
        if body is None:
            return None
        body = self.known(body, "upright", ("scale", "rotation", "offset"))
        scale = float(self.numbers(body, "scale", "upright", ()))
        if scale <= 0:
            raise self.fail("upright", "must give scale as a positive number")
        rotation = self.rotation(body, "rotation", "upright")
        return Similarity(scale, rotation, self.numbers(body, "offset", "upright", (3,)))

    def rotation(self, body: dict, key: str, where: str) -> np.ndarray:  # [3, 3]
        R = self.numbers(body, key, where, (3, 3))
        if np.abs(R @ R.T - np.eye(3)).max() > ROTATION_TOLERANCE:
            raise self.fail(where, f"must give {key} as a rotation (its rows are not orthonormal)")
        if np.linalg.det(R) < 0:
            raise self.fail(where, f"has a mirrored {key} (determinant -1): the camera's axes are flipped")
        left, _, right = np.linalg.svd(R)  # the nearest rotation
        return left @ right

    def encoding(self, body: object, where: str) -> NormalsEncoding:
        if body is None:
            return NormalsEncoding()
        body = self.known(body, where, ("axes", "max"))
        encoding = NormalsEncoding(body.get("axes", "opengl"), body.get("max", 65535))
        if encoding.axes not in ("opengl", "opencv"):
            raise self.fail(where, f"has axes {encoding.axes!r}; choose opengl or opencv")
        if not isinstance(encoding.max, int) or not 0 < encoding.max <= 65535:
            raise self.fail(where, "must give max as a whole number from 1 to 65535")
        return encoding

    def file(self, body: dict, key: str, where: str) -> Path | None:
        return None if body.get(key) is None else self.needed_file(body, key, where)

    def needed_file(self, body: dict, key: str, where: str) -> Path:
        value = body.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(where, f"names no file as '{key}'")
        root = self.folder.resolve()
        path = (root / value).resolve()
        if Path(value).is_absolute() or not path.is_relative_to(root):
            raise self.fail(where, f"has its {key} outside the capture folder: '{value}'")
        if not path.is_file():
            raise BridgeError(
                f"{key}-missing", f"{where}: the {key} file '{value}' is missing.", "Put it back or remove the view."
            )
        return path

    def numbers(self, body: dict, key: str, where: str, shape: tuple[int, ...]) -> np.ndarray:
        try:
            array = np.array(body.get(key), dtype=np.float64)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.shape != shape or not np.isfinite(array).all():
            size = " x ".join(map(str, shape))
            what = f"{size} finite numbers" if shape else "a finite number"
            raise self.fail(where, f"must give {key} as {what}")
        return array

    def camera(self, body: dict, name: str, where: str) -> Camera:
        size = []
        for key in ("width", "height"):
            if not isinstance(body.get(key), int) or isinstance(body[key], bool) or body[key] < 1:
                raise self.fail(where, f"must give {key} as a whole number of pixels")
            size.append(body[key])
        K = self.numbers(body, "K", where, (3, 3))
        if K[1, 0] or K[2, 0] or K[2, 1] or abs(K[2, 2] - 1) > 1e-9:
            raise self.fail(where, "must give K as an upper triangular matrix with K[2][2] = 1")
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise self.fail(where, "must give K with positive focal lengths")
        R = self.rotation(body, "R", where)
        t = self.numbers(body, "t", where, (3,))
        return Camera(name, K, R, t, size[0], size[1], self.distortion(body.get("distortion"), where))

    def distortion(self, body: object, where: str) -> Distortion | None:
        if body is None:
            return None
        names = [item.name for item in fields(Distortion)]
        body = self.known(body, f"{where} distortion", ("model", *names))
        if body.get("model") != "opencv":
            raise self.fail(where, f"has the distortion model {body.get('model')!r}; this version reads opencv")
        values = {}
        for key in names:
            value = body.get(key, 0.0)
            if not isinstance(value, (int, float)) or not np.isfinite(value):
                raise self.fail(where, f"must give distortion {key} as a finite number")
            values[key] = float(value)
        return Distortion(**values) if any(values.values()) else None
