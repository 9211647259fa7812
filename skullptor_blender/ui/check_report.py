"""The findings of the bridge's check, from its JSON. No bpy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ..link.preflight import ERROR, INFO, WARNING, Finding

_SEVERITIES = {"error": ERROR, "warning": WARNING, "info": INFO}


def read(path: Path) -> list[Finding]:
    """One finding for each culprit; several may share a sentence. Raises OSError, ValueError."""
    body = json.loads(path.read_text(encoding="utf-8"))
    found = []
    try:
        for entry in body["findings"]:
            severity = _SEVERITIES[str(entry["severity"]).lower()]
            views = entry.get("views", entry.get("view")) or [""]
            for view in [views] if isinstance(views, str) else views:
                texts = (str(entry["code"]), severity, str(view), str(entry["sentence"]), str(entry.get("cure") or ""))
                found.append(Finding(*texts))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no report of a check ({error!r})") from None
    return found


def together(findings: Iterable[Finding]) -> list[tuple[Finding, list[str]]]:
    """Findings that say the same of several cameras as one, with the cameras' names; the gravest first."""
    groups: dict[tuple[str, str, str], tuple[Finding, list[str]]] = {}
    for finding in findings:
        _, names = groups.setdefault((finding.severity, finding.sentence, finding.cure), (finding, []))
        if finding.view and finding.view not in names:
            names.append(finding.view)
    order = (ERROR, WARNING, INFO)
    return sorted(groups.values(), key=lambda group: order.index(group[0].severity))
