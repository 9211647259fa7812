"""What a picture's file says about itself, without decoding it: size, and whether its end is there.

No bpy. JPEG and PNG are read here, because loading 26 photographs into Blender costs seconds and gigabytes; for other
formats the answer is None and the caller asks Blender.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG frame headers


_TAIL = 65536  # bytes at the end in which an end marker is looked for first
_LIES = {5, 6, 7, 8}  # EXIF orientations of a quarter turn


@dataclass(frozen=True)
class Header:
    width: int
    height: int
    complete: bool  # the end marker is where it should be
    lies: bool = False  # EXIF says that the stored pixels lie on their side


class Unreadable(ValueError):
    """The file claims a format and breaks it. The text says how."""


def read(path: Path) -> Header | None:
    """The header of a JPEG or PNG, None for another format. Raises OSError or Unreadable."""
    with path.open("rb") as file:
        start = file.read(32)
        if not start:
            raise Unreadable("the file is empty")
        if start.startswith(_PNG):
            return _png(file, start)
        if start.startswith(b"\xff\xd8"):
            return _jpeg(file)
    return None


def _png(file: BinaryIO, start: bytes) -> Header:
    """Walks the chunks to the end marker: programs append bytes behind it, and without it the rows may be whole."""
    if len(start) < 24 or start[12:16] != b"IHDR":
        raise Unreadable("its header is cut off")
    width, height = struct.unpack(">II", start[16:24])
    at = len(_PNG)
    rows: list = []
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return Header(width, height, _streams_end(file, rows))
        if head[4:] == b"IEND":
            return Header(width, height, True)
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"IDAT":
            rows.append((at + 8, length))
        at += 12 + length


def _streams_end(file: BinaryIO, pieces: list[tuple[int, int]]) -> bool:
    """Do the compressed rows of a PNG, in pieces of (start, length), come to their end?"""
    stream = zlib.decompressobj()
    try:
        for start, length in pieces:
            file.seek(start)
            stream.decompress(file.read(length))
    except zlib.error:
        return False
    return stream.eof


def _jpeg(file: BinaryIO) -> Header:
    """Walks the segments, because an embedded thumbnail has a size and an end marker of its own."""
    at, size, lies = 2, None, False
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            break
        if head[0] != 0xFF:
            raise Unreadable("its header is damaged")
        marker = head[1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = struct.unpack(">H", head[2:])[0]
        if marker in _SIZED:
            frame = file.read(5)
            if len(frame) == 5:
                size = struct.unpack(">HH", frame[1:])
        if marker == 0xE1:
            lies = lies or _orientation(file.read(length - 2)) in _LIES
        if marker == 0xDA:  # the picture itself follows
            break
        at += 2 + length
    if size is None:
        raise Unreadable("its header is cut off")
    return Header(size[1], size[0], _ends(file, at), lies)


def _ends(file: BinaryIO, at: int) -> bool:
    """Inside the picture FF is always followed by 00 or a restart marker, so FF D9 is the real end."""
    end = file.seek(0, 2)
    for start in (max(at, end - _TAIL), at):
        file.seek(start)
        if b"\xff\xd9" in file.read():
            return True
    return False


def _orientation(exif: bytes) -> int:
    """The orientation of an EXIF segment, 1 where it says nothing."""
    tiff = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if not exif.startswith(b"Exif") or order is None or len(tiff) < 10:
        return 1
    (at,) = struct.unpack(order + "I", tiff[4:8])
    count = int.from_bytes(tiff[at : at + 2], "little" if order == "<" else "big")
    for entry in range(count):
        field = tiff[at + 2 + 12 * entry : at + 14 + 12 * entry]
        if len(field) == 12 and struct.unpack(order + "H", field[:2])[0] == 0x0112:
            return struct.unpack(order + "H", field[8:10])[0]
    return 1
