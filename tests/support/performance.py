"""Workers of a farm that solve nothing: they sleep, note what they did, and die when they are told to."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bridge.sequence.store import Outcome, Store


@dataclass
class Sleeper:
    """A worker that writes one small file a frame into a real store."""

    output: str
    seconds: float = 0.0
    deadly: int = -1  # this frame ends its worker
    times: int = 1  # as often as this

    def frame(self, number: int, control: object = None) -> Outcome:
        store = Store(Path(self.output))
        if store.done(number, "key"):
            return Outcome(number, 0.0, kept=True)
        began = time.monotonic()
        time.sleep(self.seconds)
        if number == self.deadly:
            deaths = Path(self.output) / "deaths"
            with deaths.open("a") as file:
                file.write("x")
            if deaths.stat().st_size <= self.times:
                os.kill(os.getpid(), signal.SIGKILL)
        with store.work(number, "key") as folder:
            (folder / "result.txt").write_text(f"frame {number}")
        with (Path(self.output) / "log.txt").open("a") as file:  # one short line: whole or not at all
            file.write(f"{number} {os.getpid()}\n")
        return Outcome(number, time.monotonic() - began)
