"""Blender and the bridge together: many heads in one batch, two Blenders on one cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bridge.mesh import environment
from tests.support import ROOT

from . import ledger
from .processes import memory, those_of

FRAMES, WARM = 20, 5
BATCH = ROOT / "skullptor_blender" / "batch.py"
BLENDER = os.environ.get("SKULLPTOR_BLENDER_PYTHON") or ROOT / ".venv-blender" / "bin" / "python"
EMPTY = "import bpy, sys; bpy.ops.wm.read_factory_settings(use_empty=True); bpy.ops.wm.save_as_mainfile(filepath='{0}')"
QUICK = ("--preset", "draft", "--steps", "20", "--max-vertices", "1500", "--keep-world")

pytestmark = pytest.mark.skipif(not Path(BLENDER).is_file(), reason="Blender as a module is not set up (make setup)")


def start(place: Path, capture: Path, *words: str) -> subprocess.Popen:
    """A batch of its own in a session of its own."""
    place.mkdir(exist_ok=True)
    scene = place / "empty.blend"
    subprocess.run([BLENDER, "-c", EMPTY.format(scene)], check=True, capture_output=True, timeout=120)
    command = [BLENDER, BATCH, scene, "--", "--import", capture, "--ply", place / "head.ply", *QUICK, *words]
    variables = {
        "SKULLPTOR_BRIDGE_PYTHON": sys.executable,
        "SKULLPTOR_RUNS": str(place.parent / "runs"),
        "SKULLPTOR_CACHE": str(place.parent / "cache"),
        "NUMBA_CACHE_DIR": str(environment._kernel_folder()),  # compiled once for all
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*map(str, command)], env=os.environ | variables, cwd=place, start_new_session=True, **pipes
    )


def digests(place: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in place.glob("head_*.ply")}


def test_twenty_jobs_through_one_batch(capture, tmp_path):
    row = ledger.row(f"{FRAMES} jobs through one batch in Blender, one warm bridge")
    batch = start(tmp_path / "a", capture, "--normals", "measured", "--frames", f"1-{FRAMES}")
    held: dict[str, list[float]] = {"Blender": [], "bridge": []}
    for line in batch.stdout:
        if line.startswith("Wrote") and "head_" in line:
            held["Blender"].append(memory(batch.pid))
            held["bridge"].append(sum(memory(process) for process in those_of(tmp_path) if process != batch.pid))
    code, complaint = batch.wait(60), batch.stderr.read()
    heads = sorted((tmp_path / "a").glob("head_*.ply"))
    for _ in heads:
        row.case(code == 0)
    grown = {who: np.median(mb[-WARM:]) / np.median(mb[WARM : 2 * WARM]) for who, mb in held.items()}
    said = [f"{who} {mb[WARM]:.0f} MB after {WARM}, {mb[-1]:.0f} MB after {FRAMES}" for who, mb in held.items()]
    row.measured = f"{'; '.join(said)}; {len(digests(tmp_path / 'a'))} result"
    assert code == 0, complaint[-500:]
    assert len(heads) == FRAMES and len(digests(tmp_path / "a")) == 1
    assert max(grown.values()) < 1.05, held
    assert not those_of(tmp_path)


def test_two_blenders_on_one_cache(capture, tmp_path):
    row = ledger.row("two Blenders at once, predicted normals, on one cache and one folder of runs")
    batches = [start(tmp_path / name, capture, "--frames", "1-2", "--normals", "network") for name in "ab"]
    for batch, name in zip(batches, "ab", strict=True):
        _, complaint = batch.communicate(timeout=600)
        clean = batch.returncode == 0 and len(list((tmp_path / name).glob("head_*.ply"))) == 2
        row.case(clean, complaint[-300:])
    same = digests(tmp_path / "a") == digests(tmp_path / "b") and len(digests(tmp_path / "a")) == 1
    left = [path for folder in ("cache", "runs") for path in (tmp_path / folder).rglob("*.tmp")]
    row.measured = "the same head four times to the bit, no temporary file and no process left"
    assert not row.escapes, row.escapes
    assert same and not left and not those_of(tmp_path)
