"""The habits of CONTRIBUTING.md, as far as a machine can hold them: linting, types, the targets of make."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support import ROOT

PROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PROJECT_TEXT)["tool"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_naming_bugs_simplicity_and_docstrings_are_looked_at():
    assert {"N", "B", "SIM", "D"} <= set(PROJECT["ruff"]["lint"]["select"])


def test_every_rule_that_is_off_has_a_reason():
    block = PROJECT_TEXT[PROJECT_TEXT.index("\nignore = [") :]
    lines = [line.strip() for line in block[: block.index("\n]")].splitlines()]
    rules = [line for line in lines if line.startswith('"')]
    assert len(rules) == len(PROJECT["ruff"]["lint"]["ignore"])
    assert [rule for rule in rules if not re.fullmatch(r'"\w+", # \S.*', rule)] == []
    table = PROJECT_TEXT[PROJECT_TEXT.index("[tool.ruff.lint.per-file-ignores]") :].split("\n\n")[0]
    assert all("  # " in line for line in table.splitlines()[1:])


def test_types_are_checked_in_all_that_imports_no_bpy():
    assert {"bridge", "bench", "skullptor_blender/link"} <= set(PROJECT["mypy"]["files"])
    assert not any(override.get("ignore_errors") for override in PROJECT["mypy"]["overrides"])
    for file in (*(ROOT / "bridge").rglob("*.py"), *(ROOT / "skullptor_blender/link").rglob("*.py")):
        assert "# mypy: ignore-errors" not in file.read_text(encoding="utf-8"), file.name


@pytest.mark.parametrize("tool", ["ruff check", "ruff format", "mypy"])
def test_a_commit_is_looked_at_as_lint_does(tool):
    assert f"-m {tool}" in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert f"-m {tool}" in MAKEFILE[MAKEFILE.index("\nlint:") :].split("\n\n")[0]


def test_make_help_tells_every_target():
    targets = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert targets
    told = dict(re.findall(r"^([a-z-]+):.*?## (\S.*)$", MAKEFILE, re.MULTILINE))
    assert [target for target in targets[1].split() if target not in told] == []
