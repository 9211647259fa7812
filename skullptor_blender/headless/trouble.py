"""How the batch says that something cannot be done."""

from __future__ import annotations


class Trouble(Exception):
    """One sentence; exit code 1."""
