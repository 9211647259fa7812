"""Which pixels show the head as far as the user said so: a mask, else the image's alpha, else (None) nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import BridgeError
from .images import Photo, read_mask
from .record import View

EMPTY_SHARE = 1e-4  # a mask with less than this share of its pixels shows nothing


def head_mask(view: View, photo: Photo) -> np.ndarray | None:  # [H, W] float32 0..1
    """The given matte of a view, or None. Raises BridgeError "mask-empty" for an all-black one."""
    mask = read_mask(view.mask, view.camera) if view.mask is not None else photo.alpha
    if mask is not None and (mask > 0.5).mean() < EMPTY_SHARE:
        source = f"the mask '{view.mask.name}'" if view.mask is not None else "the image's alpha channel"
        raise BridgeError(
            "mask-empty",
            f"View '{view.name}': {source} is black everywhere, so no head is left in it.",
            "Paint the head white in it, or remove the mask to have it predicted.",
        )
    return mask


def boxes(masks: Sequence[np.ndarray | None]) -> np.ndarray:  # [m, 4]
    """x0, y0, x1, y1 in pixels of what each mask shows; NaN where there is no mask or it is empty."""
    found = np.full((len(masks), 4), np.nan)
    for i, mask in enumerate(masks):
        if mask is None:
            continue
        inside = mask > 0.5
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if len(rows):
            found[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return found
