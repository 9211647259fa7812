"""What is known of heads before any photograph: the statistical model laid on one to five views, and what it says
where they are silent. Array functions; job/ knows files."""

from __future__ import annotations

from .evidence import View
from .fit import Fitted, fit
from .start import start

__all__ = ["Fitted", "View", "fit", "start"]
