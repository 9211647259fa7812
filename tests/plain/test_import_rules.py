"""The rules of direction (design.md section 1), read from the source and proved in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = set(sys.stdlib_module_names)


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Absolute dotted names of all modules that a file imports, relative ones resolved inside the repository."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join((*base, *([node.module] if node.module else [])))
            found.add(prefix)
            found |= {f"{prefix}.{alias.name}" for alias in node.names}
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def reaches(names: set[str], target: str) -> bool:
    return any(name == target or name.startswith(target + ".") for name in names)


@pytest.mark.parametrize("path", files("skullptor_blender"), ids=lambda p: p.name)
def test_the_addon_takes_only_the_protocol_from_the_bridge(path):
    names = {n for n in imports(path) if n == "bridge" or n.startswith("bridge.")}
    allowed = {"bridge", "bridge.protocol"}
    assert all(n in allowed or n.startswith("bridge.protocol.") for n in names), names


@pytest.mark.parametrize("path", files("bridge"), ids=lambda p: p.relative_to(ROOT / "bridge").as_posix())
def test_the_bridge_never_sees_blender(path):
    names = imports(path)
    for forbidden in ("skullptor_blender", "bpy", "mathutils", "gpu", "pickle", "cPickle", "shelve"):
        assert not reaches(names, forbidden), forbidden


PURE = (
    "capture_draft", "preview_reader", "result_file",
    "conventions", "preflight", "worker", "job", "text", "run_files", "image_header", "reference_names", "session",
    "environment", "setup", "errand", "report_table", "capture_formats", "upright",
)  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_the_pure_half_of_the_addon_needs_no_blender(name):
    assert not reaches(imports(ROOT / "skullptor_blender" / f"{name}.py"), "bpy")


@pytest.mark.parametrize("name", ["protocol", "wire", "dummy", "files", "errors"])
def test_standard_library_only(name):
    for module in imports(ROOT / "bridge" / f"{name}.py"):
        assert module.split(".")[0] in STDLIB | {"bridge", "__future__"}, module


@pytest.mark.parametrize("name", ["doctor", "__main__", "serve"])
def test_top_level_is_standard_library_only(name):
    for module in imports(ROOT / "bridge" / f"{name}.py", top_level_only=True):
        assert module.split(".")[0] in STDLIB | {"bridge", "__future__"}, module


@pytest.mark.parametrize("folder", ["mesh", "raster", "solve"])
def test_the_engine_knows_no_jobs_files_or_messages(folder):
    for path in files(f"bridge/{folder}"):
        names = imports(path)
        for forbidden in ("job", "protocol", "wire", "capture", "images", "results", "serve", "cli"):
            if forbidden == "images" and folder == "raster":
                continue  # raster has its own module of that name
            assert not reaches(names, f"bridge.{forbidden}"), (path.name, forbidden)


def test_the_devices_name_appears_in_backends_and_choices_only():
    allowed = {"doctor.py", "protocol.py"}
    for path in files("bridge"):
        inside = path.relative_to(ROOT / "bridge")
        if inside.parts[0] in ("raster", "training") or path.name in allowed or inside.parts[:1] == ("normals",):
            continue  # training and ONNX Runtime's provider names take a device's name from the user
        assert '"cuda"' not in path.read_text(encoding="utf-8"), inside


def test_importing_the_job_needs_no_torch():
    pytest.importorskip("numba")
    code = "import sys, bridge.job; print([m for m in ('torch', 'onnx', 'bpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_runs_on_a_bare_python():
    """-S -I hides every installed package: `--help`, the doctor's top level and the dummy still load."""
    code = "import sys; sys.path.insert(0, '.'); import bridge.__main__, bridge.doctor, bridge.dummy, bridge.serve"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], cwd=ROOT, check=True, timeout=60)
