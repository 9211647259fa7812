"""What was said about a run or the cameras: one line each, the rest behind Details, and one thing that can be done."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ...link import session
from ...link.preflight import ERROR, INFO, WARNING, Finding
from ...scene import capture, rigs
from ..remedies import Remedy, named, remedy
from .sidebar import letters, shortened, wrapped

GRAVEST = {ERROR: 0, WARNING: 1, INFO: 2}


def draw_outcome(layout: bpy.types.UILayout, context: bpy.types.Context, outcome: session.Outcome) -> None:
    """How the last run ended, and what else there is to say about it as long as its cameras stand as they did."""
    column = layout.column(align=True)
    if not outcome.ok:
        severity = ERROR if outcome.code else INFO
        _draw(column, context, [Finding(outcome.code, severity, "", outcome.text, outcome.cure)])
        if outcome.code:
            column.operator("skullptor.copy_report", icon="COPYDOWN")
        return
    said = column.column(align=True)
    said.alert = outcome.alert
    wrapped(said, outcome.text, "ERROR" if outcome.alert else "CHECKMARK")
    if outcome.about and outcome.about != capture.signature(context.view_layer):
        return
    _draw(column, context, outcome.remarks or [Finding("", INFO, "", text, "") for text in outcome.warnings])


def draw_remedy(layout: bpy.types.UILayout, found: Remedy) -> None:
    """The button of a remedy."""
    operator = layout.operator(found.operator, text=found.text)
    for name, value in found.properties.items():
        setattr(operator, name, value)


def remedy_of(finding: Finding, context: bpy.types.Context) -> Remedy | None:
    """What can be done about it with one click."""
    cameras = [ob.name for ob in rigs.cameras(rigs.active(context.scene), context.view_layer)]
    culprits = [finding.view] if finding.view in cameras else named(finding.sentence, cameras)
    return remedy(finding.code, culprits)


def _draw(layout: bpy.types.UILayout, context: bpy.types.Context, findings: Sequence[Finding]) -> None:
    """The gravest in one line with its action; all of them, whole, behind Details."""
    if not findings:
        return
    manager, width = context.window_manager, letters(context)
    findings = sorted(findings, key=lambda finding: GRAVEST[finding.severity])
    first, action = findings[0], remedy_of(findings[0], context)
    more = len(findings) > 1 or bool(first.cure) or len(first.sentence) > width
    opened = more and manager.skullptor_details
    if not opened:
        line = layout.row()
        line.alert = first.severity == ERROR
        line.label(text=shortened(first.sentence, width), icon="ERROR" if first.severity == ERROR else "INFO")
    buttons = layout.row(align=True)
    if action is not None:
        draw_remedy(buttons, action)
    if more:
        text = "Details" if len(findings) == 1 else f"Details ({len(findings)})"
        buttons.prop(manager, "skullptor_details", text=text, toggle=True)
    for finding in findings if opened else ():
        said = layout.column(align=True)
        said.alert = finding.severity == ERROR
        wrapped(said, finding.sentence, "ERROR" if finding.severity == ERROR else "DOT")
        if finding.cure:
            wrapped(layout, finding.cure, "BLANK1")
        if finding is not first and (action := remedy_of(finding, context)) is not None:
            draw_remedy(layout, action)
