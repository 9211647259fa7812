"""Head templates: a mesh of quads with UVs, parts, landmarks, ways in which people differ, and expressions."""

from __future__ import annotations

from .template import PARTS, LandmarkMap, Template

__all__ = ["PARTS", "LandmarkMap", "Template"]
