"""What was read from the scene, ready to become a capture folder. No bpy: a thread writes it, the window goes on.

Files are linked or copied as they are. What lives only in Blender is written out: packed files byte for byte, painted
and generated pictures as PNG.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .preflight import ViewRecord
from .reference_names import file_stem


@dataclass(frozen=True, eq=False)
class Picture:
    """One of: a file on the disk, a file's bytes, pixels [H, W, 4] uint8 with the first row on top."""

    suffix: str
    source: Path | None = None
    data: bytes | None = None
    pixels: np.ndarray | None = None

    def save(self, folder: Path, stem: str) -> Path:
        """Its file in the folder. Raises OSError."""
        target = folder / f"{stem}{self.suffix}"
        if self.source is not None:
            return place(self.source, target)
        target.write_bytes(self.data if self.data is not None else png_of(self.pixels))  # type: ignore[arg-type]  # one of the three is given
        return target


@dataclass(frozen=True, eq=False)
class DraftView:
    """A camera's numbers and its pictures."""

    record: ViewRecord
    image: Picture
    mask: Picture | None = None
    normals: Picture | None = None


@dataclass(frozen=True, eq=False)
class CaptureDraft:
    """All of a capture (schema 1); unit_mm: millimetres of a world unit."""

    name: str
    unit_mm: float
    views: Sequence[DraftView]
    normals_encoding: dict = field(default_factory=lambda: {"axes": "opengl", "max": 65535})
    notes: list[str] | None = None

    def write(self, folder: Path) -> Path:
        """The capture folder; it appears under its name only when it is whole. Raises OSError."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            temporary.mkdir()
            used: set[str] = set()
            body = {
                "schema": 1,
                "name": self.name,
                "unit_mm": self.unit_mm,
                "views": [_write_view(temporary, view, file_stem(view.record.name, used)) for view in self.views],
                "normals_encoding": self.normals_encoding,
            }
            if self.notes:
                body["notes"] = self.notes
            text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
            (temporary / "capture.json").write_text(text, encoding="utf-8")
            temporary.replace(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return folder


def _write_view(folder: Path, view: DraftView, stem: str) -> dict:
    record = view.record
    files: dict[str, str | None] = {}
    for kind, place_of in (("image", "images"), ("mask", "masks"), ("normals", "normals")):
        picture: Picture | None = getattr(view, kind)
        files[kind] = None
        if picture is not None:
            (folder / place_of).mkdir(exist_ok=True)
            files[kind] = picture.save(folder / place_of, stem).relative_to(folder).as_posix()
    return {
        "name": record.name,
        **files,
        "width": record.width,
        "height": record.height,
        "K": record.K.tolist(),
        "R": record.R.tolist(),
        "t": record.t.tolist(),
        "distortion": None,
    }


def place(source: Path, target: Path) -> Path:
    """A link where the disk can, else a copy: nobody writes into a capture's pictures."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def png_of(rgba: np.ndarray) -> bytes:
    """A PNG of bytes [H, W, 4]; without its alpha when that is 1 everywhere, because an alpha channel is a mask."""
    channels = 3 if rgba[..., 3].min() == 255 else 4
    rows = np.ascontiguousarray(rgba[..., :channels]).reshape(rgba.shape[0], -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", rgba.shape[1], rgba.shape[0], 8, 2 if channels == 3 else 6, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(raw, 3)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
