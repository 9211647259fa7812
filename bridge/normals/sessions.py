"""ONNX Runtime sessions: the best provider present, checked weights."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..errors import Cancelled

WATCH_SECONDS = 0.03  # between two looks whether a run is still wanted
NO_MEMORY = (  # what ONNX Runtime, the loader and OpenCV say of it
    "bad_alloc", "Failed to allocate memory", "Cannot allocate memory", "failed to map segment", "Insufficient memory",
)  # fmt: skip
SKIPPED = ("TensorrtExecutionProvider", "AzureExecutionProvider")  # minutes of compiling; remote


def out_of_memory(error: Exception) -> bool:
    """Whether a library that knows no MemoryError means one."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def providers(device: str) -> list[str]:
    """Providers to ask for, best first. device: "auto", or a provider's short name such as "cpu"."""
    import onnxruntime

    present = [p for p in onnxruntime.get_available_providers() if p not in SKIPPED]
    short = {p.removesuffix("ExecutionProvider").lower(): p for p in present}
    if device == "auto":
        return present
    if device not in short:
        raise ValueError(
            f"ONNX Runtime cannot use the device '{device}' here (it offers {', '.join(sorted(short))}); choose one of "
            "these or install another ONNX Runtime package."
        )
    return list(dict.fromkeys([short[device], "CPUExecutionProvider"]))


def session(path: Path, device: str):
    """An inference session of one ONNX file."""
    import onnxruntime

    asked = providers(device)
    if asked[0] != "CPUExecutionProvider" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # the card's libraries lie in wheels of their own, where no loader looks for them
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        made = onnxruntime.InferenceSession(str(path), options, providers=asked)
        if device != "auto" and made.get_providers()[0] != asked[0]:  # it falls back to the CPU without a word
            raise ValueError(
                f"ONNX Runtime cannot use the device '{device}' that was asked for: its libraries are here, but find "
                "no card or driver that they fit. Choose auto or cpu, or update the driver."
            )
        return made
    except ValueError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError from error
        reason = str(error).splitlines()[0]
        raise RuntimeError(f"ONNX Runtime cannot load the weights {path.name}: {reason}; fetch them again.") from error


def run(model, feed: Mapping[str, np.ndarray], cancelled: Callable[[], bool]) -> list[np.ndarray]:
    """The outputs of a model. A run takes seconds on a slow machine, so one that is no longer wanted is stopped
    between two of its layers. Raises Cancelled.
    """
    import onnxruntime

    options, over = onnxruntime.RunOptions(), threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if cancelled():
                options.terminate = True
                return

    if cancelled():
        raise Cancelled
    watcher = threading.Thread(target=watch, daemon=True, name="cancel")
    watcher.start()
    try:
        return model.run(None, dict(feed), options)
    except Exception as error:
        if options.terminate:
            raise Cancelled from None
        if out_of_memory(error):
            raise MemoryError from error
        raise
    finally:
        over.set()
        watcher.join()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(folder: Path, record_name: str, role: str | None = None) -> dict:
    """The record of a set of weights, after its files (or that of one role) were found and their checksums agree.

    The record: {"name", "input", "files": {role: {"file", "sha256"}}}.
    """
    path = folder / record_name
    if not path.is_file():
        raise ValueError(f"The weights' record {record_name} is missing in {folder}; restore it from the release.")
    record = json.loads(path.read_text(encoding="utf-8"))
    for entry in [record["files"][role]] if role else record["files"].values():
        file = folder / entry["file"]
        if not file.is_file():
            raise ValueError(f"The weights file {entry['file']} is missing in {folder}; restore it from the release.")
        if sha256(file) != entry["sha256"]:
            raise ValueError(
                f"The weights file {entry['file']} in {folder} has another checksum than {record_name} says; restore "
                "both from the release."
            )
    return record


def weights_folder(name: str) -> Path:
    """Where a fetched set lies: SKULLPTOR_WEIGHTS/NAME or the user's data folder."""
    root = os.environ.get("SKULLPTOR_WEIGHTS")
    if root:
        return Path(root) / name
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share"))
    return base / "skullptor" / "weights" / name
