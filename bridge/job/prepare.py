"""Stage of a first run: the solver is compiled, once per machine, under a name of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .. import photometric, solve
from ..errors import Cancelled
from ..mesh import environment
from .record import Job, Tools

SECONDS = 100.0  # that it takes on two cores
NEARLY = 0.8  # share of the bar that these seconds fill; what comes later fills less and less of the rest
TICK = 1.0  # seconds between two words about it


def prepare(job: Job, tools: Tools) -> None:
    """Compile the solver, so that no later stage stands still for it."""
    compile_solver(lambda share: tools.report.step(round(100 * share), 100, share))


def compile_solver(tick: Callable[[float], None]) -> float:
    """Compile, or load from the cache; returns the seconds it took. tick is told once a second, by another thread, how
    far it probably is (0 to 1): a compiler does not say."""
    began, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(TICK):
            try:
                tick(share_after(time.monotonic() - began))
            except (Cancelled, OSError):  # the solver is compiled to its end all the same, or the process is stopped
                return

    teller = threading.Thread(target=tell, daemon=True, name="skullptor-compiling")
    teller.start()
    try:
        solve.warm_up()
        photometric.warm_up()
    finally:
        done.set()
        teller.join()
    environment.mark_compiled()
    return time.monotonic() - began


def share_after(seconds: float) -> float:
    """The share of the bar after so many seconds: it always moves and never reaches its end by itself."""
    if seconds < SECONDS:
        return NEARLY * seconds / SECONDS
    return 1 - (1 - NEARLY) * SECONDS / seconds
