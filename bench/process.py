"""A command's cost: wall clock, processor seconds of it and all its children, and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spent:
    """What commands took, one after the other."""

    wall: float = 0.0  # seconds
    cpu: float = 0.0  # user and system seconds of all cores
    peak_mb: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mb, other.peak_mb))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Spent:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def spend(command: Sequence[str | Path], log: Path) -> Spent:
    """Run a command to its end, its output into a file. Raises SystemExit with the output's end where it fails."""
    began = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SystemExit(f"{Path(command[0]).name} ended with {child.returncode}:\n{end}")
    return Spent(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
