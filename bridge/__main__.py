"""python -m bridge COMMAND: one table of commands, each imported only when it is called. Standard library only.

From any other folder: python FOLDER/bridge COMMAND, where FOLDER holds bridge/.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from pathlib import Path

# command -> (module, function, what it does)
COMMANDS = {
    "reconstruct": ("bridge.job.cli", "reconstruct", "photographs and cameras in, a head mesh out"),
    "sequence": ("bridge.sequence.cli", "main", "every frame of a performance, on one machine or on many"),
    "wrap": ("bridge.job.wrap", "main", "a template with clean topology onto a head: quads, UVs, 52 shapes"),
    "check": ("bridge.job.check", "main", "name the camera, photograph or mask that cannot be right"),
    "texture": ("bridge.job.texture", "main", "the photographs as maps on a mesh's UVs: albedo, normals, displacement"),
    "normals": ("bridge.job.cli", "normals", "camera-space normal maps, masks and a contact sheet"),
    "evaluate": ("bridge.report.evaluate", "main", "the paper's metrics of a mesh against a capture's ground truth"),
    "import": ("bridge.importers.cli", "import_main", "a capture from COLMAP, Metashape, RealityCapture and others"),
    "calibrate": ("bridge.calibrate.cli", "calibrate_main", "a capture from nothing but photographs"),
    "photo": ("bridge.job.photo", "main", "a capture from one to five photographs of a face, cameras made"),
    "scale": ("bridge.calibrate.cli", "scale_main", "tell a capture its scale from a known length"),
    "export-cameras": ("bridge.importers.cli", "export_main", "a capture's cameras for COLMAP or as transforms.json"),
    "undistort": (
        "bridge.capture.undistort",
        "main",
        "a capture with straight photographs, for Blender's cameras",
    ),
    "train": ("bridge.training.cli", "train_main", "train the normal network on rendered heads"),
    "train-head-model": ("bridge.training.head_model", "main", "train the statistical head for few photographs"),
    "export": ("bridge.training.cli", "export_main", "write trained weights as ONNX"),
    "weights": ("bridge.model.fetch", "main", "where weights are; fetch DAViD's, landmarks or hm08 on request"),
    "doctor": ("bridge.service.doctor", "main", "facts about this machine: devices, libraries, weights"),
    "warm": ("bridge.job.cli", "warm", "compile the solver once and keep it in the cache"),
    "serve": ("bridge.job.serve", "main", "answer the add-on on stdin and stdout"),
    "dummy": ("bridge.service.dummy", "main", "play a run without solving anything, for tests"),
}

LEASH = "SKULLPTOR_LEASH"  # set by the add-on: leave when stdin closes, because then Blender is gone


def follow_stdin() -> None:
    """Read stdin to its end, then end this process: whoever started it is gone."""
    while os.read(0, 4096):  # not through sys.stdin, whose lock would bring the interpreter down at its end
        pass
    os._exit(1)


def main(argv: list[str]) -> int:
    """Run a command by its name. Exit codes: 0 done, 1 a clear error was printed, 2 bad usage."""
    try:
        code = play(argv)
        sys.stdout.flush()  # a reader that has left is met here, not while the interpreter ends
        return code
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`: whoever read our lines has left, and so do we, without writing at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def play(argv: list[str]) -> int:
    """Find the command in the table, import it and call it."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m bridge COMMAND [options]\n")
        for name, (_, _, what) in COMMANDS.items():
            print(f"  {name:14} {what}")
        return 0 if argv else 2
    if argv[0] == "--version":
        from bridge.service.protocol import VERSION

        print(VERSION)
        return 0
    if argv[0] not in COMMANDS:
        print(f"There is no command '{argv[0]}'. Choose one of: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    # Before NumPy is imported: many small systems gain nothing from more threads, which spin. A wrap takes three times
    # the CPU time with them, a head at standard a twelfth more
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module, function, _ = COMMANDS[argv[0]]
    try:
        return getattr(importlib.import_module(module), function)(argv[1:])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "bridge":
            raise
        print(
            f"This Python lacks the package '{error.name}'. Install the bridge's packages: "
            f"{sys.executable} -m pip install '.[bridge]' (for training '.[bridge,train]').",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    if not __package__:  # python FOLDER/bridge ...: a render farm has no working folder to start it in
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    if os.environ.get(LEASH):
        threading.Thread(target=follow_stdin, daemon=True, name="leash").start()
    sys.exit(main(sys.argv[1:]))
