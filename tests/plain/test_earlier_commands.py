"""What users of earlier versions typed into a shell still works: every command, every option."""

from __future__ import annotations

import contextlib
import json
import os
import re

import pytest

from bridge.__main__ import COMMANDS, main
from tests.support import ROOT

# what stood before the rooms were moved; a name that goes from here has to become an alias
NAMES = json.loads((ROOT / "tests/support/earlier/names.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", NAMES["bridge commands"])
def test_a_command_still_knows_its_options(command, capsys):
    assert command in COMMANDS
    try:
        lacking = main([command, "--help"])
    except SystemExit:
        lacking = 0
    if lacking:
        pytest.skip(f"this Python lacks what {command} needs")
    known = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
    assert set(NAMES["bridge commands"][command]) <= known


@pytest.mark.parametrize("command", ["serve", "reconstruct", "wrap", "sequence"])
def test_linear_algebra_has_one_thread_unless_told_otherwise(command, monkeypatch, capsys):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # what it was is put back at the end
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    for told, threads in ((None, "1"), ("3", "3")):
        if told is not None:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", told)
        with contextlib.suppress(SystemExit):
            main([command, "--help"])
        assert os.environ["OPENBLAS_NUM_THREADS"] == threads
