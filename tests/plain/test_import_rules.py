"""The rules of direction (docs/architecture.md), read from the source and proved in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = set(sys.stdlib_module_names)

# Each room imports from those before it only. A new package takes its place here.
ORDER = {
    "bridge": (
        "errors", "files", "side_by_side", "service", "capture", "mattes", "head", "device", "mesh", "raster", "solve",
        "photometric", "report", "normals", "check", "refine", "importers", "calibrate", "texture", "model", "wrap",
        "prior", "job", "sequence", "training", "__main__",
    ),
    "skullptor_blender": ("presets", "link", "scene", "ui", "operators", "headless", "batch"),
}  # fmt: skip
AT_THE_ROOT = {
    "bridge": {"__init__", "__main__", "errors", "files", "side_by_side"},
    "skullptor_blender": {"__init__", "batch"},
}


def imports(path: Path, top_level_only: bool = False, root: Path = ROOT) -> set[str]:
    """Absolute dotted names of all modules that a file imports, relative ones resolved inside the repository."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(root).parts[:-1]
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


def files(folder: str, root: Path = ROOT) -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def module(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def arrows(program: str, root: Path = ROOT) -> dict[str, set[str]]:
    """Which files of a program each of its files imports; a package stands for its __init__ where it is asked for a
    name that is no module."""
    paths = {module(path, root): path for path in files(program, root)}
    found = {}
    for name, path in paths.items():
        wanted = imports(path, root=root)
        # `from package import module` names both; only the module is meant
        parents = {other.rpartition(".")[0] for other in wanted if other in paths}
        named = {other.rpartition(".")[0] for other in wanted if other not in paths}
        found[name] = {other for other in wanted if other in paths and (other not in parents or other in named)}
        found[name] -= {name}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Files that import each other in a ring; empty where there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def reaches(names: set[str], target: str) -> bool:
    return any(name == target or name.startswith(target + ".") for name in names)


@pytest.mark.parametrize("program", ORDER)
def test_no_file_imports_one_that_imports_it(program):
    assert circle(arrows(program)) == []


@pytest.mark.parametrize("program", ORDER)
def test_no_arrow_goes_up(program):
    order, wrong = ORDER[program], []
    for name, others in arrows(program).items():
        room = name.split(".")[1] if "." in name else None
        for other in others:
            theirs = other.split(".")[1] if "." in other else None
            if room is None or theirs is None or room == theirs:
                continue
            if order.index(theirs) > order.index(room):
                wrong.append(f"{name} -> {other}")
    assert not wrong


@pytest.mark.parametrize("program", ORDER)
def test_every_room_has_its_place_in_the_order_and_nothing_else_lies_at_the_root(program):
    rooms = {path.stem if path.suffix else path.name for path in (ROOT / program).iterdir() if is_room(path)}
    assert rooms - {"__init__"} == set(ORDER[program])
    assert {path.stem for path in (ROOT / program).glob("*.py")} == AT_THE_ROOT[program]


def is_room(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))


def test_a_circle_and_an_arrow_up_would_be_found(tmp_path):
    (tmp_path / "house" / "low").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "low/__init__": "",
        "low/a": "from ..high import b\n",
        "high": "from .low.a import x\nb = 1\n",
    }.items():
        (tmp_path / "house" / f"{name}.py").write_text(text)
    graph = arrows("house", tmp_path)
    assert graph["house.low.a"] == {"house.high"}
    assert circle(graph) == ["house.high", "house.low.a", "house.high"]


@pytest.mark.parametrize("path", files("skullptor_blender"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_addon_takes_only_the_protocol_from_the_bridge(path):
    names = {n for n in imports(path) if n == "bridge" or n.startswith("bridge.")}
    allowed = {"bridge", "bridge.service", "bridge.service.protocol"}
    assert all(n in allowed or n.startswith("bridge.service.protocol.") for n in names), names


@pytest.mark.parametrize("path", files("bridge"), ids=lambda p: p.relative_to(ROOT / "bridge").as_posix())
def test_the_bridge_never_sees_blender(path):
    names = imports(path)
    for forbidden in ("skullptor_blender", "bpy", "mathutils", "gpu", "pickle", "cPickle", "shelve"):
        assert not reaches(names, forbidden), forbidden


PURE = [
    *files("skullptor_blender/link"),
    *(
        ROOT / "skullptor_blender" / f"{name}.py"
        for name in ("scene/conventions", "scene/upright", "ui/text", "ui/report_table")
    ),
]


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_pure_half_of_the_addon_needs_no_blender(path):
    for forbidden in ("bpy", "mathutils", "gpu"):
        assert not reaches(imports(path), forbidden), forbidden


@pytest.mark.parametrize(
    "name", ["service/protocol", "service/wire", "service/dummy", "files", "errors", "side_by_side"]
)
def test_standard_library_only(name):
    for imported in imports(ROOT / "bridge" / f"{name}.py"):
        assert imported.split(".")[0] in STDLIB | {"bridge", "__future__"}, imported


@pytest.mark.parametrize("name", ["service/doctor", "service/__init__", "job/__init__", "__main__", "job/serve"])
def test_top_level_is_standard_library_only(name):
    for imported in imports(ROOT / "bridge" / f"{name}.py", top_level_only=True):
        assert imported.split(".")[0] in STDLIB | {"bridge", "__future__"}, imported


# The engine is array functions: it knows cameras and where a head is, but no jobs, files or messages.
KNOWN_TO_THE_ENGINE = {"cameras", "framing", "normal_map"}


@pytest.mark.parametrize("folder", ["device", "mesh", "raster", "solve", "photometric"])
def test_the_engine_knows_no_jobs_files_or_messages(folder):
    for path in files(f"bridge/{folder}"):
        names = imports(path)
        for forbidden in ("job", "service", "report"):
            assert not reaches(names, f"bridge.{forbidden}"), (path.name, forbidden)
        inside = {name.split(".")[2] for name in names if name.startswith("bridge.capture.")}
        assert inside <= KNOWN_TO_THE_ENGINE, path.name


def test_progress_is_told_by_the_job_and_the_commands_only():
    """A room takes functions that check and count; the Reporter itself stays with those who own a run."""
    allowed = {"job", "service", "calibrate", "sequence"}
    for path in files("bridge"):
        room = path.relative_to(ROOT / "bridge").parts[0]
        assert room in allowed or not reaches(imports(path), "bridge.service.reporter"), path


def test_the_devices_name_appears_in_backends_and_choices_only():
    allowed = {"doctor.py", "protocol.py"}
    for path in files("bridge"):
        inside = path.relative_to(ROOT / "bridge")
        if inside.parts[0] in ("raster", "training") or path.name in allowed or inside.parts[:1] == ("normals",):
            continue  # training and ONNX Runtime's provider names take a device's name from the user
        assert '"cuda"' not in path.read_text(encoding="utf-8"), inside


def test_importing_the_job_needs_no_torch():
    pytest.importorskip("numba")
    code = "import sys, bridge.job.runner; print([m for m in ('torch', 'onnx', 'bpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_runs_on_a_bare_python():
    """-S -I hides every installed package: `--help`, the doctor's top level and the dummy still load."""
    bare = "bridge.__main__, bridge.service.doctor, bridge.service.dummy, bridge.job.serve"
    code = f"import sys; sys.path.insert(0, '.'); import {bare}"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], cwd=ROOT, check=True, timeout=60)
