"""The zip as Blender's own builder makes it: valid, complete, small, and it works when installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import bpy
import pytest
import skullptor_extension

from tests.support import ROOT

SCRIPTS = Path(bpy.utils.resource_path("LOCAL")) / "scripts"
TOOL = SCRIPTS / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
TAGS = SCRIPTS / "modules" / "_bpy_internal" / "extensions" / "tags.py"


def tool(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Built from a copy of what git knows, as a release would be."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("zip")
    tool("build", "--source-dir", source, "--output-dir", out)
    (path,) = out.glob("*.zip")
    return path


def test_the_manifest_and_the_zip_are_valid(archive):
    tool("validate", "--valid-tags", TAGS, ROOT)
    tool("validate", "--valid-tags", TAGS, archive)


def test_what_is_in_the_zip(archive):
    names = zipfile.ZipFile(archive).namelist()
    for needed in (
        "blender_manifest.toml",
        "__init__.py",
        "LICENSE",
        "skullptor_blender/ui/panels/__init__.py",
        "skullptor_blender/batch.py",
        "bridge/__main__.py",
        "bridge/service/protocol.py",
        "pyproject.toml",
        "demo/capture/capture.json",
    ):
        assert needed in names
    for name in names:
        assert not name.startswith(("tests/", "docs/", ".", "bench/")), name
        assert not name.startswith("demo/") or name.startswith("demo/capture/"), name
        assert "__pycache__" not in name
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = set(listed.split())
    assert {name for name in tracked if name.startswith("skullptor_blender/")} <= set(names)
    weights = sum(i.file_size for i in zipfile.ZipFile(archive).infolist() if i.filename.endswith((".onnx", ".npz")))
    assert archive.stat().st_size - weights < 2_000_000


def test_it_works_when_installed(archive, capture):
    """Catches absolute imports and wrong package names, which a checkout hides."""
    skullptor_extension.unregister()
    module = "bl_ext.user_default.skullptor_blender"
    try:
        bpy.ops.extensions.package_install_files(
            filepath=str(archive), repo="user_default", enable_on_install=True, overwrite=True
        )
        assert module in bpy.context.preferences.addons
        assert bpy.context.preferences.addons[module].preferences.bridge_python == ""
        assert bpy.ops.skullptor.import_capture(filepath=str(capture)) == {"FINISHED"}
        assert bpy.ops.skullptor.reconstruct_head() == {"FINISHED"}
        assert len(bpy.data.objects["Head"].data.vertices) > 100
        sys.modules[f"{module}.skullptor_blender.link.worker"].stop_all()
    finally:
        if module in bpy.context.preferences.addons:
            bpy.ops.preferences.addon_disable(module=module)
        skullptor_extension.register()
