"""How fast a run goes: frames a second, and the time left."""

from __future__ import annotations

import time
from collections import deque

from ..service.protocol import Progress

RECENT = 50  # frames that the pace is measured over: the first ones wait for what is compiled and loaded


class Pace:
    """Counts finished frames."""

    def __init__(self, total: int, now: float | None = None) -> None:
        self.total, self.done = total, 0
        self._began = time.monotonic() if now is None else now
        self._times: deque[float] = deque([self._began], RECENT + 1)

    def next(self, now: float | None = None) -> Progress:
        """One more is finished; the message for whoever waits."""
        self.done += 1
        self._times.append(time.monotonic() if now is None else now)
        left = (self.total - self.done) / self.rate if self.rate > 0 else None
        name = f"{self.done} of {self.total} frames, {self.rate:.2f} a second"
        return Progress("sequence", name, self.done, self.total, self.done / max(1, self.total), left)

    @property
    def rate(self) -> float:
        """Frames a second of late, 0 while nothing is known."""
        spent = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / spent if spent > 0 else 0.0

    def __str__(self) -> str:
        spent = self._times[-1] - self._began
        return f"{self.done} solved in {spent:.1f} s, {self.done / spent:.2f} a second." if spent > 0 else ""
