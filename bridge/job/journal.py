"""What every run leaves beside its results: run.json (settings, versions, timings, its end) and run.log."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import time
import traceback
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from ..errors import BridgeError
from ..files import atomic
from ..service.protocol import VERSION, Error, Message, Progress, Run, Status, Warning

BODY, LOG = "run.json", "run.log"
PACKAGES = ("numpy", "numba", "scipy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "cupy-cuda12x")


class Journal:
    """Notes the messages of one run as they pass. A disk that refuses costs the notes, never the run."""

    def __init__(self, run: Run) -> None:
        self._folder = Path(run.output)
        self._began = time.monotonic()
        self._stage, self._stage_began = "", self._began
        self._seconds: dict[str, float] = {}
        self._body: dict = {
            "skullptor": VERSION,
            "python": platform.python_version(),
            "system": platform.platform(),
            "packages": versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "capture": run.capture,
            "settings": asdict(run.settings),
            "ended": "running",  # as a bridge that is killed leaves it
        }

    @property
    def log(self) -> Path:
        return self._folder / LOG

    def open(self) -> None:
        """The output folder is there: an earlier run's notes make room."""
        with contextlib.suppress(OSError):
            self.log.write_bytes(b"")
        self._save()

    def note(self, message: Message) -> None:
        """One line for each stage, word and problem; with the trace of an exception that is no sentence of ours."""
        match message:
            case Progress() if message.stage != self._stage:
                self._leave_stage()
                self._stage, self._stage_began = message.stage, time.monotonic()
                self._write(message.stage)
            case Status():
                self._write(message.text)
            case Warning():
                self._body.setdefault("warnings", []).append(message.sentence)
                self._write(f"Warning: {message.sentence} {message.cure}")
            case Error():
                self._body["error"] = {"code": message.code, "sentence": message.sentence, "cure": message.cure}
                self._write(f"Error: {message.sentence} {message.cure}")
                if not isinstance(sys.exc_info()[1], (BridgeError, type(None))):
                    self._write(traceback.format_exc())
            case _:
                pass

    def close(self, ended: str) -> None:
        """ended: "done", "failed" or "cancelled"."""
        self._leave_stage()
        self._body |= {"ended": ended, "seconds": self._seconds}
        self._body["seconds_total"] = round(time.monotonic() - self._began, 3)
        self._write(f"The run has ended: {ended}.")
        self._save()

    def _leave_stage(self) -> None:
        if self._stage:
            spent = self._seconds.get(self._stage, 0.0) + time.monotonic() - self._stage_began
            self._seconds[self._stage] = round(spent, 3)
        self._stage = ""

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self._began:8.2f} s  {text.strip()}\n")

    def _save(self) -> None:
        if self._folder.is_dir():
            with contextlib.suppress(OSError, BridgeError), atomic(self._folder / BODY) as temporary:
                temporary.write_text(json.dumps(self._body, indent=1, ensure_ascii=False), encoding="utf-8")


def versions() -> dict[str, str]:
    """The installed packages that decide about a result."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
