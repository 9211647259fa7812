"""Colours of the photographs on the mesh."""

from __future__ import annotations

from .. import mesh as mesh  # before anything imports numba: what it reads when it starts is set there
