"""Progress of one job: which stage, how far, how long still. Only job.py and its stages hold one."""

from __future__ import annotations

import time

from .errors import Cancelled
from .protocol import Progress, Warning
from .wire import Control, Send

# stage -> share of the whole job's time on a CPU; only the progress bar believes in it
STAGES = {"Reading photos": 0.04, "Predicting normals": 0.30, "Carving the head": 0.58, "Measuring": 0.08}
MATCHING = STAGES | {"Carving the head": 0.40, "Matching the photographs": 0.18}

# before all others, in units of the others' sum
REFINING = {"Finding the head": 0.3, "Refining the cameras": 0.25}


def refining(shares: dict[str, float]) -> dict[str, float]:
    """The stages of a job that refines its cameras first."""
    total = 1 + sum(REFINING.values())
    return {stage: share / total for stage, share in (shares | REFINING).items()}


class Reporter:
    """Turns stage steps into Progress messages with a fraction that never falls and an honest remaining time."""

    def __init__(self, run_id: str, send: Send, control: Control, shares: dict[str, float] | None = None) -> None:
        self.id = run_id
        self.send = send
        self.control = control
        self.shares = dict(shares or STAGES)
        self.seconds: dict[str, float] = {}
        self.started = time.monotonic()
        self.stage = ""
        self.stage_started = self.started
        self.before = 0.0

    def begin(self, stage: str) -> None:
        self.end()
        self.stage = stage
        self.stage_started = time.monotonic()
        self.step(0, 1)

    def end(self) -> None:
        if self.stage:
            self.seconds[self.stage] = round(time.monotonic() - self.stage_started, 3)
            self.before += self.shares[self.stage]
            self.stage = ""

    def step(self, done: int, total: int) -> None:
        """Report, and leave through Cancelled when the user asked for it."""
        self.check()
        total = max(total, 1)
        fraction = min(self.before + self.shares[self.stage] * done / total, 1.0)
        elapsed = time.monotonic() - self.started
        eta = elapsed * (1 - fraction) / fraction if fraction > 0.05 else None
        self.send(Progress(self.id, self.stage, done, total, fraction, eta))

    def check(self) -> None:
        if self.control.cancel.is_set():
            raise Cancelled

    def warn(self, code: str, sentence: str, cure: str = "") -> None:
        self.send(Warning(self.id, code, sentence, cure))
