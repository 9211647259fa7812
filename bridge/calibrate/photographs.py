"""The photographs of a calibration: which files they are, what their EXIF says, and turned the way they were taken.

A capture's cameras describe the stored pixels (images.py ignores the EXIF orientation). A telephone stores portraits
lying on their side with a tag; here they are turned once, so that Blender, the network and the user see a head upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags

from ..capture import formats, pillow
from ..errors import BridgeError

UNFIT = frozenset({".exr", ".hdr", ".jp2"})  # no photographs of a camera, and not read by COLMAP
FULL_FRAME_DIAGONAL = float(np.hypot(36.0, 24.0))  # mm; "35 mm equivalent" compares diagonals (CIPA DCG-001)
FEWEST, MOST = 3, 200
UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}  # EXIF FocalPlaneResolutionUnit


@dataclass(frozen=True)
class Photograph:
    """One file. focal_px is None where nothing is known; lens tells which photographs may share their intrinsics."""

    path: Path
    width: int
    height: int
    focal_px: float | None = None
    lens: tuple[str, ...] = ()
    turned: bool = False  # its EXIF orientation says that the stored pixels lie on their side

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def focal_mm35(self) -> float | None:
        return None if self.focal_px is None else mm35_of(self.focal_px, self.width, self.height)


def mm35_of(focal_px: float, width: int, height: int) -> float:
    """The 35 mm equivalent of a focal length in pixels."""
    return focal_px * FULL_FRAME_DIAGONAL / float(np.hypot(width, height))


def focal_of(mm35: float, width: int, height: int) -> float:
    """The focal length in pixels of a 35 mm equivalent."""
    return mm35 * float(np.hypot(width, height)) / FULL_FRAME_DIAGONAL


def gather(folder: Path) -> tuple[list[Photograph], list[str]]:
    """The photographs in a folder, by name, and notes for the user. Raises BridgeError.

    Where none lie in the folder itself but all in one folder inside, they are taken from there.
    """
    if not folder.is_dir():
        raise BridgeError("photos", f"'{folder}' is no folder of photographs.", "Give the folder that holds them.")
    notes = []
    if not any(map(_is_photograph, folder.iterdir())):
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        inside = [path for path in inside if any(map(_is_photograph, path.iterdir()))]
        if len(inside) > 1:
            names = ", ".join(f"'{path.name}'" for path in inside[:5]) + (" ..." if len(inside) > 5 else "")
            raise BridgeError(
                "photos",
                f"'{folder}' holds no photographs, but folders of them: {names}.",
                "Give one of these folders.",
            )
        if inside:
            folder = inside[0]
            notes.append(f"The photographs were taken from the folder '{folder.name}' inside.")
    files = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    if left := [path for path in files if path.suffix.lower() in UNFIT]:
        notes.append(f"Left out {len(left)} files in formats for pictures, not photographs: {left[0].name} ...")
    if unread := formats.unread(files):
        notes.append(f"Left out {unread}")
    files = [path for path in files if _is_photograph(path) and path.suffix.lower() in formats.readable()]
    if len(files) < FEWEST:
        raise BridgeError(
            "photos",
            f"'{folder}' holds {len(files)} photograph{'' if len(files) == 1 else 's'} that can be read; a calibration "
            f"needs at least {FEWEST}, and works well from 20 on.",
            " ".join(notes) or "Give the folder that holds the photographs themselves (JPEG, PNG, TIFF).",
        )
    if len(files) > MOST:
        raise BridgeError(
            "photos",
            f"'{folder}' holds {len(files)} photographs; every pair of them is compared, so {MOST} is the most.",
            "Take every second or third photograph: 20 to 60 show a head well.",
        )
    stems: dict[str, Path] = {}
    for path in files:
        other = stems.setdefault(path.stem.casefold(), path)
        if other != path:
            raise BridgeError(
                "photos",
                f"'{other.name}' and '{path.name}' would become one view of the same name.",
                "Keep one file of every photograph in the folder.",
            )
    return [read(path) for path in files], notes


def _is_photograph(path: Path) -> bool:
    """Told by its ending: also those that must be exported first."""
    suffix = path.suffix.lower()
    return suffix in formats.NAMED - UNFIT and path.is_file() and not path.name.startswith(".")


def read(path: Path) -> Photograph:
    """What the header of a file says, once all of the file is seen to be there. Raises BridgeError image-unreadable."""
    with pillow.opened(path) as image:
        width, height = image.size
        exif = image.getexif()
        values = dict(exif) | dict(exif.get_ifd(ExifTags.IFD.Exif))
        # COLMAP takes the missing half of a truncated file for grey; a small decode sees the end of a JPEG
        image.draft("L", (width // 8, height // 8))
        image.load()
    turn = values.get(ExifTags.Base.Orientation, 1)
    found = Photograph(
        path, width, height, _focal(values, width, height), _lens(values, width, height), turn in range(2, 9)
    )
    if turn in (5, 6, 7, 8):
        found = replace(found, width=height, height=width, lens=_lens(values, height, width))
    return found


def upright(photographs: Sequence[Photograph], folder: Path) -> list[Photograph]:
    """Photographs whose EXIF turns them, and those in formats of telephones alone, written anew into the folder with
    turned pixels; all others as they are."""
    found = []
    for photograph in photographs:
        foreign = photograph.path.suffix.lower() in pillow.FOREIGN
        if photograph.turned or foreign:
            target = folder / (f"{photograph.path.stem}.jpg" if foreign else photograph.name)
            folder.mkdir(parents=True, exist_ok=True)
            pillow.write_upright(photograph.path, target)
            photograph = replace(photograph, path=target, turned=False)
        found.append(photograph)
    return found


def _focal(values: dict, width: int, height: int) -> float | None:
    """Focal length in pixels from EXIF: the sensor's own resolution first, then the 35 mm equivalent."""
    focal = _positive(values.get(ExifTags.Base.FocalLength))
    density = _positive(values.get(ExifTags.Base.FocalPlaneXResolution))
    unit = UNIT_MM.get(values.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    stored = _positive(values.get(ExifTags.Base.ExifImageWidth))
    if focal and density and unit and stored:
        found = focal * density / unit * max(width, height) / max(stored, _positive(values.get(0xA003)) or stored)
        if 0.3 * max(width, height) < found < 20 * max(width, height):  # some cameras write nonsense here
            return found
    mm35 = _positive(values.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return focal_of(mm35, width, height) if mm35 else None


def _lens(values: dict, width: int, height: int) -> tuple[str, ...]:
    keys = (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.BodySerialNumber, ExifTags.Base.LensModel)
    focal = (ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm, ExifTags.Base.DigitalZoomRatio)
    return (*(str(values.get(key, "")).strip("\0 ") for key in (*keys, *focal)), str(width), str(height))


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < 1e9 else None
