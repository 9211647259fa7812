"""Which program's cameras a file or folder holds: what FORMAT auto means. Standard library only.

The add-on tells it with the same files (link/capture_formats.py); a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import BridgeError

DEPTHS = ("", "*/", "*/*/", "*/*/*/")  # of a COLMAP model below its project: colmap/sparse/0
# what is looked for in a folder, the surest first
IN_FOLDERS = (
    ("transforms", ("transforms.json",)),
    ("multiface", ("KRT", "*.krt")),
    ("colmap", tuple(f"{place}cameras.{suffix}" for place in DEPTHS for suffix in ("bin", "txt"))),
    ("metashape", ("cameras.xml", "doc.xml", "*.xml")),
    ("transforms", ("transforms*.json",)),
    ("idr", ("cameras*.npz",)),
    ("realitycapture", ("*.xmp", "*.csv", "*/*.xmp", "*/*/*.xmp")),
)
BY_SUFFIX = {
    ".xml": "metashape",
    ".csv": "realitycapture",
    ".xmp": "realitycapture",
    ".npz": "idr",
    ".krt": "multiface",
    ".txt": "colmap",
    ".bin": "colmap",
}


def detect(source: Path) -> str:
    """The format of a file, or of what lies in a folder. Raises BridgeError "format"."""
    if source.is_dir():
        for name, patterns in IN_FOLDERS:
            if any(next(source.glob(pattern), None) for pattern in patterns):
                return name
    elif source.stem.lower() == "krt":
        return "multiface"
    elif source.suffix.lower() == ".json" and _has_frames(source):
        return "transforms"
    elif source.is_file() and source.suffix.lower() in BY_SUFFIX:
        return BY_SUFFIX[source.suffix.lower()]
    raise BridgeError(
        "format",
        f"'{source}' holds no cameras of a program that is known here."
        if source.exists()
        else f"There is no file '{source}'.",
        "Give the file that holds the cameras, and the program that wrote it as FORMAT.",
    )


def _has_frames(file: Path) -> bool:
    try:
        body = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return file.stem.lower().startswith("transforms")  # its reader says what is wrong
    return isinstance(body, dict) and "frames" in body
