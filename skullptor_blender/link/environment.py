"""The bridge's own Python environment: what it is made from, where it is, whether it is whole. No bpy.

An environment that we make holds three small files. The claim is written first and says that the folder is ours; the
lock holds the exact packages; the marker is written last, so that a half-made environment is never taken for a whole
one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from .worker import READY, WINDOWS, WorkerError, child_environment, environment_python

CLAIM = "skullptor.json"
LOCK = "packages.json"
DONE = "installed.txt"  # one line for each package that pip has finished
TOOLS = "calibrate"  # the extra that comes along with each of the others: Photographs to Cameras needs it
PINS = Path("bridge", "constraints.txt")  # the exact versions that a release was tested with
HASHES = Path("bridge", "hashes.txt")  # the SHA-256 of every file of those versions
OLDEST, NEWEST = (3, 11), (3, 14)  # Pythons for which the packages have wheels
_PROBE = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"
_PIP_VARIABLES = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT"}  # they would send packages elsewhere
DEBIAN_CURE = "On Debian and Ubuntu: sudo apt install python3-venv."
PYTHON_CURE = (
    "Install Python 3.11, 3.12 or 3.13 from python.org, or choose one as Python for Set Up in the preferences, under"
    " Advanced."
)


def requirements(root: Path, extra: str) -> list[str]:
    """The packages of an extra and of the tools, from the one place that names them. Raises WorkerError "set-up"."""
    try:
        body = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        extras = body["project"]["optional-dependencies"]
        return [*extras[extra], *extras.get(TOOLS, [])]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise WorkerError(
            "set-up", f"The add-on's list of packages is damaged ({error}).", "Install the add-on again."
        ) from None


def extra_for_machine() -> str:
    """Which of the project's extras suits this machine: an NVIDIA driver brings nvidia-smi along."""
    found = shutil.which("nvidia-smi") is not None
    if not found and WINDOWS:
        system = Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvidia-smi.exe"
        found = system.is_file()
    return "cuda" if found else "bridge"


def pins(root: Path) -> str:
    """The tested versions, as pip's constraints; empty where there are none."""
    with contextlib.suppress(OSError):
        return (root / PINS).read_text(encoding="utf-8")
    return ""


def canonical(name: str, version: str) -> str:
    """One spelling of a pin: "pillow_heif" and "Pillow-HEIF" are one package (PEP 503)."""
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def hashes(root: Path) -> dict[str, set[str]]:
    """ "numpy==2.4.6" -> the SHA-256 of its files, one for each system; empty where there is no such list."""
    found: dict[str, set[str]] = {}
    with contextlib.suppress(OSError):
        text = (root / HASHES).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            pin, *options = line.split() or ["#"]
            if not pin.startswith("#"):
                found[canonical(*pin.split("=="))] = {option.removeprefix("--hash=sha256:") for option in options}
    return found


def digest(packages: Sequence[str], python: str = "", pins: str = "") -> str:
    """A name for what an environment is made from; another name means: make it again."""
    text = "\n".join([*sorted(packages), python, platform.machine(), pins])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def name_of(requirement: str) -> str:
    """ "numpy>=2.0,<2.5" -> "numpy"."""
    return re.split(r"[\s<>=!~\[;(@]", requirement.strip(), maxsplit=1)[0]


def pip_environment() -> dict[str, str]:
    """As for the bridge, and pip writes into the environment only. A proxy or a mirror of the user's stays."""
    kept = {key: value for key, value in child_environment().items() if key not in _PIP_VARIABLES}
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def read_json(path: Path) -> dict:
    """An empty one where there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError):
        body = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(body, dict):
            return body
    return {}


def write_json(path: Path, body: dict) -> None:
    """It appears under its name only when it is whole."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
    temporary.replace(path)


def is_ours(folder: Path) -> bool:
    return (folder / CLAIM).is_file()


def is_ready(folder: Path) -> bool:
    """Made to its end, and its Python is there."""
    return (folder / READY).is_file() and environment_python(folder).is_file()


def is_current(folder: Path, root: Path) -> bool:
    """Made from the packages that this version of the add-on names."""
    made = read_json(folder / READY)
    try:
        wanted = requirements(root, str(made.get("extra", "bridge")))
        return made.get("requirements") == wanted and made.get("pins", "") == pins(root)
    except WorkerError:
        return True


def candidates(chosen: str = "") -> Iterator[list[str]]:
    """Commands that may start a Python, the best first. Blender's own makes an environment; nothing is put into it."""
    if chosen:
        yield [chosen]
        return
    if Path(sys.executable).stem.lower().startswith("python"):
        yield [sys.executable]
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        if found := shutil.which(name):
            yield [found]
    if WINDOWS and (launcher := shutil.which("py")):
        for version in ("3.13", "3.12", "3.11"):
            yield [launcher, f"-{version}"]


def base_python(chosen: str = "") -> tuple[str, str]:
    """(path, "3.11") of a Python that can make environments. Asks each: not for the window's thread.

    Raises WorkerError "no-python".
    """
    tried, lacks_venv = "", False
    for command in candidates(chosen):
        try:
            done = subprocess.run(
                [*command, "-I", "-c", _PROBE],
                capture_output=True,
                timeout=30,
                stdin=subprocess.DEVNULL,
                env=pip_environment(),
                **({"creationflags": 0x08000000} if WINDOWS else {}),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            tried = f"'{command[0]}' cannot be started: {getattr(error, 'strerror', None) or error}."
            continue
        answer = done.stdout.decode("utf-8", "replace").split(maxsplit=1)
        if done.returncode or len(answer) < 2:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            lacks_venv = lacks_venv or bool(last and "ensurepip" in last[0])
            tried = f"'{command[0]}' cannot be used for the set-up: {last[0] if last else 'it says nothing'}."
            continue
        version = tuple(int(part) for part in answer[0].split("."))
        if OLDEST <= version <= NEWEST:
            return answer[1].strip(), answer[0]
        tried = f"'{command[0]}' is Python {answer[0]}; the engine needs 3.11 to 3.14."
    cure = f"{DEBIAN_CURE} {PYTHON_CURE}" if lacks_venv and not WINDOWS else PYTHON_CURE
    if chosen:
        raise WorkerError("no-python", tried, cure)
    raise WorkerError("no-python", f"No suitable Python was found. {tried}".strip(), cure)


def size(folder: Path) -> int:
    """Bytes on the disk, for the preferences; a walk over thousands of files, so not for each redraw."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - a Path for each of 60,000 is slow
    return total


def leftovers(folder: Path) -> list[Path]:
    """What Blender's end kept a Remove from deleting."""
    return [path for path in folder.parent.glob(f"{folder.name}.removed-*") if path.is_dir()]


def move_aside(folder: Path) -> Path:
    """Take our environment out of use at once; what is left to do is to delete what is returned. Raises WorkerError."""
    if not is_ours(folder):
        raise WorkerError(
            "set-up", f"'{folder}' was not made by this add-on, so it stays.", "Delete it yourself if you want to."
        )
    aside = folder.with_name(f"{folder.name}.removed-{uuid.uuid4().hex[:8]}")
    try:
        (folder / READY).unlink(missing_ok=True)
        return folder.replace(aside)
    except OSError as error:
        cure = "Close other Blenders that use it, then remove it again."
        raise WorkerError("set-up", f"'{folder}' cannot be removed: {error.strerror or error}.", cure) from None
