"""Sets up the bridge's environment in child processes: steps in a thread, plain data for the preferences. No bpy.

Nothing is downloaded twice and nothing is done twice: the packages are chosen once, with the SHA-256 of each, and
written down, then installed one by one; an interrupted set-up goes on with the next one.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import environment
from .environment import CLAIM, DONE, LOCK
from .worker import READY, WINDOWS, WorkerError, environment_python, popen_options

RUNNING, FINISHED, FAILED, CANCELLED = "RUNNING", "FINISHED", "FAILED", "CANCELLED"
GIGABYTES = {"bridge": 1.5, "cuda": 7.0}  # free space that an extra needs while it is installed
NAMES = {"bridge": "processor", "cuda": "NVIDIA GPU"}
# share of the whole at which a stage begins
SHARES = {"python": 0.0, "environment": 0.02, "choose": 0.08, "install": 0.2, "warm": 0.9, "doctor": 0.96}
_NETWORK = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|getaddrinfo|timed out|ProxyError|SSLError|"
    r"Connection(?:Reset|Refused|Aborted)|Could not fetch|Network is unreachable|RemoteDisconnected"
)
_MISSING = re.compile(r"(?:No matching distribution found for|satisfies the requirement) ([\w.-]+)")
_SEEN = re.compile(r"^\s*(?:Collecting|Downloading|Processing|Using cached) (\S+)(?: \(([\d.]+ [kMG]B)\))?")
_BYTES = re.compile(r"^Progress (\d+) of (\d+)$")  # pip's raw progress bar
_SHARE = re.compile(r"^ *(\d+)%  ")  # of the bridge's own work
_PIP = re.compile(r"^pip (\d+)\.(\d+)")
RAW_PROGRESS = (24, 1)  # the first pip that has it
AGAIN = "Press Set Up again: it goes on where it stopped."


class _Stopped(Exception):
    """Cancel was pressed."""


@dataclass(frozen=True)
class Plan:
    """What is to be set up, and where from."""

    root: Path  # the add-on's own folder: pyproject.toml and bridge/
    folder: Path  # the environment, made by us
    extra: str = "bridge"
    python: str = ""  # the Python that makes it; empty: found
    wheels: Path | None = None  # a folder of wheels: no network is touched

    @property
    def log(self) -> Path:
        return self.folder.with_name("set-up.log")


@dataclass(eq=False)
class SetUp:
    """A set-up on its way: start() it, look at the attributes, cancel() it."""

    plan: Plan
    state: str = RUNNING
    stage: str = "Looking for a Python"
    detail: str = ""  # what pip looks at just now
    fraction: float = 0.0
    error: WorkerError | None = None
    doctor: str = ""
    started: float = field(default_factory=time.monotonic)
    base: float = 0.0  # the fraction at which the step at hand began
    share: float = 0.0  # of the fraction that the package at hand is worth
    _child: subprocess.Popen | None = None
    _lock: int | None = None  # file descriptor that holds the lock
    _raw: bool = False  # pip tells the bytes it has loaded
    _stop: threading.Event = field(default_factory=threading.Event)
    _tail: collections.deque = field(default_factory=lambda: collections.deque(maxlen=200))

    @property
    def running(self) -> bool:
        return self.state == RUNNING

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def cancelling(self) -> bool:
        return self.running and self._stop.is_set()

    def start(self) -> SetUp:
        self._thread = threading.Thread(target=self._run, daemon=True, name="skullptor-set-up")
        _alive.add(self)
        self._thread.start()
        return self

    def join(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def cancel(self) -> None:
        """Stop within a moment; what is installed stays for the next time."""
        self._stop.set()
        if (child := self._child) is not None:
            _kill(child)

    def _run(self) -> None:
        try:
            with _locked(self.plan) as self._lock:
                self._steps()
            self.state, self.fraction = FINISHED, 1.0
        except _Stopped:
            self.state = CANCELLED
        except WorkerError as error:
            self.error, self.state = error, FAILED
        except OSError as error:
            self.error, self.state = _disk_trouble(self.plan, error), FAILED
        finally:
            _alive.discard(self)

    def _steps(self) -> None:
        plan = self.plan
        packages = environment.requirements(plan.root, plan.extra)
        plan.log.write_text(f"Set-up of {plan.folder} for the {NAMES.get(plan.extra, plan.extra)}\n", encoding="utf-8")
        base, version = environment.base_python(plan.python)
        pins = environment.pins(plan.root)
        name = environment.digest(packages, f"{version} {'folder' if plan.wheels else 'index'}", pins)
        self._environment(base, name)
        (plan.folder / READY).unlink(missing_ok=True)
        locked = self._choose(packages, name, pins)
        self._install(locked)
        self._enter_stage("warm", "Preparing Skullptor, once, about 2 minutes", share=SHARES["doctor"] - SHARES["warm"])
        self._run_child([*self._bridge, "warm"], lambda: self._bridge_trouble("cannot be compiled"))
        self._enter_stage("doctor", "Testing the engine")
        lines = self._run_child(
            [*self._bridge, "doctor"], lambda: self._bridge_trouble("does not work"), keep_doctor=True
        )
        self.doctor = "\n".join(lines)
        environment.write_json(
            plan.folder / READY,
            {
                "digest": name,
                "extra": plan.extra,
                "requirements": packages,
                "pins": pins,
                "python": version,
                "packages": locked,
            },
        )

    @property
    def _python(self) -> str:
        return str(environment_python(self.plan.folder))

    @property
    def _bridge(self) -> list[str]:
        return [self._python, "-u", "-B", "-m", "bridge"]

    @property
    def _pip(self) -> list[str]:
        command = [self._python, "-m", "pip", "--no-input", "--no-color", "install", "--only-binary", ":all:"]
        return [*command, "--progress-bar", "raw" if self._raw else "off"]

    @property
    def _source(self) -> list[str]:
        return ["--no-index", "--find-links", str(self.plan.wheels)] if self.plan.wheels else []

    def _environment(self, base: str, name: str) -> None:
        """Our own folder with a Python that has pip: the one that is there if it is whole, else a new one."""
        self._enter_stage("environment", "Making a place for the engine")
        folder = self.plan.folder
        if folder.exists() and not environment.is_ours(folder) and any(folder.iterdir()):
            raise WorkerError(
                "set-up",
                f"'{folder}' is there already and was not made by this add-on.",
                "Choose another Set-Up Folder in the preferences.",
            )
        if environment.read_json(folder / CLAIM).get("digest") == name and environment_python(folder).is_file():
            with contextlib.suppress(WorkerError):
                self._ask_pip()
                return
        if environment.is_ours(folder):
            environment.move_aside(folder)
        _delete(environment.leftovers(folder))
        folder.mkdir(parents=True, exist_ok=True)
        needed = GIGABYTES.get(self.plan.extra, 1.0)
        free = shutil.disk_usage(folder).free / 1e9
        if free < needed:
            sentence = f"The disk of '{folder}' has {free:.1f} GB left; the engine needs about {needed:.1f} GB."
            raise WorkerError("disk", sentence, "Free some space, or choose another Set-Up Folder in the preferences.")
        environment.write_json(folder / CLAIM, {"made_by": "Skullptor for Blender", "digest": name})
        self._run_child(
            [base, "-m", "venv", str(folder)],
            lambda: WorkerError(
                "set-up", f"'{base}' cannot be used for the set-up: {self._last}.", environment.PYTHON_CURE
            ),
        )

        self._ask_pip()

    def _ask_pip(self) -> None:
        lines = self._run_child(
            [self._python, "-m", "pip", "--version"], lambda: WorkerError("set-up", "There is no pip.")
        )
        found = next((match for line in lines if (match := _PIP.match(line))), None)
        self._raw = found is not None and (int(found[1]), int(found[2])) >= RAW_PROGRESS

    def _choose(self, packages: Sequence[str], name: str, pins: str) -> list[dict]:
        """Exact versions of everything, dependencies too, each with its SHA-256; written down for the next time."""
        self._enter_stage("choose", "Choosing package versions")
        folder = self.plan.folder
        lock = environment.read_json(folder / LOCK)
        if lock.get("digest") == name:
            return lock["packages"]
        wanted, report = folder / "requirements.txt", folder / "report.json"
        wanted.write_text("\n".join(packages) + "\n", encoding="utf-8")
        command = [*self._pip, "--dry-run", "--ignore-installed", "--report", str(report), *self._source]
        command += ["-r", str(wanted)]

        def trouble() -> WorkerError:
            return self._pip_trouble("The packages cannot be chosen")

        if pins:
            tested = folder / "tested.txt"
            tested.write_text(pins, encoding="utf-8")
            try:
                self._run_child([*command, "-c", str(tested)], trouble)
            except WorkerError as error:
                if error.code != "package":
                    raise
                self._note("The tested versions do not suit this system: others are chosen.")
                self._run_child(command, trouble)
        else:
            self._run_child(command, trouble)
        found = []
        for item in environment.read_json(report).get("install", []):
            archive = item.get("download_info", {}).get("archive_info", {})
            sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
            meta = item["metadata"]
            found.append({"name": meta["name"], "version": meta["version"], "sha256": sha256})
        found.sort(key=lambda package: package["name"].lower())
        self._prove(found)
        (folder / DONE).unlink(missing_ok=True)
        environment.write_json(folder / LOCK, {"digest": name, "packages": found})
        report.unlink()
        return found

    def _prove(self, packages: Sequence[dict]) -> None:
        """A tested version must be one of the tested files, whatever the index or the folder calls by its name."""
        tested, unknown = environment.hashes(self.plan.root), []
        for package in packages:
            pin = f"{package['name']}=={package['version']}"
            files = tested.get(environment.canonical(package["name"], package["version"]))
            if files is None:
                unknown.append(pin)
            elif package["sha256"] not in files:
                sentence = f"{pin} is not the file that this add-on was tested with, so it was refused."
                raise WorkerError("package", sentence, "Take it from PyPI, or from a mirror that does not rebuild it.")
        if tested and unknown:
            self._note(f"No tested file is on record for: {', '.join(unknown)}.")

    def _install(self, packages: Sequence[dict]) -> None:
        folder = self.plan.folder
        journal, one = folder / DONE, folder / "one.txt"
        done = set(journal.read_text(encoding="utf-8").splitlines()) if journal.is_file() else set()
        for index, package in enumerate(packages):
            pin = f"{package['name']}=={package['version']}"
            step = (SHARES["warm"] - SHARES["install"]) / len(packages)
            self._enter_stage("install", f"Installing {package['name']} ({index + 1} of {len(packages)})", index * step)
            self.share = step
            if pin in done:
                continue
            check = f" --hash=sha256:{package['sha256']}" if package["sha256"] else ""
            one.write_text(f"{pin}{check}\n", encoding="utf-8")
            # what an interruption left of this package is overwritten, not uninstalled
            command = [*self._pip, "--no-deps", "--ignore-installed", "--no-warn-script-location", *self._source]
            self._run_child(
                [*command, "-r", str(one)],
                lambda name=package["name"]: self._pip_trouble(f"{name} cannot be installed", name),
            )
            with journal.open("a", encoding="utf-8") as file:
                file.write(pin + "\n")

    def _enter_stage(self, name: str, stage: str, more: float = 0.0, *, share: float = 0.0) -> None:
        if self._stop.is_set():
            raise _Stopped
        self.stage, self.detail, self.share = stage, "", share
        self.base = SHARES[name] + more
        self.fraction = max(self.fraction, self.base)

    def _run_child(self, command: list[str], trouble, keep_doctor: bool = False) -> list[str]:
        """Run a child to its end; its words go into the log. trouble() makes the error of one that fails."""
        options = popen_options(self.plan.root) | {"env": environment.pip_environment()}
        if not WINDOWS and self._lock is not None:
            # should Blender be killed, what it started here holds the lock until it has ended as well
            options["pass_fds"] = (self._lock,)
        lines: list[str] = []
        self._tail.clear()
        with self.plan.log.open("a", encoding="utf-8") as log:
            log.write(f"\n> {' '.join(command)}\n")
            log.flush()
            try:
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
                )
            except OSError as error:
                self._tail.append(str(error))
                raise trouble() from None
            self._child = child
            if self._stop.is_set():
                _kill(child)
            for raw in child.stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                if loaded := _BYTES.match(line):
                    self._loaded(int(loaded[1]), int(loaded[2]))
                    continue
                if told := _SHARE.match(line):
                    self.fraction = max(self.fraction, self.base + self.share * int(told[1]) / 100)
                    continue
                log.write(line + "\n")
                log.flush()
                lines.append(line)
                if line.strip():
                    self._tail.append(line.strip())
                if seen := _SEEN.match(line):
                    self.detail = seen[1].rpartition("/")[2] + (f", {seen[2]}" if seen[2] else "")
            child.stdout.close()
            code = child.wait()
            self._child = None
        if self._stop.is_set():
            raise _Stopped
        if code:
            if keep_doctor:
                self.doctor = "\n".join(lines)
            raise trouble()
        return lines

    def _loaded(self, done: int, total: int) -> None:
        """So many bytes of a package are here: most of its share of the time."""
        if total:
            self.detail = f"{self.detail.partition(',')[0]}, {done / 1e6:.1f} of {total / 1e6:.1f} MB"
            self.fraction = max(self.fraction, self.base + 0.8 * self.share * done / total)

    def _note(self, text: str) -> None:
        with self.plan.log.open("a", encoding="utf-8") as log:
            log.write(f"\n{text}\n")

    @property
    def _last(self) -> str:
        """The line that tells most: the last that complains, else the last."""
        told = [line for line in self._tail if re.match(r"(ERROR|Error|Problem)\b", line)] or list(self._tail)
        return re.sub(r"^(ERROR|Error|Problem): *", "", told[-1]).rstrip(".") if told else "it says nothing"

    def _bridge_trouble(self, what: str) -> WorkerError:
        return WorkerError("set-up", f"The engine is installed but {what}: {self._last}.", f"See '{self.plan.log}'.")

    def _pip_trouble(self, what: str, package: str = "") -> WorkerError:
        """pip's many lines as one sentence with a cure."""
        said = "\n".join(self._tail)
        missing = _MISSING.findall(said)
        if missing and self.plan.wheels:
            name = missing[-1]
            sentence = f"The folder '{self.plan.wheels}' has no wheel of {name} that suits this Python and system."
            return WorkerError("package", sentence, f"Add it ('pip download' on a like machine), then: {AGAIN}")
        if "No space left" in said:
            return WorkerError("disk", f"{what}: the disk is full.", f"Free some space. {AGAIN}")
        if "DO NOT MATCH THE HASHES" in said:
            sentence = f"{what}: the file is not the one that was chosen, so it was refused."
            return WorkerError("package", sentence, f"Remove the engine, then set it up anew; see '{self.plan.log}'.")
        if _NETWORK.search(said):
            return WorkerError("network", f"{what}: the network does not answer.", f"Check network and proxy. {AGAIN}")
        if missing:
            sentence = f"There is no ready-made {missing[-1]} for this Python and system."
            return WorkerError("package", sentence, environment.PYTHON_CURE)
        return WorkerError("package", f"{what}: {self._last}.", f"See '{self.plan.log}'. {AGAIN}")


def _disk_trouble(plan: Plan, error: OSError) -> WorkerError:
    where = error.filename or plan.folder
    cure = "Choose another Set-Up Folder in the preferences, on a disk with free space."
    return WorkerError("disk", f"'{where}' cannot be written: {error.strerror or error}.", cure)


def _kill(child: subprocess.Popen) -> None:
    """The whole group: pip may have helpers."""
    with contextlib.suppress(OSError):
        if WINDOWS:
            child.kill()
        elif child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def _locked(plan: Plan):
    """Two Blenders do not set up the same environment at once. The system lets go of the lock of a dead one."""
    plan.folder.parent.mkdir(parents=True, exist_ok=True)
    with plan.folder.with_name("set-up.lock").open("a+b") as file:
        try:
            if WINDOWS:
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sentence = "Another Blender, or the rest of one that was killed, is setting up the engine just now."
            raise WorkerError("set-up", sentence, "Wait for it: the engine is shared.") from None
        yield file.fileno()


def _delete(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> threading.Thread:
    """Give the disk back: out of use at once, deleted in a thread. Raises WorkerError."""
    if environment.is_ours(folder) or not environment.leftovers(folder):
        environment.move_aside(folder)
    found = environment.leftovers(folder)
    thread = threading.Thread(target=_delete, args=(found,), daemon=True, name="skullptor-remove")
    thread.start()
    return thread


_alive: set[SetUp] = set()


def stop_all() -> None:
    """At unregister and at the end of Blender."""
    for running in list(_alive):
        running.cancel()
        running.join(2.0)


atexit.register(stop_all)
