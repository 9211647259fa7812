"""What a check found, and how the user reads it."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. error: the result will be wrong; warning: worse than it could be."""

    code: str
    severity: str
    views: tuple[str, ...]  # culprits by name; empty: the whole rig
    sentence: str
    cure: str


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then what is only told."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def names(views: tuple[str, ...] | list[str]) -> str:
    """'a', 'a' and 'b', or 'a', 'b' and 'c'."""
    quoted = [f"'{view}'" for view in views]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
