"""Long calls into COLMAP that a user can still stop: they run beside the main thread, which goes on hearing Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pycolmap

from ..errors import BridgeError, Cancelled, Check
from ..service.wire import Control

POLL_SECONDS = 0.1
GRACE_SECONDS = 0.3  # for the call to end by itself; what does not is left behind (see call_still_running)
_NAME = "colmap"
Result = TypeVar("Result")


def run_cancellable(call: Callable[[pycolmap.CancellationToken], Result], check: Check) -> Result:
    """The result of call(token), or Cancelled as soon as check raises it. Raises BridgeError "calibrate"."""
    token = pycolmap.CancellationToken()
    outcome: list[Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(call(token))
        except BaseException as error:  # handed to the main thread
            failures.append(error)

    thread = threading.Thread(target=work, name=_NAME, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        try:
            check()
        except Cancelled:
            token.cancel()
            thread.join(GRACE_SECONDS)
            raise
    if not failures:
        return outcome[0]
    if isinstance(failures[0], (RuntimeError, ValueError, OSError)):
        first = (str(failures[0]).strip().splitlines() or [type(failures[0]).__name__])[0]
        raise BridgeError("calibrate", f"COLMAP stopped: {first}.", "Check that all photographs can be opened.")
    raise failures[0]


def call_still_running() -> bool:
    """Whether a cancelled call is still at work: the process must then end without waiting for it."""
    return any(thread.name == _NAME for thread in threading.enumerate())


@contextlib.contextmanager
def cancel_on_sigterm(control: Control) -> Iterator[None]:
    """Take SIGTERM back from pycolmap, which answers it with a page of stack trace: it cancels, like Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: control.cancel.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
