"""Stage results kept by content: the same photographs, cameras and weights never pay for their normals twice."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..capture.record import View
from ..errors import BridgeError
from ..files import atomic, cache_folder

LEFT_SECONDS = 3600.0
LIMIT_BYTES = 2 << 30  # the oldest entries go when the folder grows beyond this


def digest_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces: photographs of 100 MB never lie in memory as bytes."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parts_of(view: View) -> list[bytes | str | np.ndarray | None]:
    """All that decides a view's pixels, mask and camera, for key_of."""
    camera = view.camera
    lens = None if camera.distortion is None else camera.distortion.coefficients()
    mask = None if view.mask is None else digest_of(view.mask)
    return [camera.K, camera.R, camera.t, lens, view.image.suffix, digest_of(view.image), mask]


def key_of(parts: Iterable[bytes | str | np.ndarray | None]) -> str:
    """A name for content: SHA-256 over the parts, each with its length, so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            data = b"\0none"
        elif isinstance(part, np.ndarray):
            data = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        else:
            data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class Cache:
    """Named arrays by key, as .npz files in one folder. A cache that cannot be read or written is simply empty."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or cache_folder()) / "stages"

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        path = self.folder / f"{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            os.utime(path)  # recently used
            return found
        except Exception:  # missing, cut short, of another version: predict again
            return None

    def put(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        with contextlib.suppress(OSError, BridgeError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic(self.folder / f"{key}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # arrays are no allow_pickle
            self._trim()

    def _trim(self) -> None:
        for left in self.folder.glob("*.tmp"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                left.unlink(missing_ok=True)
        entries = sorted(self.folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in entries:
            total += path.stat().st_size
            if total > LIMIT_BYTES:
                path.unlink(missing_ok=True)
