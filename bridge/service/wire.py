"""The bridge's end of the pipe: a reader thread, an atomic writer, and the loop of jobs. Standard library only.

`python -m bridge serve` and `python -m bridge dummy` share this loop; they differ in what plays a job.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from ..errors import Cancelled
from . import protocol


@dataclass(frozen=True)
class Control:
    """What the user may ask of a running job; the job looks at it between steps."""

    cancel: threading.Event = field(default_factory=threading.Event)
    finish: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises Cancelled once the user has asked for the end."""
        if self.cancel.is_set():
            raise Cancelled


LEAVE_SECONDS = 10.0
PEER_GONE = 1

Send = Callable[[protocol.Message], None]
RunJob = Callable[[protocol.Run, Send, Control], None]


def claim_stdout() -> BinaryIO:
    """Keep the real stdout for messages and point everything else that prints to stderr.

    Done on the file descriptor, so that C libraries cannot corrupt the stream either.
    """
    sys.stdout.flush()
    wire = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return wire


def serve(
    run_job: RunJob, wire_out: BinaryIO, wire_in: BinaryIO | None = None, hello: protocol.Hello | None = None
) -> int:
    """Answer messages until stdin closes or a shutdown comes. run_job runs one job and sends all but its Done.

    Returns the exit code: 0, or 1 when the peer is no add-on of this protocol; PEER_GONE when nobody reads the messages
    any more. Then leave(code): the thread that waits for stdin would bring the interpreter down at its end.
    """
    lock = threading.Lock()

    def send(message: protocol.Message) -> None:
        line = protocol.encode(message).encode()
        with lock:
            wire_out.write(line)

    jobs: queue.Queue[tuple[protocol.Run, Control] | None] = queue.Queue()
    controls: dict[str, Control] = {}
    reader = io.TextIOWrapper(wire_in or sys.stdin.buffer, encoding="utf-8", errors="replace")
    try:
        send(hello or protocol.Hello())
        protocol.check_hello(protocol.decode(reader.readline()), "add-on")
    except protocol.ProtocolError as error:
        with contextlib.suppress(OSError):
            send(protocol.Error("", "protocol", str(error)))
        return 1
    except OSError:
        return PEER_GONE

    def listen() -> None:
        for line in reader:
            try:
                message = protocol.decode(line)
            except protocol.ProtocolError as error:
                with contextlib.suppress(OSError):  # the job's next message meets the same end
                    send(protocol.Error("", "protocol", str(error)))
                continue
            match message:
                case protocol.Run():
                    controls[message.id] = Control()
                    jobs.put((message, controls[message.id]))
                case protocol.Cancel() if message.id in controls:
                    controls[message.id].cancel.set()
                case protocol.Finish() if message.id in controls:
                    controls[message.id].finish.set()
                case protocol.Shutdown():
                    break
                case _:
                    pass
        # stdin closed or shutdown: Blender is gone or wants us gone
        for control in list(controls.values()):
            control.cancel.set()
        jobs.put(None)
        # a job that cannot be stopped must not outlive Blender
        last_resort = threading.Timer(LEAVE_SECONDS, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()

    threading.Thread(target=listen, daemon=True, name="wire").start()
    while (entry := jobs.get()) is not None:
        run, control = entry
        ok = True

        def watch(message: protocol.Message) -> None:
            nonlocal ok
            ok = ok and not isinstance(message, protocol.Error)
            send(message)

        try:
            if control.cancel.is_set():
                ok = False
            else:
                run_job(run, watch, control)
                ok = ok and not control.cancel.is_set()
            send(protocol.Done(run.id, ok))
        except OSError as error:  # play() keeps its own; this one is the pipe's
            print(f"Nobody reads the bridge's messages any more: {error.strerror}.", file=sys.stderr)
            return PEER_GONE
        finally:
            controls.pop(run.id, None)
    return 0


def leave(code: int) -> int:
    """End the program at once if the peer is gone; else the code, for the usual way out."""
    if code == PEER_GONE:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
    return code
