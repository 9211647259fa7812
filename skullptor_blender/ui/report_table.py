"""A run's report.json as rows for the panel, the worst view first. No bpy."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

POOR_DEGREES, POOR_IOU = 25.0, 0.9  # a view beyond one of them is marked


@dataclass(frozen=True)
class ViewRow:
    """One view of a report; NaN where the report does not tell."""

    name: str
    error_deg: float
    mask_iou: float
    coverage_pct: float
    confidence: float

    @property
    def poor(self) -> bool:
        return self.error_deg > POOR_DEGREES or self.mask_iou < POOR_IOU


def rows(path: Path) -> list[ViewRow]:
    """Sorted by angle error, the worst first; empty when there is no readable report."""
    try:
        views = json.loads(path.read_text(encoding="utf-8"))["views"]
        found = [
            ViewRow(
                str(view["name"]),
                *(_number(view.get(key)) for key in ("normal_error_deg", "mask_iou", "coverage_pct", "confidence")),
            )
            for view in views
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted(found, key=lambda row: (-row.error_deg if row.error_deg == row.error_deg else 0.0, row.mask_iou))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
