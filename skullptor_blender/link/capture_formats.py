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
CURE = "Choose the file that holds the cameras, or say in Format which program wrote it."


class UnknownFormat(ValueError):
    """No format fits; one sentence says so."""


def guess(path: Path) -> tuple[str, Path]:
    """(format, what the format's reader wants: the file or its folder). Raises UnknownFormat."""
    if path.is_dir():
        for inside, name in (("capture.json", "capture"), ("transforms.json", "transforms"), ("KRT", "multiface")):
            if (path / inside).is_file():
                return source(name, path / inside)
        for folder in (path, path / "sparse" / "0", path / "sparse"):
            if any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
                return "colmap", folder
        for pattern, name in (("capture*.json", "capture"), ("*.xmp", "realitycapture")):
            if found := sorted(path.glob(pattern)):
                return source(name, found[0])
        raise UnknownFormat(f"'{path.name}' holds no cameras of a program that is known here. {CURE}")
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
