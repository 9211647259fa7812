"""The folders of runs: made, proved writable, pruned. No bpy."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
import uuid
from pathlib import Path

from .worker import WorkerError

KEEP = 20  # runs; a head in a saved scene names its report, so the last ones stay
_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_CURE = "Choose another cache folder in the preferences, on a disk with free space."


def unwritable(path: Path, error: OSError) -> WorkerError:
    return WorkerError("output", f"'{path}' cannot be written: {error.strerror or error}.", _CURE)


def new_run(root: Path) -> Path:
    """A new folder for one run. Raises WorkerError "output"."""
    folder = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
        probe = folder / "probe"
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, error) from None
    _prune(root)
    return folder


def drop(folder: Path) -> None:
    """A run without a result leaves nothing."""
    shutil.rmtree(folder, ignore_errors=True)


def _prune(root: Path) -> None:
    with contextlib.suppress(OSError):
        runs = sorted(path for path in root.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
        for old in runs[:-KEEP]:
            drop(old)
