"""Mattes with the sharp outline of the photographs, alike in all views."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..errors import Check, unchecked
from .consensus import LEAST_VIEWS, Expected, expected_from_others
from .silhouettes import Agreement, Silhouette

# cut_out (IoU of the mattes with the given masks, least of the views: the network's -> colours alone -> here):
# buddha_real 0.76 -> 0.75 -> 0.95, its calibrated photographs 0.70 -> 0.62 -> 0.95, valid_wf2 0.94 -> 0.995 -> 0.995,
# marble_bust 0.98 -> 0.992 -> 0.992, nefertiti 0.97 -> 0.994 -> 0.990
UNSEEN = 0.4  # a matte that knows nothing of a pixel: background rather than head, but the photograph may decide
SILENT = 1e-3  # so near UNSEEN a matte has no vote: the network saw a crop, a helmet may rise above it in all views
SHARED_SIZE, OWN_SIZE = 192, 384  # pixels of the longer side at which colours are separated: of all views, of each
SURE_HEAD, SURE_BACKGROUND = 0.9, 0.08  # mattes above and below are believed ...
HEAD_RIM, BACKGROUND_RIM = 0.02, 0.04  # ... this share of the image's size away from the doubtful rest
NEAR = 0.03  # share of the image's size beyond what the other views allow that may still be head
BAND = 0.12  # share of the image's size about a cut that the next one decides anew
CUT_ROUNDS = 2
LOST = 0.002  # share of a head, sure to its matte and to all views' colours, that its own may lose without a question
RESTORED = 0.9  # what is lost comes back if that leaves less than this share of the outlines' misfit
HOLE_SHARE = 0.002  # holes smaller than this share of the image are filled
AGREEMENT = 0.25  # a cut that overlaps its matte less than this (IoU) is a failure: the matte stays


def cut_out(
    photos: Sequence[np.ndarray],
    mattes: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    given: Sequence[bool],
    check: Check = unchecked,
) -> list[np.ndarray]:
    """Mattes [h, w] with the sharp outline of the photographs [h, w, 3] (sRGB 0..1), alike in all views.

    The colours of head and background are learnt from where the mattes are sure and the other views do not object, and
    decide the rest (GrabCut, Rother et al. 2004): first in all views together, since what one matte missed another
    may have found, then in each alone, since photographs differ in exposure and light. What this takes away (hair that
    shines as grey as the wall) comes back if the outlines of the other views ask for it.
    given: which mattes are the user's; they teach the colours, have their vote, and are returned as they are.
    check: also counts: it is called about pieces_of(given) times, each after a like piece of the work.
    """
    if all(given):
        return list(mattes)
    shapes = [_fitted(matte.shape, SHARED_SIZE) for matte in mattes]
    rough = [cv2.resize(matte, shape[::-1], interpolation=cv2.INTER_AREA) for matte, shape in zip(mattes, shapes)]
    silent = [np.abs(matte - UNSEEN) < SILENT for matte in rough]
    expected: Sequence[Expected | None] = expected_from_others(cameras, rough, silent) or [None] * len(rough)
    check()
    outvoted = [said is not None and said.outvoted for said in expected]
    labels = [_labels(matte, said, mine) for matte, said, mine in zip(rough, expected, given)]
    cuts = _grab_cut([_small(photo, shape) for photo, shape in zip(photos, shapes)], labels, check)
    if not cuts:
        return list(mattes)
    shapes = [_fitted(matte.shape, OWN_SIZE) for matte in mattes]
    rough = [cv2.resize(cut.astype(np.float32), shape[::-1]) for cut, shape in zip(cuts, shapes)]
    expected = expected_from_others(cameras, rough) or [None] * len(rough)
    check()
    own: list[np.ndarray] = []
    fuller: list[np.ndarray | None] = []
    for photo, matte, cut, said, mine, wrong in zip(photos, mattes, rough, expected, given, outvoted):
        own.append(cut > 0.5)
        fuller.append(None)
        if mine:
            continue
        small, field = _small(photo, cut.shape), _labels(cut, said, False, is_cut=True)
        agreed = own[-1] & (cv2.resize(matte, cut.shape[::-1], interpolation=cv2.INTER_AREA) > SURE_HEAD)
        agreed = _shrunk(agreed, HEAD_RIM)
        if alone := _grab_cut([small], [field], check):
            own[-1] = alone[0]
            if not wrong and (agreed & ~alone[0]).sum() > LOST * alone[0].sum():
                field[agreed] = cv2.GC_FGD
                fuller[-1] = next(iter(_grab_cut([small], [field], check)), None)
    found = []
    for matte, cut, mine, wrong in zip(mattes, _fitting(cameras, own, fuller), given, outvoted):
        cut = cv2.resize(cut.astype(np.float32), matte.shape[::-1])
        found.append(matte if mine or not (wrong or _alike(cut, matte)) else cut)
    return found


def pieces_of(given: Sequence[bool]) -> int:
    """How often cut_out calls its check; a few times more where a view is cut twice."""
    cuts = 1 + sum(not mine for mine in given)
    return 0 if all(given) else 2 + cuts * (CUT_ROUNDS + 1)


def _fitting(
    cameras: Sequence[Camera], cuts: Sequence[np.ndarray], fuller: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The cuts [h, w] bool, or the fuller ones where with them all outlines agree better on one solid."""
    found = list(cuts)
    outlines = [Silhouette.of(camera, cut) for camera, cut in zip(cameras, cuts, strict=True)]
    others = {i: cut for i, cut in enumerate(fuller) if cut is not None}
    doubtful = {i: Silhouette.of(cameras[i], cut) for i, cut in others.items()}
    if not doubtful or len(cuts) < LEAST_VIEWS or any(outline.empty for outline in [*outlines, *doubtful.values()]):
        return found
    try:
        agreement = Agreement(outlines)
    except ValueError:  # parallel cameras
        return found
    everyone = range(len(cuts))
    for i, outline in doubtful.items():
        other = agreement.replaced({i: outline})
        if other.misfit(everyone) < RESTORED * agreement.misfit(everyone):
            agreement, found[i] = other, others[i]
    return found


def _fitted(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Height and width shrunk to a longer side of size."""
    height, width = (max(8, round(side * min(1.0, size / max(shape)))) for side in shape)
    return height, width


def _alike(cut: np.ndarray, matte: np.ndarray) -> bool:
    both, either = (cut > 0.5) & (matte > 0.5), (cut > 0.5) | (matte > 0.5)
    return bool(both.sum() > AGREEMENT * max(either.sum(), 1))


def _small(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [h, w, 3] uint8, BGR
    small = cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA)
    return (np.clip(small, 0, 1)[..., ::-1] * 255).astype(np.uint8)


def _grab_cut(photos: Sequence[np.ndarray], labels: Sequence[np.ndarray], check: Check) -> list[np.ndarray]:
    """The heads [h, w] bool in photographs uint8; empty if the labels know only one side."""
    # one tall picture of all views: GrabCut then has one model of the head's colours and one of the background's
    width = max(photo.shape[1] for photo in photos)
    tall = np.concatenate([_widen(photo, width) for photo in photos])
    field = np.concatenate([_widen(label, width) for label in labels])
    if not ((field == cv2.GC_FGD).any() and (field == cv2.GC_BGD).any()):
        return []
    cv2.setRNGSeed(0)  # its colour clusters start at random
    background, head = np.zeros((1, 65)), np.zeros((1, 65))  # the two models of colours
    for i in range(CUT_ROUNDS):  # one round a call gives the same cut, and each is long enough to be cancelled after
        check()
        mode = cv2.GC_EVAL if i else cv2.GC_INIT_WITH_MASK
        cv2.grabCut(tall, field, None, background, head, 1, mode)  # type: ignore[call-overload]  # None: no rectangle
    check()
    solid = (field == cv2.GC_FGD) | (field == cv2.GC_PR_FGD)
    ends = np.cumsum([len(label) for label in labels])
    return [_one_piece(solid[end - len(label) : end, : label.shape[1]]) for label, end in zip(labels, ends)]


def _labels(matte: np.ndarray, expected: Expected | None, given: bool, is_cut: bool = False) -> np.ndarray:
    """GrabCut's four classes [h, w] uint8. is_cut: the matte is an earlier cut, sure but for a band about it."""
    if given:
        return np.where(matte > 0.5, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    if expected is not None and expected.outvoted:
        head, sure, far = expected.deep, np.zeros_like(expected.deep), ~_grown(expected.possible, BAND)
    else:
        head, sure = matte > 0.5, _shrunk(matte > (0.5 if is_cut else SURE_HEAD), HEAD_RIM)
        far = ~(_grown(head, BAND) if is_cut else _grown(matte > SURE_BACKGROUND, BACKGROUND_RIM))
        if expected is not None:
            head, sure = head & expected.possible, sure & expected.deep
            far = far & ~expected.deep | ~_grown(expected.possible, NEAR)
    labels = np.where(head, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure] = cv2.GC_FGD
    labels[far] = cv2.GC_BGD
    return labels


def _grown(region: np.ndarray, share: float) -> np.ndarray:
    return cv2.dilate(region.astype(np.uint8), _square(share, region)) > 0


def _shrunk(region: np.ndarray, share: float) -> np.ndarray:
    return cv2.erode(region.astype(np.uint8), _square(share, region)) > 0


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
