"""make demo: the main job through the real add-on, on photographs that come with the repository.

Builds a scene with ten cameras, then runs the same operator as the button, headless. Leaves in demo/: scene.blend,
head.blend, head.ply, report.json, report.png. BLENDER=/path/to/blender uses an installed Blender.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo"


def blender_command(script: Path, blend: Path | None = None) -> list[str]:
    """Run a script inside the Blender that is there: an installed one, or the module in .venv-blender."""
    if installed := os.environ.get("BLENDER"):
        scene = [str(blend)] if blend else ["--factory-startup"]
        return [installed, "-b", *scene, "-P", str(script), "--"]
    python = ROOT / ".venv-blender" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return [str(python), str(script), *([str(blend)] if blend else []), "--"]


def step(what: str, command: list[str]) -> None:
    print(f"--- {what}", flush=True)
    start = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    print(f"    {time.monotonic() - start:.1f} s", flush=True)
    if code:
        sys.exit(code)


def main() -> None:
    scene = DEMO / "scene.blend"
    step(
        "Building a scene with ten cameras and their photographs",
        [*blender_command(DEMO / "make_scene.py"), str(DEMO / "capture"), str(scene)],
    )
    files = {"output": "head.blend", "ply": "head.ply", "report": "report.json", "picture": "report.png"}
    told = [word for name, file in files.items() for word in (f"--{name}", str(DEMO / file))]
    batch = blender_command(ROOT / "skullptor_blender" / "batch.py", scene)
    step("Reconstruct Head", [*batch, *told, "--preset", "standard"])
    report = json.loads((DEMO / "report.json").read_text(encoding="utf-8"))
    seconds = ", ".join(f"{stage.lower()} {value:.1f} s" for stage, value in report["seconds"].items())
    print(f"The head has {report['vertices']:,} vertices and took {report['seconds_total']:.1f} s ({seconds}).")
    print(f"Rendered normals differ from the predicted ones by {report['normal_error_deg']:.1f} degrees on average;")
    print(f"the silhouettes agree to {report['mask_iou']:.1%}. Pictures of every view: demo/report.png")


if __name__ == "__main__":
    main()
