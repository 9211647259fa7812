"""Small errors of given cameras (fractions of a degree, pixels), corrected before anything is made with them.

Features that several photographs share (tracks.py) and the silhouettes (outlines.py) decide, a weak prior holds every
camera near where it was given (adjust.py), and without good evidence nothing is changed (poses.py). Gross faults are
for bridge/check, which names them.
"""

from __future__ import annotations

from .files import write_capture
from .poses import Move, Refined, refine

__all__ = ["Move", "Refined", "refine", "write_capture"]
