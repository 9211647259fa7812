"""Progress of one job: which stage, how far, how long still. Held by the runner of jobs and by commands."""

from __future__ import annotations

import time

from ..errors import Cancelled
from .protocol import Progress, Warning
from .wire import Control, Send

KNOWN = 0.02  # share of the work that must be done before it says anything about the rest


class Reporter:
    """Turns stage steps into Progress messages with a fraction that never falls and an honest remaining time."""

    def __init__(self, run_id: str, send: Send, control: Control, shares: dict[str, float]) -> None:
        self.id = run_id
        self.send = send
        self.control = control
        self.shares = dict(shares)  # stage -> share of the whole job's time; the bar goes by it
        self.seconds: dict[str, float] = {}
        self.started = time.monotonic()
        self.stage = ""
        self.stage_started = self.started
        self.before = 0.0
        self.first: tuple[float, float] | None = None  # when the stage's first step was done, and its work

    def begin(self, stage: str) -> None:
        self.end()
        self.stage = stage
        self.stage_started = time.monotonic()
        self.first = None
        self.step(0, 1)

    def end(self) -> None:
        if self.stage:
            self.step(1, 1)
            self.seconds = self.seconds_so_far()
            self.before += self.shares[self.stage]
            self.stage = ""

    def skip(self, stage: str) -> None:
        """The stage is left out."""
        self.before += self.shares[stage]

    def seconds_so_far(self) -> dict[str, float]:
        """Stage -> seconds, with the one that runs."""
        now = round(time.monotonic() - self.stage_started, 3)
        return self.seconds | ({self.stage: now} if self.stage else {})

    def step(self, done: int, total: int, work: float | None = None) -> None:
        """Report, and leave through Cancelled when the user asked for it.

        work: the share of the stage's work that is done, where steps do not all take the same time.
        """
        self.check()
        total = max(total, 1)
        work = done / total if work is None else work
        fraction = min(self.before + self.shares[self.stage] * work, 1.0)
        self.send(Progress(self.id, self.stage, done, total, fraction, self._left(work, fraction)))

    def _left(self, work: float, fraction: float) -> float | None:
        """Seconds. By the pace of this stage as soon as it has one: those before may have had nothing to do, and its
        own first step may have compiled kernels or loaded weights."""
        now = time.monotonic()
        if not self.first and work > 0:
            self.first = now, work
        if self.first and work - self.first[1] > KNOWN:
            whole = (now - self.first[0]) / (work - self.first[1])
            after = max(0.0, 1 - self.before - self.shares[self.stage]) / self.shares[self.stage]
            return whole * (1 - work + after)
        return (now - self.started) * (1 - fraction) / fraction if fraction > KNOWN else None

    def check(self) -> None:
        if self.control.cancel.is_set():
            raise Cancelled

    def warn(self, code: str, sentence: str, cure: str = "") -> None:
        self.send(Warning(self.id, code, sentence, cure))
