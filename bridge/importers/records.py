"""What every importer shares: the rig it returns, numbers that are checked once, and refusals in one form.

A reader of a format is a function ``read(source, pictures) -> Rig``. It turns its own convention into ours
(bridge/cameras.py) and leaves the checks that hold for every camera to ``make_view``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..capture.cameras import Camera, Distortion
from ..capture.record import ROTATION_TOLERANCE, View
from ..errors import BridgeError
from .pictures import Pictures

TEXT_LIMIT = 256 << 20  # bytes of a calibration file that is read at once
XML_LIMIT = 64 << 20
GL_TO_CV = np.diag([1.0, -1.0, -1.0])  # OpenGL camera axes (y up, z backwards) <-> OpenCV (y down, z forward)


@dataclass(frozen=True)
class Rig:
    """What a calibration file says. notes are sentences for the user; unit_mm is None where the format has no unit."""

    views: tuple[View, ...]
    unit_mm: float | None = None
    notes: tuple[str, ...] = ()


def refuse(where: str, what: str, cure: str = "Export it again from the program that wrote it.") -> BridgeError:
    """A refusal that names the place. where: "'cameras.txt' line 3" or the like."""
    return BridgeError("import", f"{where} {what}.", cure)


def read_bytes(path: Path) -> bytes:
    """The bytes of a calibration file, which is not read if it is far too large. Raises BridgeError."""
    try:
        if path.stat().st_size > TEXT_LIMIT:
            raise refuse(f"'{path.name}'", f"is larger than {TEXT_LIMIT >> 20} MB, too large for a camera file")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file. Entities are refused: they are how small files explode or read others."""
    data = read_bytes(path)
    head = data[:65536].replace(b"\0", b"")
    if len(data) > XML_LIMIT or b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise refuse(f"'{path.name}'", f"declares entities or is larger than {XML_LIMIT >> 20} MB")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise refuse(f"'{path.name}'", f"is no complete XML file ({error})") from None


def read_text(path: Path) -> str:
    """The text of a file, with or without a byte order mark; old programs on Windows wrote no UTF-8."""
    data = read_bytes(path)
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise refuse(f"'{path.name}'", "is no text file")


def _unreadable(path: Path, error: OSError) -> BridgeError:
    return refuse(f"'{path}'", f"cannot be read: {error.strerror or error}", "Check the path.")


def numbers(values: object, count: int | tuple[int, ...], where: str, field: str) -> np.ndarray:
    """count finite numbers from a text, a list of texts or nested lists, in the shape asked for."""
    shape = count if isinstance(count, tuple) else (count,)
    if isinstance(values, str):
        values = values.split()
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    if array.size != np.prod(shape) or not np.isfinite(array).all():
        size = " x ".join(map(str, shape))
        what = "a finite number" if size == "1" else f"{size} finite numbers"
        raise refuse(where, f"must give {field} as {what}")
    return array.reshape(shape)


def number(value: object, where: str, field: str) -> float:
    """A finite number of a calibration file. Raises BridgeError that names the field."""
    return float(numbers([value], 1, where, field)[0])


def whole(value: object, where: str, field: str) -> int:
    """A whole number of a calibration file. Raises BridgeError that names the field."""
    result = number(value, where, field)
    if result != int(result) or not 0 <= result < 1 << 53:
        raise refuse(where, f"must give {field} as a whole number")
    return int(result)


def intrinsics(fx: float, fy: float, cx: float, cy: float, skew: float = 0.0) -> np.ndarray:
    """The matrix K [3, 3] of focal lengths, principal point and skew, in pixels."""
    return np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def rotation(matrix: np.ndarray, where: str) -> np.ndarray:
    """The nearest rotation to a matrix that is almost one. Refuses mirrors, scales and shears."""
    if not np.abs(matrix @ matrix.T - np.eye(3)).max() <= ROTATION_TOLERANCE:  # also where it is not a number
        raise refuse(where, "has a pose that is no rotation (its axes are not orthonormal)")
    if np.linalg.det(matrix) < 0:
        raise BridgeError(
            "camera-mirrored",
            f"{where} has a mirrored pose (determinant -1): one of its axes is flipped.",
            "Export the cameras without changing the handedness of the axes.",
        )
    left, _, right = np.linalg.svd(matrix)
    return left @ right


@dataclass(frozen=True, eq=False)
class Calibration:
    """One camera as a file gives it, not yet checked."""

    K: np.ndarray  # [3, 3]
    R: np.ndarray  # [3, 3] world -> camera
    t: np.ndarray  # [3]
    size: tuple[int, int] | None = None  # (width, height); None where the file says nothing
    distortion: Distortion | None = None
    name: str | None = None  # the view's, where the image's is not meant


def make_view(pictures: Pictures, picture: str | Path, where: str, found: Calibration) -> View:
    """Check one camera, find its image and put both together.

    picture: the image's name as the file writes it, or the file itself. where: names the camera in sentences.
    """
    K, size = found.K, found.size
    if not all(np.isfinite(np.asarray(a)).all() for a in (K, found.R, found.t)):
        raise refuse(where, "holds numbers that are not finite")
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise refuse(where, "must have a positive focal length")
    R, t = rotation(np.asarray(found.R, dtype=np.float64), where), np.asarray(found.t, dtype=np.float64)
    image = picture if isinstance(picture, Path) else pictures.find(picture, where)
    actual = pictures.size(image, where)
    if size is not None and size == actual[::-1] and pictures.lies(image):
        actual = size  # it was calibrated as EXIF turns it; so it is written into the capture (write.py)
    if size is not None and size != actual:
        raise BridgeError(
            "image-size",
            f"{where}: the image '{image.name}' has {actual[0]} x {actual[1]} pixels, its calibration is for "
            f"{size[0]} x {size[1]}.",
            "Give the folder of the images that were calibrated, with --images.",
        )
    camera = Camera(found.name or image.stem, K, R, t, *actual, found.distortion)
    return View(camera, image, pictures.mask(image, camera.name, actual))


def skipped(names: Iterable[str], why: str) -> tuple[str, ...]:
    """One note for all cameras that were left out."""
    names = list(names)
    if not names:
        return ()
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return (f"Skipped {len(names)} without a pose ({why}): {shown}.",)
