"""Calibrations of other programs -> captures. One registry, one small module a format, each imported when it is used.

A format is a module with ``read(source, pictures) -> Rig``; its docstring states its conventions.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BridgeError

if TYPE_CHECKING:
    from .pictures import Pictures
    from .records import Rig

LEAST_LEFT = 3  # views without which a calibration that lost photographs is refused, not shortened
END = 50  # characters of a long name that a refusal shows at either end

# name -> (module, what SOURCE is)
FORMATS = {
    "colmap": ("colmap", "the folder of a COLMAP model, text or binary"),
    "metashape": ("metashape", "cameras.xml of Metashape, or doc.xml of PhotoScan"),
    "realitycapture": ("realitycapture", "a CSV of internal/external parameters, or a folder of XMP sidecars"),
    "transforms": ("transforms", "transforms.json of instant-ngp, nerfstudio or NeRF"),
    "multiface": ("multiface", "the KRT file of a multiface rig"),
    "idr": ("idr", "cameras.npz of IDR, NeuS or H3DS"),
}


def read(name: str, source: Path, images: Path | None = None, masks: Path | None = None) -> Rig:
    """Read a calibration and find its images. Raises BridgeError; KeyError for a format that does not exist."""
    import numpy as np

    from .pictures import Pictures

    pictures = Pictures(source, images, masks)
    module = importlib.import_module(f".{FORMATS[name][0]}", __name__)
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow; every result is checked to be finite
            rig = module.read(source, pictures)
        if pictures.lost and len(rig.views) < LEAST_LEFT:
            raise pictures.lost[0]
    except BridgeError as error:
        raise BridgeError(error.code, readable(error.sentence), error.cure) from None
    if masks is not None and not any(view.mask for view in rig.views):
        raise BridgeError(
            "mask-missing",
            f"No file in '{masks}' is the mask of a photograph.",
            "Name the masks as the photographs, such as IMG_1.png or IMG_1_mask.png for IMG_1.jpg.",
        )
    return replace(rig, notes=(*rig.notes, *map(readable, _of_pictures(pictures))))


def _of_pictures(pictures: Pictures) -> Iterator[str]:
    """Notes on images that are not there, or have another format than the calibration says."""
    if lost := pictures.lost:
        others = f" (and {len(lost) - 1} more like it)" if len(lost) > 1 else ""
        yield f"Left out {len(lost)} camera{'s' if len(lost) > 1 else ''} without an image: {lost[0].sentence}{others}"
    if renamed := pictures.renamed:
        more = f" and {len(renamed) - 3} more" if len(renamed) > 3 else ""
        yield f"Took the images of the same name in another format: {', '.join(renamed[:3])}{more}."


def readable(sentence: str) -> str:
    """Names in damaged files may hold anything and go on for lines: a refusal is one line, and of long names it shows
    both ends."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in sentence)
    return re.sub(rf"'([^']{{{END}}})[^']{{4,}}([^']{{{END}}})'", r"'\1 ... \2'", printable)
