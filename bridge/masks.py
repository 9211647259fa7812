"""Which pixels show the head: the user's mask, else the image's alpha, else (None) the network's own matte."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .capture import View
from .errors import BridgeError, Check, unchecked
from .images import Photo, read_mask

EMPTY_SHARE = 1e-4  # a mask with less than this share of its pixels shows nothing

# cut_out: found on three captures (IoU of the mattes with the given masks, before -> after: valid_wf2 0.901 -> 0.998,
# marble_bust 0.966 -> 0.996, buddha_real 0.811 -> 0.91), with colours shared by all views; each view alone gave 0.927
CUT_SIZE = 384  # pixels of the longer side at which the colours are separated
SURE_HEAD, SURE_BACKGROUND = 0.9, 0.08  # mattes above and below are believed ...
HEAD_RIM, BACKGROUND_RIM = 0.02, 0.04  # ... this share of the image's size away from the doubtful rest
SECOND_BAND = 0.12  # share of the image's size about the first cut that the second one decides anew
CUT_ROUNDS = 2
HOLE_SHARE = 0.002  # holes smaller than this share of the image are filled
AGREEMENT = 0.25  # a cut that overlaps its matte less than this (IoU) is a failure: the matte stays


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


def cut_out(
    photos: Sequence[np.ndarray], mattes: Sequence[np.ndarray], given: Sequence[bool], check: Check = unchecked
) -> list[np.ndarray]:
    """Mattes [h, w] with the sharp outline of the photographs [h, w, 3] (sRGB 0..1): the colours of head and background
    are learnt from where the mattes are sure, in all views together, and decide the rest (GrabCut, Rother et al. 2004).

    given: which mattes are the user's; they teach the colours and are returned as they are.
    """
    if all(given):
        return list(mattes)
    shapes = [matte.shape for matte in mattes]
    sizes = [tuple(max(8, round(side * min(1.0, CUT_SIZE / max(shape)))) for side in shape) for shape in shapes]
    colours = [
        (np.clip(cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA), 0, 1)[..., ::-1] * 255).astype(np.uint8)
        for photo, size in zip(photos, sizes)
    ]
    # one tall picture of all views: GrabCut then has one model of the head's colours and one of the background's
    width = max(size[1] for size in sizes)
    tall = np.concatenate([_widen(image, width) for image in colours])
    rough = [cv2.resize(m, size[::-1], interpolation=cv2.INTER_AREA) for m, size in zip(mattes, sizes)]
    cuts: list[np.ndarray] = []
    for _ in range(2):  # the second time with a doubtful band about the first cut, whatever the matte said there
        believed = [_doubt(m, cut) for m, cut in zip(rough, cuts)] if cuts else rough
        cuts = _grab_cut(tall, [_labels(m, mine) for m, mine in zip(believed, given)], check)
        if not cuts:
            return list(mattes)
    found = []
    for matte, cut, mine in zip(mattes, cuts, given):
        outline = cv2.resize(cut.astype(np.float32), matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        both, either = (outline > 0.5) & (matte > 0.5), (outline > 0.5) | (matte > 0.5)
        found.append(outline if both.sum() > AGREEMENT * max(either.sum(), 1) and not mine else matte)
    return found


def _grab_cut(tall: np.ndarray, labels: Sequence[np.ndarray], check: Check) -> list[np.ndarray]:  # of [h, w] bool
    """The heads in a tall picture [sum of h, width, 3] uint8 of views; empty if the labels know only one side."""
    field = np.concatenate([_widen(label, tall.shape[1]) for label in labels])
    if not ((field == cv2.GC_FGD).any() and (field == cv2.GC_BGD).any()):
        return []
    cv2.setRNGSeed(0)  # its colour clusters start at random
    background, head = np.zeros((1, 65)), np.zeros((1, 65))  # the two models of colours
    for i in range(CUT_ROUNDS):  # one round a call gives the same cut, and each is long enough to be cancelled after
        check()
        cv2.grabCut(tall, field, None, background, head, 1, cv2.GC_EVAL if i else cv2.GC_INIT_WITH_MASK)
    check()
    solid = (field == cv2.GC_FGD) | (field == cv2.GC_PR_FGD)
    ends = np.cumsum([len(label) for label in labels])
    return [_one_piece(solid[end - len(label) : end, : label.shape[1]]) for label, end in zip(labels, ends)]


def _doubt(matte: np.ndarray, cut: np.ndarray) -> np.ndarray:  # [h, w]
    """A matte that is sure well inside the cut and where both say background, and doubtful in a band about the cut."""
    solid = cut.astype(np.uint8)
    inside = cv2.erode(solid, _square(HEAD_RIM, matte)) > 0
    near = cv2.dilate(solid, _square(SECOND_BAND, matte)) > 0
    outside = np.where(near, np.clip(matte, 0.3, 0.45), np.minimum(matte, 0.45))
    return np.where(inside, 1.0, np.where(cut, 0.7, outside)).astype(np.float32)


def _labels(matte: np.ndarray, given: bool) -> np.ndarray:  # [h, w] uint8 of GrabCut's four classes
    if given:
        return np.where(matte > 0.5, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    labels = np.where(matte > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode((matte > SURE_HEAD).astype(np.uint8), _square(HEAD_RIM, matte)) > 0] = cv2.GC_FGD
    labels[cv2.dilate((matte > SURE_BACKGROUND).astype(np.uint8), _square(BACKGROUND_RIM, matte)) == 0] = cv2.GC_BGD
    return labels


def _square(share: float, image: np.ndarray) -> np.ndarray:
    side = max(3, int(share * max(image.shape)) | 1)
    return np.ones((side, side), np.uint8)


def _widen(image: np.ndarray, width: int) -> np.ndarray:
    """Add columns at the right, labelled background (0)."""
    return cv2.copyMakeBorder(image, 0, 0, 0, width - image.shape[1], cv2.BORDER_CONSTANT, value=0)


def _one_piece(solid: np.ndarray) -> np.ndarray:  # [h, w] bool
    """The largest connected region, its small holes filled."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8))
    if count > 1:
        solid = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - solid.astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < HOLE_SHARE * solid.size
    # a gap at the picture's rim is background that the rim cuts off, not a hole
    small[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))] = False
    small[0] = False
    return solid | small[labels]
