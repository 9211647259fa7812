"""python -m bridge doctor: facts about this machine as one JSON object. Top level: standard library only.

Every library is imported in a child process, so that one that crashes on import is named instead of taking us along.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from .protocol import PROTOCOL, VERSION

# package -> what it is for; the first group is needed for any reconstruction
NEEDED = {
    "numpy": "arrays",
    "numba": "the CPU solver",
    "scipy": "alignment",
    "cv2": "images",
    "PIL": "images",
    "OpenEXR": "images",
    "onnxruntime": "normal prediction",
    "rich": "terminal output",
}
OPTIONAL = {
    "cupy": "the GPU rasteriser",
    "pycolmap": "cameras from photographs",
    "torch": "training",
    "nvdiffrast": "an optional rasteriser (non-commercial licence)",
}
_PROBE = "import importlib, sys; m = importlib.import_module(sys.argv[1]); print(getattr(m, '__version__', 'present'))"
_GPU_PROBE = """
try:
    import cupy
    print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
except Exception:
    import torch
    print(torch.cuda.get_device_name(0))
"""
_SOLVE_PROBE = """
import json
from bridge.raster import available
print(json.dumps(available()))
"""
_PREDICT_PROBE = """
import json
from bridge.normals import make_predictor
predictor = make_predictor("network", "auto")
print(json.dumps({"name": predictor.name, "provider": predictor.provider}))
"""


def _child(code: str, *arguments: str) -> tuple[bool, str]:
    """Run Python code in a child; (worked, its last line of output or of its error)."""
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"exit code {done.returncode}"


def facts() -> dict:
    """What support needs to know. "problems" holds one sentence with a cure for each thing that stops a run."""
    found: dict = {
        "skullptor": VERSION,
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {},
        "problems": [],
    }
    for package, purpose in (NEEDED | OPTIONAL).items():
        works, answer = _child(_PROBE, package)
        found["packages"][package] = answer if works else None
        if not works and package in NEEDED:
            cure = f"Press Set Up in the add-on's preferences, or {sys.executable} -m pip install '.[bridge]'."
            found["problems"].append(f"{package} ({purpose}) does not load: {answer}. {cure}")
    works, answer = _child(_GPU_PROBE)
    found["gpu"] = answer if works else "none found"
    if not found["problems"]:
        works, answer = _child(_SOLVE_PROBE)
        found["rasterisers"] = json.loads(answer) if works else {}
        if not works:
            found["problems"].append(f"The solver does not load: {answer}. Reinstall the bridge.")
        works, answer = _child(_PREDICT_PROBE)
        found["normals"] = json.loads(answer) if works else None
        if not works:
            found["problems"].append(f"The normal network does not load: {answer}. Reinstall the bridge.")
    return found


def main(argv: list[str]) -> int:
    """Exit code 0 when a reconstruction can run, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m bridge doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON only")
    options = parser.parse_args(argv)
    found = facts()
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        for key, value in found.items():
            if key == "problems":
                continue
            if isinstance(value, dict):
                print(f"{key}:")
                for name, entry in value.items():
                    print(f"  {name:14} {entry or 'usable' if key == 'rasterisers' else entry or 'not installed'}")
            else:
                print(f"{key:12} {value}")
        print("\n".join(f"Problem: {problem}" for problem in found["problems"]) or "Everything needed is here.")
    return 1 if found["problems"] else 0
