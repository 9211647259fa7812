"""Which pixels show the head as far as the user said so: a mask, else the image's alpha, else (None) nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import BridgeError
from .images import Photo, read_mask, resize_map
from .record import View

EMPTY_SHARE = 1e-4  # a mask with less than this share of its pixels shows nothing
# a mask says nothing if it covers nearly all of the picture, or if it leaves out no more than the picture's rim
NEARLY_ALL = 0.97
RIM = 0.12  # share of each side
BORDER = 0.03  # share of each side: where the inverted mask of a head is white


def head_mask(view: View, photo: Photo) -> np.ndarray | None:  # [H, W] float32 0..1, of the photo's size
    """The given matte of a view; None also where it covers nearly everything, as the alpha of an undistorted picture
    does. Raises BridgeError "mask-empty" for an all-black one.
    """
    mask = given(view, photo)
    return None if mask is None or says_nothing(mask) else mask


def given(view: View, photo: Photo) -> np.ndarray | None:  # [H, W] float32 0..1, of the photo's size
    """The matte that the user gave, whatever it says. Raises BridgeError as head_mask."""
    if view.mask is None:
        mask = photo.alpha
    else:
        mask = resize_map(read_mask(view.mask, view.camera), photo.camera.width, photo.camera.height)
    if mask is not None and (mask > 0.5).mean() < EMPTY_SHARE:
        raise BridgeError(
            "mask-empty",
            f"View '{view.name}': {source(view)} is black everywhere, so no head is left in it.",
            "Paint the head white in it, or remove the mask to have it predicted.",
        )
    return mask


def source(view: View) -> str:
    """Where a view's given matte comes from, for a sentence."""
    return f"the mask '{view.mask.name}'" if view.mask is not None else "the image's alpha channel"


def says_nothing(mask: np.ndarray) -> bool:
    """Does it cover nearly everything, or all but a rim?"""
    inside = mask > 0.5
    rim_y, rim_x = (round(RIM * side) for side in inside.shape)
    middle = inside[rim_y : inside.shape[0] - rim_y, rim_x : inside.shape[1] - rim_x]
    return bool(inside.mean() > NEARLY_ALL or middle.mean() > 0.999)


def is_inverted(mask: np.ndarray) -> bool:
    """White along the border of the upper half, where no neck leaves the picture: the background is painted."""
    inside = mask > 0.5
    height, width = inside.shape
    upper = inside[: height // 2]
    y, x = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    border = np.concatenate([upper[:y].ravel(), upper[:, :x].ravel(), upper[:, -x:].ravel()])
    return bool(border.mean() > 0.9 and 0.02 < (~inside).mean() < 0.9)


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
