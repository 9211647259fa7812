"""A run in words, to be pasted into a report: its end, settings, versions, timings, the last of its log. No bpy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

BODY, LOG = "run.json", "run.log"  # as the engine writes them into the run's folder
LINES = 40  # of the log
ENGINE = "engine.log"  # the last words of an engine that died


def leave_notes(folder: Path, last_words: Sequence[str] = ()) -> bool:
    """Keep of a run that failed what a report needs, if the engine got as far as to write it; the rest may go.

    folder: the run's output. Returns whether there is something.
    """
    if not (folder / LOG).is_file():
        return False
    with contextlib.suppress(OSError):
        if last_words:
            (folder / ENGINE).write_text("\n".join(last_words), encoding="utf-8")
    return True


def text_of(folder: Path | None, heading: Sequence[str]) -> str:
    """The report. folder: the run's output, None if it never began. The user's name in paths is left out."""
    lines = [line for line in heading if line]
    if folder is not None:
        lines += _body(folder) + _log(folder / LOG) + _log(folder / ENGINE)
    return "\n".join(lines).replace(str(Path.home()), "~") + "\n"


def _body(folder: Path) -> list[str]:
    try:
        body = json.loads((folder / BODY).read_text(encoding="utf-8"))
        settings = {name: value for name, value in body["settings"].items() if value not in (None, "")}
        lines = [
            f"Engine: {body['skullptor']}, Python {body['python']}, {body['system']}",
            f"Packages: {_listed(body['packages'])}",
            f"Settings: {_listed(settings)}",
            f"Run of {body['started']}: {body['ended']}",
        ]
        if seconds := body.get("seconds"):
            lines.append(f"Seconds: {_listed(seconds)}")
        return [*lines, f"Folder: {folder}"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"Folder: {folder} (without {BODY})"]


def _listed(values: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _log(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if lines:
            return ["", f"{path.name}:", *lines[-LINES:]]
    return []
