"""Which program wrote the cameras in a file, told by its name and a look inside. No bpy."""

from __future__ import annotations

import json
from pathlib import Path

# name as the bridge knows it (capture: our own folder, which needs no bridge), label, what is chosen
FORMATS = (
    ("capture", "Capture", "A capture.json of this add-on, or the folder that holds it"),
    ("colmap", "COLMAP", "One of the files of a COLMAP model (cameras, images; .txt or .bin), or its folder"),
    ("metashape", "Metashape", "cameras.xml of Agisoft Metashape, or doc.xml of PhotoScan"),
    ("realitycapture", "RealityScan", "Internal/external parameters (.csv) of RealityScan, or one of its .xmp files"),
    ("transforms", "transforms.json", "transforms.json of instant-ngp, nerfstudio and the like"),
    ("multiface", "Multiface", "The KRT file of a multiface rig"),
    ("idr", "IDR, H3DS", "cameras.npz of IDR, NeuS or H3DS"),
)
FILTER = "*.json;*.txt;*.bin;*.xml;*.csv;*.xmp;*.npz;KRT*;*.krt"
_COLMAP = {"cameras", "images", "points3d", "rigs", "frames"}
IN_FOLDERS = (
    ("capture.json", "capture"),
    ("transforms.json", "transforms"),
    ("KRT", "multiface"),
    ("*.krt", "multiface"),
    *((f"{place}cameras.{suffix}", "colmap") for place in ("", "*/", "*/*/", "*/*/*/") for suffix in ("bin", "txt")),
    ("capture*.json", "capture"),
    ("cameras.xml", "metashape"),
    ("doc.xml", "metashape"),
    ("*.xml", "metashape"),
    ("transforms_train.json", "transforms"),
    ("transforms*.json", "transforms"),
    ("cameras*.npz", "idr"),
    ("*.xmp", "realitycapture"),
    ("*.csv", "realitycapture"),
    ("*/*.xmp", "realitycapture"),
    ("*/*/*.xmp", "realitycapture"),
)
CURE = "Choose the file that holds the cameras, or say in Format which program wrote it."


class UnknownFormat(ValueError):
    """No format fits; one sentence says so."""


def guess(path: Path) -> tuple[str, Path]:
    """(format, what the format's reader wants: the file or its folder). Raises UnknownFormat."""
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise UnknownFormat(f"There is no file '{path}'. {CURE}")
    suffix, stem = path.suffix.lower(), path.stem.lower()
    if suffix == ".json":
        return source(_json(path), path)
    if suffix in (".txt", ".bin") and stem in _COLMAP:
        return source("colmap", path)
    if stem == "krt" or suffix == ".krt":
        return source("multiface", path)
    by_suffix = {".xml": "metashape", ".csv": "realitycapture", ".xmp": "realitycapture", ".npz": "idr"}
    if suffix in by_suffix:
        return source(by_suffix[suffix], path)
    raise UnknownFormat(f"'{path.name}' is no file with cameras of a program that is known here. {CURE}")


def _in_folder(folder: Path) -> tuple[str, Path]:
    """The cameras in a folder, the surest first. Raises UnknownFormat."""
    for pattern, name in IN_FOLDERS:
        found = sorted(folder.glob(pattern))
        if not found:
            continue
        if name == "colmap":
            models = {path.parent for path in found}
            return name, models.pop() if len(models) == 1 else folder  # of several its reader takes the largest
        if name == "realitycapture" and pattern.endswith(".xmp"):
            return name, folder
        return source(name, found[0])
    raise UnknownFormat(f"'{folder.name}' holds no cameras of a program that is known here. {CURE}")


def source(name: str, path: Path) -> tuple[str, Path]:
    """The format with what its reader wants, whichever of its files was chosen."""
    whole_folder = name == "colmap" or (name == "realitycapture" and path.suffix.lower() == ".xmp")
    return name, path.parent if whole_folder and path.is_file() else path


def _json(path: Path) -> str:
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return (
            "transforms" if path.stem.lower().startswith("transforms") else "capture"
        )  # its reader says what is wrong
    if isinstance(body, dict):
        if "schema" in body or "views" in body:
            return "capture"
        if "frames" in body:
            return "transforms"
    raise UnknownFormat(f"'{path.name}' is neither a capture.json nor a transforms.json. {CURE}")
