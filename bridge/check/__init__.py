"""Pre-flight of a capture with its photographs: which camera, photograph or mask cannot be right, before a run.

Evidence, by weight: silhouettes (silhouettes.py: all outlines must belong to one solid), features (matches.py: what
looks alike must lie on epipolar lines), the photographs themselves (photographs.py) and the rig (rig.py). A fault is
named when undoing it makes all views agree again (hypotheses.py).

The add-on's preflight.py checks geometry and file headers while its panel is drawn, before there is a bridge or a
capture; it shares this package's words (codes, severity, sentence, cure), not its code.
"""

from __future__ import annotations

from .findings import ERROR, INFO, WARNING, Finding
from .inspection import Inspection, inspect

__all__ = ["ERROR", "INFO", "WARNING", "Finding", "Inspection", "inspect"]
