"""The page for pipeline engineers names every operator, keyword and option, and none that is not there."""

from __future__ import annotations

import re

import bpy
from skullptor_extension.skullptor_blender.headless import options

from tests.support import ROOT


def test_every_operator_and_keyword_is_documented():
    page = (ROOT / "docs" / "pipeline" / "batch.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    checked = 0
    for name in dir(bpy.ops.skullptor):
        cls = bpy.types.Operator.bl_rna_get_subclass_py(f"SKULLPTOR_OT_{name}")
        if name.startswith("_") or "INTERNAL" in getattr(cls, "bl_options", set()) and not name.startswith("set_up"):
            continue
        told = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        assert told, f"{name} is not in docs/pipeline/batch.md"
        properties = getattr(bpy.ops.skullptor, name).get_rna_type().properties
        for keyword in (p.identifier for p in properties if p.identifier != "rna_type" and not p.is_hidden):
            assert any(f"`{keyword}`" in row for row in told), f"{name}({keyword}) is not in docs/pipeline/batch.md"
            checked += 1
    assert checked > 30


def test_the_documented_options_are_the_batchs():
    page = (ROOT / "docs" / "pipeline" / "batch.md").read_text(encoding="utf-8")
    farm = page[page.index("## From a farm") : page.index("## Operators")]
    known = {option for action in options.parser()._actions for option in action.option_strings}
    told = set(re.findall(r"(--[a-z][a-z-]+)", farm)) - {"--command"}
    assert told <= known, told - known
    assert {"--frames", "--stop-on-error", "--task", "--import", "--photos"} <= told
