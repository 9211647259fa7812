"""What users of earlier versions typed into a shell still works: every command, every option."""

from __future__ import annotations

import json
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
