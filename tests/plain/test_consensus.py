"""What the other views say about a view: of a lopsided body whose outlines are exact, with mattes spoilt on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from bridge.mattes import cut_out as masks  # noqa: E402
from bridge.mattes.consensus import Expected, expected_from_others  # noqa: E402
from tests.support.synthetic import ring, trace  # noqa: E402

CENTER, SCALE = np.array([4.0, -1.0, 2.0]), 3.0


def views(count: int, size: int = 160):
    wide = np.diag([0.65, 0.65, 1.0])  # the pictures reach as far as the grid
    cameras = [replace(camera, K=camera.K @ wide) for camera in ring(count, CENTER, SCALE, size)]
    return cameras, [(trace(camera, CENTER, SCALE)[1] > 0).astype(np.float32) for camera in cameras]


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize(("count", "loose"), [(3, 0.5), (5, 0.05), (10, 0.0)])
def test_right_mattes_are_all_possible_and_never_outvoted(count, loose):
    cameras, mattes = views(count)
    expected = expected_from_others(cameras, mattes)
    for matte, said in zip(mattes, expected, strict=True):
        assert not said.outvoted
        assert (said.possible & (matte > 0.5)).sum() > 0.995 * (matte > 0.5).sum()
        assert (said.deep & (matte < 0.5)).sum() <= loose * said.deep.sum()


def test_with_many_views_the_others_know_the_outline():
    """Fails for a mirror, a shift by a voxel, or a size taken for the other one."""
    cameras, mattes = views(12)
    for matte, said in zip(mattes, expected_from_others(cameras, mattes), strict=True):
        assert iou(said.possible, matte) > 0.86
        rows, columns = np.nonzero(said.possible)
        true_rows, true_columns = np.nonzero(matte)
        assert abs(rows.mean() - true_rows.mean()) < 1.5 and abs(columns.mean() - true_columns.mean()) < 1.5


def test_mattes_of_any_size_of_the_field_of_view():
    cameras, mattes = views(8, 320)
    small = [cv2.resize(m, (160, 160), interpolation=cv2.INTER_AREA) if i % 2 else m for i, m in enumerate(mattes)]
    for matte, said in zip(small, expected_from_others(cameras, small), strict=True):
        assert said.possible.shape == matte.shape and iou(said.possible, matte) > 0.8


def test_what_only_one_view_calls_head_is_impossible():
    cameras, mattes = views(8)
    mattes[3] = mattes[3].copy()
    mattes[3][:40, :40] = 1
    said = expected_from_others(cameras, mattes)[3]
    assert not said.outvoted and not said.possible[:30, :30].any()


@pytest.mark.parametrize("spoilt", ["black", "elsewhere", "half", "everything"])
@pytest.mark.parametrize("count", [5, 13])
def test_a_bad_matte_is_outvoted_and_harms_no_other(spoilt, count):
    cameras, mattes = views(count)
    bad = np.zeros_like(mattes[1])
    if spoilt == "elsewhere":
        bad[:30, -30:] = 1
    elif spoilt == "half":
        bad = mattes[1] * (np.arange(mattes[1].shape[1]) < mattes[1].shape[1] / 2)
    elif spoilt == "everything":
        bad[:] = 1
    expected = expected_from_others(cameras, [bad if i == 1 else matte for i, matte in enumerate(mattes)])
    if spoilt != "everything":  # which carves nothing: few others cannot tell it from a head they see less of
        assert expected[1].outvoted
    for i, (matte, said) in enumerate(zip(mattes, expected, strict=True)):
        if i != 1:
            assert not said.outvoted
        assert (said.possible & (matte > 0.5)).sum() > 0.98 * (matte > 0.5).sum()
        assert said.deep.any()


def test_views_at_odds_say_nothing():
    cameras, mattes = views(8)
    inverted = [replace(c, R=c.R.T, t=-c.R.T @ c.center) for c in cameras]
    assert expected_from_others(inverted, mattes) is None
    assert expected_from_others(cameras[:2], mattes[:2]) is None
    alike = [replace(cameras[0], name=str(i)) for i in range(5)]
    assert expected_from_others(alike, [mattes[0]] * 5) is None  # parallel


def table_scene(count: int = 7, size: int = 200):
    """A grey body on a grey cardboard, which the mattes take for a part of it: the colours alone cannot part them."""
    rng = np.random.default_rng(0)
    cameras, truths = views(count, size)
    photos, mattes = [], []
    for i, truth in enumerate(truths):
        photo = np.full((size, size, 3), 0.25)
        board = np.zeros((size, size), bool)
        board[int(0.55 * size) :, : int((0.3 + 0.08 * i) * size)] = True
        photo[board] = [0.62, 0.6, 0.56]
        photo[truth > 0.5] = [0.66, 0.63, 0.6]
        photos.append((photo + rng.normal(0, 0.03, photo.shape)).astype(np.float32))
        rough = cv2.GaussianBlur(truth, (0, 0), 4)
        claimed = board & (rng.random() < 0.7)
        mattes.append(np.maximum(rough, 0.97 * cv2.GaussianBlur(claimed.astype(np.float32), (0, 0), 4)))
    return cameras, photos, mattes, truths


def test_a_background_that_mattes_take_for_head_is_cut_off_by_the_others():
    cameras, photos, mattes, truths = table_scene()
    together = masks.cut_out(photos, mattes, cameras, [False] * len(photos))
    parallel = [replace(cameras[0], name=str(i)) for i in range(len(cameras))]
    colours_alone = masks.cut_out(photos, mattes, parallel, [False] * len(photos))
    assert min(iou(cut, truth) for cut, truth in zip(together, truths)) > 0.95
    assert min(iou(cut, truth) for cut, truth in zip(colours_alone, truths)) < 0.85


def test_a_matte_that_lacks_the_head_is_found_by_the_others():
    cameras, photos, mattes, truths = table_scene()
    mattes[2] = np.full_like(mattes[2], 0.02)
    found = masks.cut_out(photos, mattes, cameras, [False] * len(photos))
    assert iou(found[2], truths[2]) > 0.9


def test_what_rises_above_all_crops_of_the_network_is_found_by_its_colour():
    """A helmet: every matte ends at one height, and says so there; taken for a vote the matte cuts the head off."""
    cameras, truths = views(7, 200)
    rng = np.random.default_rng(0)
    photos = [np.where(truth[..., None] > 0.5, [0.7, 0.6, 0.5], [0.2, 0.25, 0.3]) for truth in truths]
    photos = [(photo + rng.normal(0, 0.03, photo.shape)).astype(np.float32) for photo in photos]
    mattes = [cv2.GaussianBlur(truth, (0, 0), 2).astype(np.float32) for truth in truths]
    for value, least in ((masks.UNSEEN, 0.95), (0.3, 0.0)):
        for matte, truth in zip(mattes, truths, strict=True):
            rows = np.flatnonzero((truth > 0.5).any(1))
            matte[: rows[0] + len(rows) // 4] = value
        found = masks.cut_out(photos, mattes, cameras, [False] * len(photos))
        worst = min(iou(cut, truth) for cut, truth in zip(found, truths, strict=True))
        assert worst > least and (value == masks.UNSEEN or worst < 0.9)


def test_what_colours_took_away_comes_back_only_where_the_other_outlines_ask_for_it():
    cameras, mattes = views(8)
    truths = [matte > 0.5 for matte in mattes]
    lacking, larger = truths[3].copy(), truths[3].copy()
    top = np.flatnonzero(truths[3].any(1))[0]
    lacking[: top + 8] = False  # hair that shines as grey as the wall
    larger[top - 8 : top + 8] |= truths[3][top + 8]  # and a wall as grey as hair

    def chosen(cut, fuller):
        cuts = [cut if i == 3 else truth for i, truth in enumerate(truths)]
        return masks._fitting(cameras, cuts, [fuller if i == 3 else None for i in range(8)])[3]

    assert chosen(lacking, truths[3]) is truths[3]
    assert chosen(truths[3], larger) is truths[3]
    assert chosen(truths[3], np.ones_like(truths[3])) is truths[3]  # a picture that is all head has no outline


def test_a_head_that_fills_its_picture_leaves_no_background_to_bring_it_back_from(monkeypatch):
    """What the others call impossible is all the background there is, and the matte is sure that it is head."""
    matte = np.ones((100, 100), np.float32)
    matte[:, 94:] = 0
    photo = np.repeat((0.25 + 0.4 * matte)[..., None], 3, 2)
    photo[30:60, 30:60] += 0.05
    possible, deep = np.ones((100, 100), bool), np.zeros((100, 100), bool)
    possible[25:65, 25:65], deep[75:, 10:80] = False, True
    said = iter([None, [Expected(possible, deep, False)]])
    monkeypatch.setattr(masks, "expected_from_others", lambda *views: next(said))
    monkeypatch.setattr(masks, "_fitting", lambda cameras, cuts, fuller: cuts)
    (found,) = masks.cut_out([photo.astype(np.float32)], [matte], [None], [False])
    assert not found[30:60, 30:60].any() and found[80:, 20:70].all()
