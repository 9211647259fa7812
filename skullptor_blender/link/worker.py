"""Starts, reads and stops the bridge. No bpy; never blocks the window: a thread reads, the caller polls.

The bridge is one warm child process for many jobs (``python -m bridge serve``). Its messages come over a pipe, its
chatter goes into a log file. A child that dies, talks nonsense or does not answer is an error at once.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ...bridge.service import protocol

HELLO_SECONDS = 60.0  # a cold disk and an antivirus scanner may need most of it
CANCEL_SECONDS = 0.6  # a bridge that has not stopped by then is killed; the next run starts a new one
GRACE_SECONDS = 1.0  # for a polite end when Blender quits
MAX_MESSAGES = 200  # a poll handles no more, so that a flood cannot stop the window
COMMAND_VARIABLE = "SKULLPTOR_BRIDGE_COMMAND"  # tests set it to "dummy --seconds 1"
PYTHON_VARIABLE = "SKULLPTOR_BRIDGE_PYTHON"
WINDOWS = sys.platform == "win32"


class WorkerError(Exception):
    """What the artist reads: code, one sentence, one cure."""

    def __init__(self, code: str, sentence: str, cure: str = "") -> None:
        super().__init__(f"{sentence} {cure}".strip())
        self.code, self.sentence, self.cure = code, sentence, cure


READY = "ready.json"  # written last into an environment that the add-on sets up
SET_UP_CURE = (
    "Press Set Up in the Skullptor panel, or choose a Python that has the engine in the add-on's preferences,"
    " under Advanced."
)


def environment_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if WINDOWS else "bin/python")


def find_interpreter(preferred: str, root: Path, environments: Iterable[Path] = ()) -> Path:
    """The bridge's Python: the preference, else the environment variable, else a .venv in the checkout, else one
    of the environments that the add-on set up. Raises WorkerError "no-bridge".
    """
    for source, given in (("Existing Python", preferred), (PYTHON_VARIABLE, os.environ.get(PYTHON_VARIABLE, ""))):
        if given:
            path = Path(given).expanduser()
            if path.is_dir():
                path = environment_python(path)
            if not path.is_file():
                raise WorkerError("no-bridge", f"{source} names '{given}', but there is no such file.", SET_UP_CURE)
            return path.absolute()  # not resolved: a link into an environment is what makes it one
    if (path := environment_python(root / ".venv")).is_file():
        return path
    half = None
    for folder in environments:
        if (path := environment_python(folder)).is_file():
            if (folder / READY).is_file():
                return path
            half = half or folder
    if half:
        cure = "Press Set Up: it goes on where it stopped."
        raise WorkerError("no-bridge", f"The set-up of the engine in '{half}' was not finished.", cure)
    raise WorkerError("no-bridge", "The engine is not set up yet.", SET_UP_CURE)


def child_environment() -> dict[str, str]:
    """Blender's PYTHON* variables would give the child Blender's library."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def ignore_sigpipe() -> None:
    """Blender 4.3 leaves SIGPIPE deadly: a write to a dead child would end Blender without a word."""
    if hasattr(signal, "SIGPIPE") and threading.current_thread() is threading.main_thread():
        with contextlib.suppress(ValueError):
            if signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:
                signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def popen_options(root: Path) -> dict:
    """A process group of its own, so that Ctrl-C and Blender's end reach the child only through us."""
    group = {"creationflags": 0x00000200 | 0x08000000} if WINDOWS else {"start_new_session": True}
    return {"cwd": str(root), "env": child_environment(), **group}


class Worker:
    """One bridge process. poll() gives its messages; a dead or nonsensical bridge raises WorkerError there."""

    def __init__(self, interpreter: Path, root: Path, log: Path, command: str = "") -> None:
        self.interpreter, self.log = interpreter, log
        self.command = command or os.environ.get(COMMAND_VARIABLE, "serve")
        self.greeted = False
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._started = time.monotonic()
        ignore_sigpipe()
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as stderr:
                self._process = subprocess.Popen(
                    [str(interpreter), "-u", "-B", "-m", "bridge", *shlex.split(self.command)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    **popen_options(root),
                )
        except OSError as error:
            if error.filename and str(error.filename).startswith(str(log.parent)):
                sentence = f"The log '{log}' cannot be written: {error.strerror}."
                raise WorkerError("output", sentence, "Choose another cache folder in the preferences.") from None
            raise WorkerError(
                "no-bridge", f"'{interpreter}' cannot be started: {error.strerror or error}.", SET_UP_CURE
            ) from None
        threading.Thread(target=self._read, daemon=True, name="skullptor-bridge").start()
        _alive.add(self)
        with contextlib.suppress(WorkerError):  # an early death is reported by poll(), with its log
            self.send(protocol.Hello())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        """In a thread of its own: lines only, decoded on the main thread. None marks the end."""
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line.decode("utf-8", "replace"))
        self._lines.put(None)

    def send(self, message: protocol.Message) -> None:
        """Messages are far smaller than the pipe, so this does not block. Raises WorkerError "bridge-died"."""
        try:
            self._process.stdin.write(protocol.encode(message).encode())
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._death() from None

    def poll(self) -> list[protocol.Message]:
        """Everything said since the last call; never waits."""
        messages: list[protocol.Message] = []
        while len(messages) < MAX_MESSAGES:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                break
            if line is None:
                self._lines.put(None)  # the next poll finds the end again
                if messages:
                    break
                raise self._death()
            messages += self._understand(line)
        if not self.greeted and time.monotonic() - self._started > HELLO_SECONDS:
            self.kill()
            sentence = f"The engine '{self.interpreter}' does not answer: it said nothing for {HELLO_SECONDS:.0f} s."
            raise WorkerError("no-bridge", sentence, SET_UP_CURE)
        return messages

    def _understand(self, line: str) -> list[protocol.Message]:
        try:
            message = protocol.decode(line)
            if not self.greeted:
                protocol.check_hello(message, "bridge")
                self.greeted = True
                return []
        except protocol.ProtocolError as error:
            self.kill()
            code = "garbage" if self.greeted else "no-bridge"
            cure = f"Try again; the engine's log is '{self.log}'." if self.greeted else SET_UP_CURE
            raise WorkerError(code, f"The engine does not fit this add-on. {error}", cure) from None
        return [message]

    def _death(self) -> WorkerError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)  # its pipe is closed, so it is leaving
        last = self.log_tail()
        said = f' Its last words: "{last[-1]}".' if last else ""
        if not self.greeted:
            for line in last:
                if "No module named 'bridge" in line:
                    sentence = f"The add-on's own files are not whole: {line}."
                    return WorkerError("no-bridge", sentence, "Install the add-on again.")
                if "No module named" in line or "lacks the package" in line:
                    return WorkerError(
                        "no-bridge", f"'{self.interpreter}' lacks the engine's packages. {line}", SET_UP_CURE
                    )
            sentence = f"'{self.interpreter}' does not answer as the engine's Python.{said}"
            return WorkerError("no-bridge", sentence, SET_UP_CURE)
        code = self._process.poll()
        how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {-code})"
        cure = f"Try again with a lower preset; the whole log is '{self.log}'."
        return WorkerError("bridge-died", f"The engine stopped in mid-run{how}.{said}", cure)

    def log_tail(self, lines: int = 5) -> list[str]:
        """The last lines that are not empty."""
        with contextlib.suppress(OSError):
            text = self.log.read_bytes()[-8192:].decode("utf-8", "replace")
            return [line.strip() for line in text.splitlines() if line.strip()][-lines:]
        return []

    def terminate(self) -> None:
        self._signal(getattr(signal, "SIGTERM", None))

    def kill(self, seconds: float = 1.0) -> None:
        """seconds: how long to wait for its end."""
        self._signal(getattr(signal, "SIGKILL", None))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            _alive.discard(self)

    def _signal(self, number: int | None) -> None:
        """To the whole group: a library may have started helpers."""
        with contextlib.suppress(OSError):
            if WINDOWS or number is None:
                self._process.kill()
            elif self._process.poll() is None:
                os.killpg(self._process.pid, number)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End it now, politely for a moment: a real bridge leaves within milliseconds of its pipe closing."""
        if self.running:
            with contextlib.suppress(WorkerError):
                self.send(protocol.Shutdown())
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for harder in (self.terminate, self.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace / 2)
                break
            harder()
        self.kill()


_alive: set[Worker] = set()  # for the end of Blender
_warm: list[Worker] = []  # at most one, kept between jobs


def warm_worker(interpreter: Path, root: Path, log_folder: Path) -> Worker:
    """The bridge that is already there, or a new one."""
    command = os.environ.get(COMMAND_VARIABLE, "serve")
    for worker in list(_warm):
        if worker.running and worker.interpreter == interpreter and worker.command == command:
            return worker
        discard(worker)
    log = log_folder / f"bridge-{os.getpid()}.log"
    _warm.append(Worker(interpreter, root, log, command))
    return _warm[-1]


def discard(worker: Worker) -> None:
    """Stop a worker that is of no more use."""
    if worker in _warm:
        _warm.remove(worker)
    worker.stop()


def drop(worker: Worker) -> None:
    """Out of use at once and by force, without a wait for its end: all it writes is renamed when it is whole."""
    if worker in _warm:
        _warm.remove(worker)
    worker.kill(0.05)


def stop_all() -> None:
    """At unregister, file load and exit: nobody is left behind."""
    for worker in [*_warm, *_alive]:
        worker.stop()
    _warm.clear()


atexit.register(stop_all)
