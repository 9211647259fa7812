"""Which files are photographs, told by their names, and which must be exported first. Standard library only."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

JPEG = (".jpg", ".jpeg", ".jpe")
HEIF = (".heic", ".heif", ".hif")  # read through the package pillow-heif
READ = frozenset({*JPEG, ".png", ".tif", ".tiff", ".exr", ".bmp", ".webp", ".hdr", ".avif", ".jp2"})
RAW = frozenset(
    f".{name}"
    for name in (
        *(
            "3fr",
            "arw",
            "cr2",
            "cr3",
            "crw",
            "dcr",
            "dng",
            "erf",
            "fff",
            "gpr",
            "iiq",
            "kdc",
            "mrw",
            "nef",
            "nrw",
            "orf",
        ),
        *("pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
NAMED = READ | RAW | frozenset(HEIF)  # what a calibration file may call its photographs


def readable() -> frozenset[str]:
    """The endings of files that this Python reads."""
    return READ | frozenset(HEIF) if importlib.util.find_spec("pillow_heif") else READ


def unread(paths: Iterable[Path]) -> str:
    """A sentence that counts the photographs among the paths which cannot be read as they are, empty where there are
    none: "12 raw files (CR2): export them as JPEG or TIFF."
    """
    suffixes = Counter(path.suffix.lower() for path in paths)
    said = []
    for kind, endings, cure in (
        ("raw", RAW, "export them as JPEG or TIFF"),
        ("HEIF", frozenset(HEIF) - readable(), "install pillow-heif beside the bridge, or export them as JPEG"),
    ):
        if found := {suffix: count for suffix, count in suffixes.items() if suffix in endings}:
            count, names = sum(found.values()), ", ".join(sorted(suffix[1:].upper() for suffix in found))
            said.append(f"{count} {kind} file{'' if count == 1 else 's'} ({names}): {cure}.")
    return " ".join(said)
