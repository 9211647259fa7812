"""What a picture's file says about itself, without decoding it: size, and whether its end is there.

No bpy. JPEG and PNG are read here, because loading 26 photographs into Blender costs seconds and gigabytes; for other
formats the answer is None and the caller asks Blender.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG frame headers


@dataclass(frozen=True)
class Header:
    width: int
    height: int
    complete: bool  # the end marker is where it should be


class Unreadable(ValueError):
    """The file claims a format and breaks it. The text says how."""


def read(path: Path) -> Header | None:
    """The header of a JPEG or PNG, None for another format. Raises OSError or Unreadable."""
    with path.open("rb") as file:
        start = file.read(32)
    if not start:
        raise Unreadable("the file is empty")
    if start.startswith(_PNG):
        return _png(path, start)
    if start.startswith(b"\xff\xd8"):
        return _jpeg(path.read_bytes())
    return None


def _png(path: Path, start: bytes) -> Header:
    if len(start) < 24 or start[12:16] != b"IHDR":
        raise Unreadable("its header is cut off")
    width, height = struct.unpack(">II", start[16:24])
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4096))
        complete = b"IEND" in file.read()
    return Header(width, height, complete)


def _jpeg(data: bytes) -> Header:
    """Walks the segments, because an embedded thumbnail has a size and an end marker of its own."""
    at = 2
    size = None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise Unreadable("its header is damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker in _SIZED and at + 9 <= len(data):
            size = struct.unpack(">HH", data[at + 5 : at + 9])
        if marker == 0xDA:  # the picture itself follows
            break
        at += 2 + length
    if size is None:
        raise Unreadable("its header is cut off")
    # inside the picture FF is always followed by 00 or a restart marker, so this is the real end
    complete = data.find(b"\xff\xd9", at) >= 0
    return Header(size[1], size[0], complete)
