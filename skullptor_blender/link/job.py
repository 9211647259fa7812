"""One reconstruction as the add-on sees it: a state machine over a worker. No bpy; step() never waits.

The operator drives the same steps whether it runs modal or blocking.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...bridge.service import protocol
from . import result_file, run_files
from . import worker as workers
from .capture_draft import CaptureDraft
from .worker import Worker, WorkerError

RUNNING, FINISHED, FAILED, CANCELLED = "RUNNING", "FINISHED", "FAILED", "CANCELLED"


@dataclass
class Job:
    """A job on its way. Everything the panel shows is a plain attribute here."""

    id: str
    capture: Path
    output: Path
    settings: protocol.JobSettings
    worker: Worker
    draft: CaptureDraft | None = None  # what is to be written as the capture first
    title: str = "Reconstruct Head"  # of the button that started it
    state: str = RUNNING
    stage: str = "Starting the engine"
    status: str = ""
    fraction: float = 0.0
    eta_s: float | None = None
    preview: str = ""  # path of the newest, set anew for each
    result: protocol.Result | None = None
    arrays: dict[str, np.ndarray] | None = None  # of a finished mesh
    study: Callable[[dict[str, np.ndarray]], object] | None = None  # asked about them in a thread; knows no scene
    studied: object = None  # its answer
    warnings: list[protocol.Warning] = field(default_factory=list)
    error: WorkerError | None = None
    finishing: bool = False
    cancelled_at: float | None = None
    started: float = field(default_factory=time.monotonic)
    sent: bool = False
    _file_thread: threading.Thread | None = None  # what the disk is asked for, so that the window never waits for it
    _trouble: WorkerError | None = None

    def __post_init__(self) -> None:
        if self.draft is not None:
            self._start_thread(self._write_capture)

    @property
    def can_finish(self) -> bool:
        """Is a half of it worth anything?"""
        return self.settings.stage == "mesh"

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def step(self) -> list[protocol.Message]:
        """Read what came, write what is due; the messages are returned for whoever wants to print them."""
        if not self.running:
            return []
        try:
            messages = self.worker.poll()
            busy = self._file_thread is not None and self._file_thread.is_alive()
            if self._trouble is not None and not busy:
                raise self._trouble
            if self.cancelled_at is not None and not self.sent and not busy:
                self.state = CANCELLED  # the bridge never heard of it, and stays for the next one
            elif self.worker.greeted and not self.sent and not busy:
                self.sent = True
                self.worker.send(protocol.Run(self.id, str(self.capture), str(self.output), self.settings))
        except WorkerError as error:
            self._end(error)
            return []
        for message in messages:
            self._take(message)
        if self.arrays is not None:
            self.state = CANCELLED if self.cancelled_at is not None else FINISHED
        self._escalate()
        return messages

    def _take(self, message: protocol.Message) -> None:
        if getattr(message, "id", self.id) not in (self.id, ""):
            return  # a word about a job that is over
        match message:
            case protocol.Progress():
                self.stage, self.eta_s = message.stage, message.eta_s
                self.fraction = max(self.fraction, min(1.0, message.fraction))
            case protocol.Status():
                self.status = message.text
            case protocol.Preview():
                self.preview = message.path
            case protocol.Warning():
                self.warnings.append(message)
            case protocol.Error():
                self.error = WorkerError(message.code, message.sentence, message.cure)
            case protocol.Result():
                self.result = message
            case protocol.Done():
                self._done(message.ok)

    def _done(self, ok: bool) -> None:
        if self.cancelled_at is not None:
            self.state, self.error = CANCELLED, None
        elif self.error is None and ok and self.result is not None:
            if self.settings.stage == "mesh":
                self.stage = "Reading the head"
                self._start_thread(self._read_result)  # step() sees its end
            else:
                self.state = FINISHED
        else:
            cure = f"The engine's log is '{self.worker.log}'."
            self.error = self.error or WorkerError("no-result", "The engine ended without a result.", cure)
            self.state = FAILED

    def _start_thread(self, what: Callable[[], None]) -> None:
        self._file_thread = threading.Thread(target=what, daemon=True, name="skullptor-files")
        self._file_thread.start()

    def _write_capture(self) -> None:
        try:
            self.draft.write(self.capture)
        except OSError as error:
            self._trouble = run_files.unwritable(self.capture.parent, error)
        except Exception as error:  # or the job would wait for ever
            self._trouble = WorkerError("output", f"The capture cannot be written: {error}.", "Please report it.")

    def _read_result(self) -> None:
        try:
            arrays = result_file.load(Path(self.result.path))
            if self.study is not None:
                self.studied = self.study(arrays)
            self.arrays = arrays
        except Exception as error:  # or the job would wait for ever
            sentence = f"The result '{self.result.path}' cannot be read: {error}."
            self._trouble = WorkerError("no-result", sentence, "Run it again; is the disk full?")

    def _end(self, error: WorkerError) -> None:
        if error is not self._trouble:  # a full disk is no fault of the bridge
            workers.discard(self.worker)
        if self.cancelled_at is not None:
            self.state = CANCELLED
        else:
            self.state, self.error = FAILED, error

    def _escalate(self) -> None:
        """Cancel ends within a second, whatever the bridge is at: files are read, a kernel is compiled, others starve
        the machine."""
        if not self.running or self.cancelled_at is None or not self.sent:
            return
        if time.monotonic() - self.cancelled_at > workers.CANCEL_SECONDS:
            self.state = CANCELLED
            workers.drop(self.worker)

    def cancel(self) -> None:
        """Ask the bridge to stop; step() sees it through."""
        if self.running and self.cancelled_at is None:
            self.cancelled_at = time.monotonic()
            self._send(protocol.Cancel(self.id))

    def finish(self) -> None:
        """Ask for what is there now."""
        if self.running and not self.finishing and self.cancelled_at is None:
            self.finishing = True
            self._send(protocol.Finish(self.id))

    def _send(self, message: protocol.Message) -> None:
        if self.sent:
            with contextlib.suppress(WorkerError):  # a death is reported by step()
                self.worker.send(message)

    def abandon(self) -> None:
        """The end of the file or of Blender: no time to wait."""
        if self.running:
            self.state = CANCELLED
            workers.discard(self.worker)
            if self._file_thread is not None:
                self._file_thread.join(1.0)  # or it would write into a folder that is being removed
