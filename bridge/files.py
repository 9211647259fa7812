"""Write to a temporary name, then rename, so that nobody ever reads half a file. Standard library only."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .errors import BridgeError


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields the temporary path to write to; renames it when the block ends well, removes it when not.

    Raises BridgeError "output" when the disk refuses.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # another process may write the same file
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name; a copy on another disk, or where the system has no links."""
    try:
        os.link(source.resolve(), target)  # not a link to a link, which would lead out of the folder
    except OSError:
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)


def claim_folder(folder: Path) -> None:
    """Make the output folder and prove that it can be written, before any work. Raises BridgeError "output"."""
    probe = folder / ".skullptor-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, error) from None


def claim_file(path: Path) -> None:
    """Prove that a file can be written where it is to go, before any work. Raises BridgeError "output"."""
    if path.is_dir():
        raise BridgeError("output", f"'{path}' is a folder.", "Give the name of a file in it.")
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> BridgeError:
    """The refusal of a place that cannot be written, with the system's reason."""
    sentence = f"'{path}' cannot be written: {error.strerror or error}."
    return BridgeError("output", sentence, "Choose a folder you may write to, on a disk with free space.")


def file_names(names: Iterable[str], reserved: Sequence[str] = ()) -> list[str]:
    """A file name without suffix for each view's name: every system accepts it, and no two differ by case only."""
    taken, found = set(reserved), []
    for name in names:
        base = stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "view"
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{base}~{number}"
        taken.add(stem.casefold())
        found.append(stem)
    return found


def cache_folder() -> Path:
    """The user's cache folder; SKULLPTOR_CACHE overrides it."""
    if given := os.environ.get("SKULLPTOR_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return root / "skullptor"
