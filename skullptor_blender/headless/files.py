"""What the batch writes, whole or not at all."""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import bpy

from .options import numbered
from .trouble import Trouble


def check_target(path: Path) -> None:
    """Before minutes of work: can the file be written where it is to go?"""
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise Trouble(
            f"'{path}' cannot be written: {reason}. Choose a folder you may write to, on a disk with free space."
        ) from None


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside the target, which takes its name when the block ends well: an earlier file stays whole
    until the new one is. Raises Trouble with the system's reason."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise Trouble(f"'{target}' cannot be written: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    print(f"Wrote {target}", flush=True)


def write_text(target: Path, text: str) -> None:
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy(source: str, target: Path | None) -> None:
    """A file of the run to where it was asked for; a file that the bridge did not make is a warning."""
    if target is None:
        return
    if not source or not Path(source).is_file():
        print(f"Warning: the engine gave no {target.suffix} for {target}", flush=True)
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_files(options: argparse.Namespace, outcome, frame: int | None, digits: int) -> None:
    for target, source in (
        (options.ply, str(Path(outcome.result).with_suffix(".ply"))),
        (options.report, outcome.report),
        (options.picture, outcome.picture),
    ):
        copy(source, numbered(target, frame, digits))


def write_maps(options: argparse.Namespace, outcome, frame: int | None, digits: int) -> None:
    """The maps' folder; with frames one inside it for each."""
    copy(outcome.report, numbered(options.report, frame, digits))
    copy(outcome.picture, numbered(options.picture, frame, digits))
    if options.maps:
        target = options.maps if frame is None else options.maps / f"{frame:0{digits}d}"
        copy_folder(Path(outcome.report).parent, target)


def copy_folder(source: Path, target: Path) -> None:
    """All files of a folder to where they were asked for. Raises Trouble with the system's reason."""
    try:
        shutil.copytree(source, target, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise Trouble(f"'{target}' cannot be written: {error}") from None
    print(f"Wrote {target}", flush=True)


def save(target: Path) -> None:
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(target.resolve()), copy=True, relative_remap=True)
    except RuntimeError as error:
        raise Trouble(f"'{target}' cannot be written: {_reason(target, str(error).strip())}") from None
    print(f"Wrote {target}", flush=True)


def _reason(target: Path, said: str) -> str:
    """Why Blender could not save: it may say "Success" of a full disk, so the system is asked again."""
    probe = target.with_name(f".{target.name}.probe")
    try:
        probe.write_bytes(bytes(1 << 20))
    except OSError as error:
        return f"{error.strerror or error}."
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return said
