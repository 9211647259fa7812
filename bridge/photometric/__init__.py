"""Matching the photographs: the carved surface is moved to where all views show the same picture, to the last pixel.

Predicted normals bring the form of a face but drift by degrees over broad shapes; photographs of one surface agree to
a fraction of a millimetre wherever it has any texture. Knows cameras, images and meshes; no jobs, files or messages.
"""

from .. import mesh as _mesh  # noqa: F401 - prepares numba before any module here imports it
from .match import Matched, match_photographs
from .pictures import Photographs
from .refine import Detail, Refined, Watch, refine_surface, smooth_unseen
from .warm import warm_up

__all__ = [
    "Detail",
    "Matched",
    "Photographs",
    "Refined",
    "Watch",
    "match_photographs",
    "refine_surface",
    "smooth_unseen",
    "warm_up",
]
