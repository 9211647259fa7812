"""A template onto a head: pose and model coefficients first, then every vertex, then its shapes."""

from __future__ import annotations
