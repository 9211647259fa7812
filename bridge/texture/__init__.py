"""Colours of the photographs on the mesh."""
