"""Rasterisers: visibility, interpolated normals, silhouettes, and the gradient of an image loss to the vertices.

All backends share one contract (Rasteriser). This module imports NumPy only; a backend's libraries are imported when it
is made.
"""

from __future__ import annotations
