"""Calibrations of other programs -> captures. One registry, one small module a format, each imported when it is used.

A format is a module with ``read(source, pictures) -> Rig``; its docstring states its conventions.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BridgeError

if TYPE_CHECKING:
    from .records import Rig

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

    module = importlib.import_module(f".{FORMATS[name][0]}", __name__)
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow; every result is checked to be finite
            return module.read(source, Pictures(source, images, masks))
    except BridgeError as error:
        raise BridgeError(error.code, readable(error.sentence), error.cure) from None


def readable(sentence: str) -> str:
    """Names in damaged files may hold anything and go on for lines: a refusal is one line, and of long names it shows
    both ends."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in sentence)
    return re.sub(rf"'([^']{{{END}}})[^']{{4,}}([^']{{{END}}})'", r"'\1 ... \2'", printable)
