"""What the reliability tests count, and the page that is written from it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab" / "reliability.md"
HEAD = """# Reliability

**Whatever breaks ends in one sentence or a result: every fault below was really injected, and counted where it was.**
A fault *ends cleanly* when the program goes on, or says what happened in one sentence and leaves with an exit code; an
*escape* is a traceback, a hang, a process that stays behind, a half-written file or a result that is lost.

Fuzzing repeats the same cases: Hypothesis runs derandomised, 500 cases for each of four readers. While it reads, the
process gets no more than 600 MB beyond what it holds, and each file that is opened, made, moved or removed is noted.

Known: where memory ends just while OpenMP starts its threads or LLVM loads compiled code, these libraries end the
process with a line of their own ("libgomp: Thread creation failed"), no sentence of ours. Blender then says that the
engine stopped, with that line as its last words, and its next run starts a new one.

Written by `make reliability` (tests/reliability); {where}.

| what was done | cases | ended cleanly | escapes | measured |
| --- | ---: | ---: | ---: | --- |
"""


@dataclass
class Row:
    """One kind of fault."""

    what: str
    cases: int = 0
    escapes: list[str] = field(default_factory=list)
    measured: str = ""

    def case(self, clean: bool, says: str = "") -> None:
        self.cases += 1
        if not clean:
            self.escapes.append(says or f"case {self.cases}")


rows: list[Row] = []


def row(what: str) -> Row:
    rows.append(Row(what))
    return rows[-1]


def page() -> str:
    where = f"last on {platform.system()} {platform.machine()} with Python {platform.python_version()}"
    told = [r for r in rows if r.cases]
    lines = [f"| {r.what} | {r.cases} | {r.cases - len(r.escapes)} | {len(r.escapes)} | {r.measured} |" for r in told]
    total, escapes = sum(r.cases for r in told), sum(len(r.escapes) for r in told)
    lines += [f"| **together** | {total} | {total - escapes} | {escapes} | |", ""]
    return HEAD.format(where=where) + "\n".join(lines)
