"""Write to a temporary name, then rename, so that nobody ever reads half a file. Standard library only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .errors import BridgeError


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields the temporary path to write to; renames it when the block ends well, removes it when not.

    Raises BridgeError "output" when the disk refuses.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def claim_folder(folder: Path) -> None:
    """Make the output folder and prove that it can be written, before any work. Raises BridgeError "output"."""
    probe = folder / ".skullptor-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(path: Path, error: OSError) -> BridgeError:
    sentence = f"'{path}' cannot be written: {error.strerror or error}."
    return BridgeError("output", sentence, "Choose a folder you may write to, on a disk with free space.")
