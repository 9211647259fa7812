"""One command of the bridge in a child process, such as "import" or "calibrate": started, followed, stopped. No bpy.

To the panel it looks like a Job (job.py): both have a title, a stage, a fraction and a step() that never waits.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .job import CANCELLED, FAILED, FINISHED, RUNNING
from .worker import SET_UP_CURE, WINDOWS, WorkerError, popen_options

ENTRY = ("-u", "-B", "-m", "bridge")
LEASH = "SKULLPTOR_LEASH"  # the bridge leaves when our end of its stdin closes
PIECE_SECONDS = 0.05  # of reading at a time: a window must stay alive
READING = "Reading the scene"
KILL_SECONDS = 0.4  # after an unanswered cancel: nothing but its own folder can be half made
PROGRESS = re.compile(r"\s*(\d+)%\s+(.+?)(?:\s{2,}about (\d+) s left)?\s*")
_COMPLAINTS = re.compile(r"(Error|Warning|Note): (.+)")
Follow = Callable[[], Sequence[str] | None]
_alive: set[BridgeCommand] = set()


class BridgeCommand:
    """A command on its way. Everything the panel shows is a plain attribute."""

    can_finish = finishing = False

    def __init__(
        self,
        title: str,
        interpreter: Path,
        root: Path,
        arguments: Sequence[str],
        log: Path,
        *,
        follow: Follow = lambda: None,
        stage: str = "Starting the engine",
        read: Iterator[float] | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        """title: of the button. follow: asked after each command that went well for the arguments of one
        more. stage: shown until a command names one. read: what is read before all else, piece by piece within
        step(), that is in Blender's own thread; it yields the share that is done and may lengthen the arguments.
        prepare: what is to be written then, in a thread.

        Raises WorkerError "no-bridge" or "output".
        """
        self.title, self.interpreter, self.root, self.log = title, interpreter, root, log
        self.follow = follow
        self.entry: Sequence[str] = ENTRY  # between interpreter and arguments; another program's is set before step()
        self.partial = 0  # an exit code that, without an error, means: done, with warnings
        self.state, self.stage, self.fraction = RUNNING, READING if read else stage, 0.0
        self.eta_s: float | None = None
        self.error: WorkerError | None = None
        self.warnings: list[str] = []
        self.cancelled_at: float | None = None
        self.started = time.monotonic()
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()
        self._child: subprocess.Popen | None = None
        self._preparing: threading.Thread | None = None
        self._arguments, self._reading, self._preparation, self._next_stage = arguments, read, prepare, stage
        if read is None:
            self._set_off()

    def _set_off(self) -> None:
        if self._preparation is None:
            self._begin(self._arguments)
        else:
            self._preparing = threading.Thread(target=self._prepare, args=(self._preparation,), daemon=True)
            self._preparing.start()

    def _read_piece(self, reading: Iterator[float]) -> None:
        """For a moment; when all is read, the rest goes on by itself."""
        if self.cancelled_at is not None:
            self._reading, self.state = None, CANCELLED
            return
        until = time.monotonic() + PIECE_SECONDS
        try:
            while time.monotonic() < until:
                self.fraction = next(reading)
        except StopIteration:
            self._reading, self.stage, self.fraction = None, self._next_stage, 0.0
            self._set_off()
        except WorkerError as error:
            self._reading, self.state, self.error = None, FAILED, error

    def _prepare(self, prepare: Callable[[], object]) -> None:
        try:
            prepare()
        except OSError as error:
            sentence = f"'{error.filename or self.log.parent}' cannot be written: {error.strerror or error}."
            self.error = WorkerError("output", sentence, "Choose another cache folder in the preferences.")

    def _prepared(self) -> bool:
        """Once the thread is through: start the command. False while there is no child to look at."""
        if self._child is not None:
            return True
        if self._preparing.is_alive():
            return False
        if self.cancelled_at is not None:
            self.state, self.error = CANCELLED, None
            return False
        try:
            if self.error is None:
                self._begin(self._arguments)
        except WorkerError as error:
            self.error = error
        if self.error is not None:
            self.state = FAILED
        return self.running

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def _begin(self, arguments: Sequence[str]) -> None:
        options = popen_options(self.root)
        options["env"] = options["env"] | {LEASH: "1", "PYTHONIOENCODING": "utf-8"}
        self._complaint = ""
        self._last: collections.deque[str] = collections.deque(maxlen=3)
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._child = subprocess.Popen(
                [str(self.interpreter), *self.entry, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **options,
            )
        except OSError as error:
            sentence = f"'{self.interpreter}' cannot be started: {error.strerror or error}."
            raise WorkerError("no-bridge", sentence, SET_UP_CURE) from None
        _alive.add(self)
        self._readers = [
            threading.Thread(target=self._read, args=(kind, stream), daemon=True, name=f"skullptor-{kind}")
            for kind, stream in (("out", self._child.stdout), ("err", self._child.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, kind: str, stream) -> None:
        """In a thread of its own; the main thread understands the lines."""
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                self._lines.put((kind, line.decode("utf-8", "replace").rstrip()))

    def step(self) -> list[str]:
        """Read what came; the lines are returned for whoever wants to know that something moved."""
        if self.running and self._reading is not None:
            self._read_piece(self._reading)
            return []
        if not self.running or not self._prepared():
            return []
        ended = self._child.poll() is not None and not any(reader.is_alive() for reader in self._readers)
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        for kind, line in lines:
            self._take(kind, line)
        if ended:
            self._end()
        elif self.cancelled_at is not None and time.monotonic() - self.cancelled_at > KILL_SECONDS:
            self._signal(getattr(signal, "SIGKILL", None))
        return [line for _, line in lines]

    def _take(self, kind: str, line: str) -> None:
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        if kind == "out":
            if found := PROGRESS.fullmatch(line):
                share, self.stage, left = found.groups()
                self.fraction = max(self.fraction, min(1.0, int(share) / 100))
                self.eta_s = float(left) if left else None
        elif found := _COMPLAINTS.fullmatch(line):
            kind, text = found.groups()
            if kind == "Error":
                self._complaint = text
            else:
                self.warnings.append(text)
        elif line:
            self._last.append(line)

    def _end(self) -> None:
        _alive.discard(self)
        self._close()
        code = self._child.returncode
        if self.cancelled_at is not None:
            self.state = CANCELLED
        elif code == 0 or (code == self.partial and not self._complaint):
            self._go_on()
        else:
            self.state, self.error = FAILED, self._reason(code)

    def _go_on(self) -> None:
        try:
            more = self.follow()
            if more is None:
                self.state, self.fraction = FINISHED, 1.0
            else:
                self.fraction = 0.0
                self._begin(more)
        except WorkerError as error:
            self.state, self.error = FAILED, error

    def _reason(self, code: int) -> WorkerError:
        if self._complaint:
            return WorkerError("bridge", self._complaint)
        last = self._last[-1] if self._last else ""
        if "lacks the package" in last or "No module named" in last:
            return WorkerError("no-bridge", f"'{self.interpreter}' lacks the engine's packages. {last}", SET_UP_CURE)
        if "There is no command" in last:
            return WorkerError("no-bridge", f"The engine is older than the add-on. {last}", SET_UP_CURE)
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        said = f' Its last words: "{last}".' if last else ""
        return WorkerError("bridge-died", f"The engine stopped ({how}).{said}", f"The whole log is '{self.log}'.")

    def cancel(self) -> None:
        """Ask it to stop; step() sees it through."""
        if self.running and self.cancelled_at is None:
            self.cancelled_at = time.monotonic()
            self._signal(signal.SIGINT)

    def finish(self) -> None:
        """There is no half of an import."""

    def abandon(self) -> None:
        """The end of the file or of Blender: no time to wait."""
        if self.running:
            self.state = CANCELLED
            if self._child is not None:
                self._signal(getattr(signal, "SIGKILL", None))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(1.0)
                self._close()
        _alive.discard(self)

    def _close(self) -> None:
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            with contextlib.suppress(OSError):
                stream.close()

    def _signal(self, number: int | None) -> None:
        """To the whole group: a library may have started helpers."""
        if self._child is None:
            return
        with contextlib.suppress(OSError):
            if WINDOWS or number is None:
                self._child.kill()
            elif self._child.poll() is None:
                os.killpg(self._child.pid, number)


def stop_all() -> None:
    for command in list(_alive):
        command.abandon()


atexit.register(stop_all)
