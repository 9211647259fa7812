"""Processes as the system sees them."""

from __future__ import annotations

from pathlib import Path

PAGE = 4096


def family(leader: int) -> list[int]:
    """Processes of a child's session that are still there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, session = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0::3][:2]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(entry.name))
    return found


def memory(process: int) -> float:
    """Megabytes that a process holds; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def those_of(place: Path) -> list[int]:
    """Processes whose environment names a folder: whoever was started for a test, and what that started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(place).encode() in entry.joinpath("environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
