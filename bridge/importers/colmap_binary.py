"""The bytes of COLMAP's cameras.bin and images.bin, little endian; nothing is trusted that the file could not hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .colmap_models import MODELS, Lens, unknown_model
from .records import refuse

NAME_LIMIT = 4096


class _Bytes:
    """Reads records and refuses where the file ends too early. Points are skipped, so the file is never held whole."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise refuse(f"'{path}'", f"cannot be read: {error.strerror or error}", "Check the path.") from None

    def __enter__(self) -> _Bytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def unpack(self, layout: str, what: str) -> tuple:
        wanted = struct.calcsize("<" + layout)
        data = self.file.read(wanted)
        if len(data) < wanted:
            raise self.truncated(what)
        return struct.unpack("<" + layout, data)

    def text(self, what: str) -> str:
        start = self.file.tell()
        data = self.file.read(NAME_LIMIT)
        end = data.find(b"\0")
        if end < 0:
            raise self.truncated(what)
        self.file.seek(start + end + 1)
        return data[:end].decode("utf-8", "replace")

    def skip(self, count: int, what: str) -> None:
        if count < 0 or self.file.tell() + count > self.size:
            raise self.truncated(what)
        self.file.seek(count, 1)

    def count(self, smallest: int, what: str) -> int:
        """The number of records to come, each of at least `smallest` bytes."""
        (count,) = self.unpack("Q", f"the number of {what}")
        if count * smallest > self.size:
            raise refuse(
                f"'{self.name}'",
                f"is truncated or no COLMAP file: it announces {count} {what} in {self.size} bytes",
                "Copy the file again, or export the model anew.",
            )
        return count

    def truncated(self, what: str) -> Exception:
        sentence = f"is truncated: it ends within {what}"
        return refuse(f"'{self.name}'", sentence, "Copy the file again, or export the model anew.")


def cameras(path: Path) -> dict[int, Lens]:
    """Camera number -> its model and parameters."""
    models = {number: (name, count) for name, (number, count) in MODELS.items()}
    found = {}
    with _Bytes(path) as data:
        for index in range(data.count(24, "cameras")):
            what = f"camera {index + 1}"
            key, kind, width, height = data.unpack("iiQQ", what)
            if kind not in models:
                raise unknown_model(f"Camera {key} of '{path.name}'", f"number {kind}")
            if not 0 < width < 1 << 20 or not 0 < height < 1 << 20:
                raise refuse(f"Camera {key} of '{path.name}'", f"has an image size of {width} x {height}")
            name, count = models[kind]
            found[key] = Lens(name, width, height, np.array(data.unpack(f"{count}d", what)))
    return found


def images(path: Path) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """(name, camera number, quaternion, translation) of every registered image."""
    with _Bytes(path) as data:
        for index in range(data.count(73, "images")):
            what = f"image {index + 1}"
            values = data.unpack("i7di", what)
            name = data.text(what)
            pose = np.array(values[1:8])
            if not np.isfinite(pose).all():
                raise refuse(f"image '{name}' of '{path.name}'", "must give its pose as finite numbers")
            (points,) = data.unpack("Q", what)
            data.skip(points * 24, f"the points of {what}")
            yield name, values[8], pose[:4], pose[4:]
