"""What a function is told fits into five names; more becomes a record (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 5  # parameters that a call must give, or may give by position; self and cls do not count
MOST_OPTIONS = 4  # further ones: keyword-only, with a default, so that each is named where it is given
COMPILED = ("njit", "jit", "cuda.jit")  # numba's kernels take arrays and numbers, no records


def too_long(source: str) -> list[tuple[str, int, int]]:
    """Functions whose parameter list is too long: name, parameters, options."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any(ast.unparse(mark).split("(")[0] in COMPILED for mark in node.decorator_list):
            continue
        listed = node.args
        given = [arg.arg for arg in listed.posonlyargs + listed.args if arg.arg not in ("self", "cls")]
        options = [arg.arg for arg, default in zip(listed.kwonlyargs, listed.kw_defaults) if default is not None]
        count = len(given) + len(listed.kwonlyargs) - len(options)
        if count > MOST or len(options) > MOST_OPTIONS:
            found.append((node.name, count, len(options)))
    return found


@pytest.mark.parametrize("program", ["bridge", "skullptor_blender"])
def test_no_parameter_list_is_too_long(program):
    found = {}
    for path in sorted((ROOT / program).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if long := too_long(path.read_text(encoding="utf-8")):
            found[name] = long
    assert not found, "make a record of what belongs together, or options of what has a default"


def test_what_counts():
    six = "def f(a, b, c, d, e, g{}): pass"
    assert too_long(six.format("")) == [("f", 6, 0)]
    assert too_long(six.format("=0")) == [("f", 6, 0)]  # by position all the same
    assert not too_long("@njit(cache=True)\n" + six.format(""))
    assert not too_long("class C:\n    def f(self, a, b, c, d, e): pass")
    assert not too_long("def f(a, b, c, d, e, *, g=0, h=0, i=0, j=0): pass")
    assert too_long("def f(a, b, c, d, e, *, g): pass") == [("f", 6, 0)]  # must be given
    assert too_long("def f(a, *, g=0, h=0, i=0, j=0, k=0): pass") == [("f", 1, 5)]
