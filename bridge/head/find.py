"""Where the head of a rig is, which way it looks and how large it is, as the network sees it in the photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..capture.images import downscaled, read_photo
from ..capture.masks import head_mask
from ..capture.normal_map import NormalMap, NormalPredictor
from ..capture.record import View
from ..errors import BridgeError
from ..mattes.hull import carve
from ..mattes.silhouettes import BoundingSphere, Silhouette
from .canonical import Canonical, locate

MOST_VIEWS = 12  # more tell no more, and cost time
PIXELS = 1024  # of a photograph's longer side that are looked at
MAP = 256  # pixels of the maps


def find_head(
    views: Sequence[View],
    make_predictor: Callable[[], NormalPredictor],
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Canonical | None:
    """The canonical head in the world of the views, where it can be trusted. Photographs that cannot be read and
    views that show no head leave it unknown: who needs them says so. Raises Cancelled."""
    chosen = [views[i] for i in np.linspace(0, len(views) - 1, min(len(views), MOST_VIEWS)).round().astype(int)]
    try:
        photos = [downscaled(read_photo(view), PIXELS) for view in chosen]
        masks = [head_mask(view, photo) for view, photo in zip(chosen, photos)]
        maps = make_predictor().predict(
            [photo.pixels for photo in photos],
            [photo.camera for photo in photos],
            masks,
            size=MAP,
            progress=progress,
            cancelled=cancelled,
        )
        return head_in(maps)
    except (BridgeError, ValueError):
        return None


def head_in(maps: Sequence[NormalMap]) -> Canonical | None:
    """The same from maps with canonical coordinates."""
    outlines = [Silhouette.of(found.camera, found.matte) for found in maps]
    seen = [i for i, outline in enumerate(outlines) if not outline.empty]
    if len(seen) < 2:
        return None
    maps, outlines = [maps[i] for i in seen], [outlines[i] for i in seen]
    sphere = BoundingSphere.around(outlines)
    hull = carve(outlines, sphere, [True] * len(outlines))
    found = locate(maps, hull.points, hull.normals, hull.seen)
    return found if found is not None and found.trusted else None
