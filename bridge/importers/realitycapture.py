"""RealityCapture and RealityScan: a CSV of "Internal/External camera parameters", or XMP sidecars beside the images.

Conventions. The image covers [-1/2, 1/2] of its longer side from the middle, so f_px = f * max(W, H) / 36 for a focal
length in mm of a 36 mm frame, and the principal point is W/2, H/2 plus an offset: of mm in the same frame (CSV
columns px, py), or of the longer side (CSV columns px_norm, py_norm; XMP PrincipalPointU, V). The first pixel's
centre is (0.5, 0.5): ours.

    CSV   x, y, alt: the centre; camera -> world for OpenGL axes is Rz(-heading) Rx(pitch) Ry(roll), in degrees
    XMP   Rotation is world -> camera in rows, OpenCV axes; Position is the centre; attributes or elements

Distortion: k1 k2 k3 k4 t1 t2, a polynomial (lens.py); t1 is OpenCV's p2 and t2 its p1, as the program's own
"OpenCV-compliant" export orders them. The attribute is really spelt DistortionCoeficients. "division" and "rational"
models with coefficients are refused, and so are skew and aspect (K+ models): their formulas are not published. The
world has no unit.

Checked: the angles against the matrix that the maker's knowledge base prints for them ("Registration export and camera
orientations": all zero looks down with the picture's top towards +Y); Rotation in rows and image coordinates within
[-1/2, 1/2] against its "XMP Camera Math"; focal length, principal point and the order of t1, t2 against the reader of
AliceVision. px, py of the CSV rest on published export templates alone.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

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
    read_xml,
    refuse,
    skipped,
)

FRAME_MM = 36.0
NAMESPACE = "{http://www.capturingreality.com/ns/xcr"
BROWN = {"perspective", "brown3", "brown4", "brown3t2", "brown4t2"}
ALIASES = {"yaw": "heading", "z": "alt", "f_35mm": "f"}
DECIMAL_COMMA = re.compile(r"^(\s*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?\s*)$")
COLUMNS = ("name", "x", "y", "alt", "heading", "pitch", "roll", "f")


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of RealityCapture's XMP sidecars or CSV. Raises BridgeError."""
    files = _files(source)
    if files[0].suffix.lower() != ".xmp":
        return _read_csv(files[0], pictures)
    views, lost = [], []
    for file in files:
        with pictures.left_out():
            view = _sidecar(file, source, pictures)
            if view is None:
                lost.append(file.stem)
            else:
                views.append(view)
    return Rig(tuple(views), None, skipped(lost, "the XMP holds no rotation and position"))


def _files(source: Path) -> list[Path]:
    """The table, or all XMP sidecars below a folder."""
    if not source.is_dir():
        if not source.exists():
            raise refuse(f"'{source}'", "does not exist", "Check the path.")
        return [source]
    if files := sorted(path for path in source.rglob("*") if path.suffix.lower() == ".xmp"):
        return files
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() == ".csv")
    if len(tables) != 1:
        hint = f"Give one of the {len(tables)} tables itself." if tables else "Export XMP metadata, or the CSV."
        raise refuse(f"'{source}'", "holds no .xmp files", hint)
    return tables


@dataclass(frozen=True, eq=False)
class Exported:
    """One camera as RealityCapture writes it, in units of its frame."""

    f_mm: float
    offset: np.ndarray  # [2] of the principal point, in units of the longer side
    k: np.ndarray  # [6] k1 k2 k3 k4 t1 t2
    R: np.ndarray  # [3, 3] world -> camera
    center: np.ndarray  # [3]


def _lens_and_view(pictures: Pictures, picture: str, where: str, camera: Exported) -> View:
    image = pictures.find(picture, where)
    width, height = pictures.size(image, where)
    longer = max(width, height)
    f = camera.f_mm * longer / FRAME_MM
    if f <= 0:
        raise refuse(where, "must have a positive focal length")
    K = intrinsics(f, f, width / 2 + camera.offset[0] * longer, height / 2 + camera.offset[1] * longer)
    k1, k2, k3, k4, t1, t2 = map(float, camera.k)
    distortion = lens.polynomial((k1, k2, k3, k4), (t2, t1), K, (width, height), where)
    found = Calibration(K, camera.R, -camera.R @ camera.center, distortion=distortion)
    return make_view(pictures, image, where, found)


def _read_csv(file: Path, pictures: Pictures) -> Rig:
    text = read_text(file)
    lines = [line for line in text.splitlines() if line.strip() and not line.lower().startswith("#cameras")]
    if not lines:
        raise refuse(f"'{file.name}'", "is empty")
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise refuse(f"'{file.name}'", f"is no table ({error})") from None
    header = [name.strip().lstrip("#").strip().lower() for name in rows[0]]
    normalised = "px_norm" in header
    header = [ALIASES.get(name, name).removesuffix("_norm") for name in header]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise refuse(
            f"'{file.name}'",
            f"lacks the column '{missing[0]}'",
            'Export "Internal/External camera parameters" as comma separated values.',
        )
    views, lost, off_middle = [], [], False
    for index, row in enumerate(rows[1:], 2):
        if row and row[0].lstrip().startswith("#"):
            continue
        where = f"'{file.name}' line {index}"
        if len(row) != len(header) and delimiter == "," and _decimal_commas(row, header):
            raise refuse(
                where,
                f"has {len(row)} columns, its header {len(header)}: its numbers have decimal commas",
                "Export with decimal points, or with semicolons between the columns.",
            )
        if len(row) != len(header):
            raise refuse(where, f"has {len(row)} columns, its header {len(header)}: it is truncated")
        if delimiter == ";":
            row = [DECIMAL_COMMA.sub(r"\1.\2", field) for field in row]
        values = dict(zip(header, row))
        name = values["name"].strip()
        where = f"image '{name}' of '{file.name}'"
        if not any(values[key].strip() for key in ("x", "y", "alt", "heading", "pitch", "roll")):
            lost.append(name)
            continue

        def get(key: str, values: dict = values, where: str = where) -> float:
            return number(values.get(key) or 0.0, where, key)

        center = np.array([number(values[key], where, key) for key in ("x", "y", "alt")])
        angles = [number(values[key], where, key) for key in ("heading", "pitch", "roll")]
        R = GL_TO_CV @ _camera_to_world(*np.radians(angles)).T
        offset = np.array([get("px"), get("py")]) / (1.0 if normalised else FRAME_MM)
        off_middle |= bool(offset.any())
        k = np.array([get(key) for key in ("k1", "k2", "k3", "k4", "t1", "t2")])
        focal = number(values["f"], where, "f")
        with pictures.left_out():
            views.append(_lens_and_view(pictures, name, where, Exported(focal, offset, k, R, center)))
    notes = skipped(lost, "no position in the table")
    if not normalised and off_middle:
        notes += ("px and py are read as millimetres of a 36 mm frame, as the older table is understood.",)
    return Rig(tuple(views), None, notes)


def _decimal_commas(row: list[str], header: list[str]) -> bool:
    """The row of a table with commas between columns and in numbers: all but the name are whole numbers."""
    whole = [field.strip().lstrip("+-").isdigit() for field in row if field.strip()]
    return len(row) > len(header) and sum(whole) >= len(header)


def _camera_to_world(heading: float, pitch: float, roll: float) -> np.ndarray:
    c, s = np.cos([-heading, pitch, roll]), np.sin([-heading, pitch, roll])
    z = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]])
    y = np.array([[c[2], 0, s[2]], [0, 1, 0], [-s[2], 0, c[2]]])
    return z @ x @ y


def _sidecar(file: Path, source: Path, pictures: Pictures) -> View | None:
    values = _properties(read_xml(file))
    if not values.get("Rotation", "").strip() or not values.get("Position", "").strip():
        return None
    where = f"'{file.name}'"
    model = values.get("DistortionModel", "perspective").strip()
    k = numbers(values.get("DistortionCoeficients", "").strip() or "0 0 0 0 0 0", 6, where, "DistortionCoeficients")
    if model not in BROWN and k.any():
        raise BridgeError(
            "camera-model",
            f"{where} has the distortion model {model}, which cannot be imported.",
            "Align with the distortion model Brown3 or Brown4, or export undistorted images.",
        )
    k = np.zeros(6) if model not in BROWN or model == "perspective" else k
    skew = number(values.get("Skew") or 0.0, where, "Skew")
    aspect = number(values.get("AspectRatio") or 1.0, where, "AspectRatio")
    if skew or abs(aspect - 1) > 1e-9:
        raise BridgeError(
            "camera-model",
            f"{where} has a skew or an aspect ratio, which cannot be imported.",
            "Align with a distortion model without K+.",
        )
    if "FocalLength35mm" not in values:
        raise refuse(where, "has no FocalLength35mm", "Export the XMP with the camera's calibration.")
    offset = [number(values.get(f"PrincipalPoint{axis}") or 0.0, where, f"PrincipalPoint{axis}") for axis in "UV"]
    R = numbers(values["Rotation"], (3, 3), where, "Rotation")
    center = numbers(values["Position"], 3, where, "Position")
    focal = number(values["FocalLength35mm"], where, "FocalLength35mm")
    # with its folder, so that it is the image beside the sidecar
    picture = file.relative_to(source).with_suffix("").as_posix() if source.is_dir() else file.stem
    return _lens_and_view(pictures, picture, where, Exported(focal, np.array(offset), k, R, center))


def _properties(root: Element) -> dict[str, str]:
    """All xcr properties, whether they are attributes or elements."""
    found = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.startswith(NAMESPACE):
                found[key.rpartition("}")[2]] = value
        if isinstance(element.tag, str) and element.tag.startswith(NAMESPACE) and element.text:
            found[element.tag.rpartition("}")[2]] = element.text
    return found
