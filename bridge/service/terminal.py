"""A job at a terminal: messages as a bar or as lines, Ctrl-C as Cancel, a problem as one sentence and exit code 1."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from ..errors import BridgeError, Cancelled
from ..files import cache_folder
from . import protocol
from .wire import Control


class Terminal:
    """Shows messages: a bar on a terminal, one line a stage and a tenth in a pipe. Problems go to stderr."""

    def __init__(self) -> None:
        self.ok = True
        self.result: protocol.Result | None = None
        self._bar: ProgressBar | None = None
        self._task = None
        self._last = ("", -1)
        if sys.stdout.isatty():
            columns = (TextColumn("{task.description:20}"), BarColumn(), TextColumn("{task.fields[left]}"))
            self._bar = ProgressBar(*columns, TimeElapsedColumn(), console=Console())
            self._task = self._bar.add_task("", total=1.0, left="")

    def __enter__(self) -> Terminal:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, message: protocol.Message) -> None:
        match message:
            case protocol.Progress():
                self._progress(message)
            case protocol.Status():
                print(message.text, flush=True)
            case protocol.Warning():
                print(f"Warning: {message.sentence} {message.cure}".strip(), file=sys.stderr, flush=True)
            case protocol.Error():
                self.ok = False
                print(f"Error: {message.sentence} {message.cure}".strip(), file=sys.stderr, flush=True)
            case protocol.Result():
                self.result = message
            case _:
                pass

    def _progress(self, message: protocol.Progress) -> None:
        left = "" if message.eta_s is None else f"about {message.eta_s:.0f} s left"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=message.fraction, description=message.stage, left=left)
            return
        mark = (message.stage, int(message.fraction * 10))
        if mark != self._last:
            self._last = mark
            print(f"{message.fraction:4.0%}  {message.stage}  {left}".rstrip(), flush=True)


class _Failure:
    code = 0


@contextlib.contextmanager
def clear_errors() -> Iterator[_Failure]:
    """Print a problem as one sentence and remember exit code 1."""
    failure = _Failure()
    try:
        yield failure
    except (BridgeError, protocol.ProtocolError) as error:
        print(f"Error: {error}", file=sys.stderr)
        failure.code = 1
    except Cancelled:
        print("Stopped.", file=sys.stderr)
        failure.code = 1
    except (ValueError, RuntimeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        failure.code = 1
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  a fault of our own, which is one sentence too
        reason = " ".join(str(error).split())[:200]
        print(f"Error: The bridge met a fault of its own: {type(error).__name__}: {reason}. {_kept()}", file=sys.stderr)
        failure.code = 1


def _kept() -> str:
    """The trace of the exception that is handled goes into a file; where to send it."""
    file = cache_folder() / "fault.log"
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(traceback.format_exc(), encoding="utf-8")
        return f"Please report it with '{file}'."
    return "Please report it."


@contextlib.contextmanager
def stoppable() -> Iterator[Control]:
    """Ctrl-C asks the job to stop; a second one ends the program at once."""
    control = Control()

    def ask(*_: object) -> None:
        if control.cancel.is_set():
            raise KeyboardInterrupt
        control.cancel.set()

    before: Callable | int | None = signal.signal(signal.SIGINT, ask)
    try:
        yield control
    finally:
        signal.signal(signal.SIGINT, before)
