"""A folder of its own for each run of the command line: first for what it makes, afterwards for its notes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from ..errors import BridgeError
from ..files import cache_folder, claim_folder
from .journal import BODY, LOG

KEEP = 20  # runs; one that still holds a head, which could not be delivered, stays


class RunFolder:
    """Made at the start. At the end only the notes stay, unless keep is set: then nobody has the results yet."""

    def __init__(self) -> None:
        self.path = _new()
        self.keep = False

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep:
            _tidy(self.path)


def _new() -> Path:
    """In the user's cache, or where temporary files go if that cannot be written."""
    runs = cache_folder() / "runs"
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    try:
        claim_folder(folder)
    except BridgeError:
        return Path(tempfile.mkdtemp(prefix="skullptor-"))
    with contextlib.suppress(OSError):
        for old in sorted(path for path in runs.iterdir() if path.is_dir())[:-KEEP]:
            if not any(old.glob("head.*")):
                shutil.rmtree(old, ignore_errors=True)
    return folder


def _tidy(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in (BODY, LOG):
                path.unlink()
