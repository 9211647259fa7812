"""File names of photographs: formats, numbers of sequences, names that every system accepts. No bpy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".exr", ".bmp", ".webp", ".jp2", ".hdr"})
# what cameras and telephones write: the bridge reads some, and says of the others that they must be exported first
PHOTOGRAPHS = SUFFIXES | frozenset(
    {".jpe", ".heic", ".heif", ".avif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef"}
)
_IMAGE = re.compile(r"\.(jpe?g|jpe|png|tiff?|exr|bmp|webp|jp2|hdr|hei[cf]|avif|dng|cr[23]|nef|arw|raf|orf|rw2)$", re.I)
_COPY = re.compile(r"\.\d{3,}$")  # what Blender puts behind a name that is taken
_CAMERA = re.compile(r"[_ ](cam|camera)$", re.I)  # what importers put behind a photograph's name
_MASK = re.compile(r"^(mask|matte)[_-]|[_.-](mask|matte|normals?)$", re.I)


class NamedFiles:
    """Pictures in a folder by the name of their camera, however either is spelt."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.count = 0
        self._exact: dict[str, Path] = {}
        self._loose: dict[str, set[Path]] = {}
        for path in sorted(paths):
            if path.suffix.lower() not in SUFFIXES:
                continue
            self.count += 1
            for key in (path.stem, path.name):
                self._exact.setdefault(key, path)
            bare = _MASK.sub("", path.stem)
            for key in {path.stem, bare, _IMAGE.sub("", bare)}:
                self._loose.setdefault(key.casefold(), set()).add(path)

    def of(self, *names: str) -> Path | None:
        """The file of a camera that has these names, the best first. Letters' case and endings count only where they
        tell two files apart."""
        spelt = list(dict.fromkeys(spelling for name in names if name for spelling in _spellings(name)))
        for spelling in spelt:
            if spelling in self._exact:
                return self._exact[spelling]
        for spelling in spelt:
            found = self._loose.get(spelling.casefold(), ())
            if len(found) == 1:
                return next(iter(found))
        return None


def _spellings(name: str) -> Iterator[str]:
    """The name, and what is left of it without what Blender, importers and file systems put behind it."""
    yield name
    for ending in (_COPY, _CAMERA, _IMAGE):
        shorter = ending.sub("", name)
        if shorter != name:
            name = shorter
            yield name


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
