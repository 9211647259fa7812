"""File names of photographs: formats, numbers of sequences, names that every system accepts. No bpy."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".exr", ".bmp", ".webp", ".jp2", ".hdr"})


def sequence_file(first: Path, step: int | None, number: int | None = None) -> Path:
    """The file of a sequence: by its number, or so many after the first."""
    digits = list(re.finditer(r"\d+", first.stem))
    if not digits:
        return first
    last = digits[-1]
    number = int(last.group()) + (step or 0) if number is None else number
    stem = f"{first.stem[: last.start()]}{number:0{len(last.group())}d}{first.stem[last.end() :]}"
    return first.with_name(stem + first.suffix)


def file_stem(name: str, used: set[str]) -> str:
    """A file name for a camera's name that every system accepts."""
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "camera"
    base, count = stem, 1
    while stem.casefold() in used:
        count += 1
        stem = f"{base}~{count}"
    used.add(stem.casefold())
    return stem
