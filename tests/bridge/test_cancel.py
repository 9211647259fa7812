"""Cancel reaches into the long pieces of work: a network's run, the cut-out, the solver's start and its clean-up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bridge.errors import Cancelled
from bridge.mattes import cut_out as masks
from bridge.normals import WEIGHTS, sessions
from bridge.normals.multiview import RECORD
from bridge.solve import Solver, SolveSettings
from tests.bridge.scenes import bumpy, ring, targets_of


class Asked:
    """A user who presses Cancel after so many looks."""

    def __init__(self, patience: int) -> None:
        self.left = patience

    def cancelled(self) -> bool:
        self.left -= 1
        return self.left < 0

    def check(self) -> None:
        if self.cancelled():
            raise Cancelled


def test_a_network_stops_in_the_middle_of_a_run(monkeypatch):
    monkeypatch.setattr(sessions, "WATCH_SECONDS", 0.001)
    record = sessions.checked(WEIGHTS, RECORD)
    encoder = sessions.session(WEIGHTS / record["files"]["encoder"]["file"], "cpu")
    image = np.zeros((4, 4, 512, 512), np.float32)
    with pytest.raises(Cancelled):
        sessions.run(encoder, {"image": image}, Asked(2).cancelled)
    assert len(sessions.run(encoder, {"image": image[:1, :, :64, :64]}, lambda: False)) == 4  # it works on afterwards
    with pytest.raises(Exception, match="imagine"):  # other troubles stay what they are
        sessions.run(encoder, {"imagine": image}, lambda: False)


def test_the_cut_out_in_rounds_is_the_one_of_a_single_call(monkeypatch):
    random = np.random.default_rng(0)
    tall = random.integers(0, 90, (80, 60, 3)).astype(np.uint8)
    tall[20:60, 15:45] += 120
    labels = np.full((80, 60), cv2.GC_PR_BGD, np.uint8)
    labels[25:50, 18:40] = cv2.GC_PR_FGD
    labels[35:40, 25:30], labels[:5] = cv2.GC_FGD, cv2.GC_BGD
    expected = labels.copy()
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(tall, expected, None, *models, masks.CUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    looks = []
    (found,) = masks._grab_cut([tall], [labels], lambda: looks.append(1))
    np.testing.assert_array_equal(found, (expected == cv2.GC_FGD) | (expected == cv2.GC_PR_FGD))
    assert len(looks) > masks.CUT_ROUNDS


@pytest.mark.parametrize("patience", [0, 2])
def test_the_solver_looks_up_while_it_prepares_and_cleans_up(patience):
    targets = targets_of(*bumpy(3), ring(4))
    settings = SolveSettings(steps=2, resolution=32, max_vertices=2000, raster="cpu")
    with pytest.raises(Cancelled):
        next(iter(Solver(targets, settings, None, Asked(patience).check)))  # building its target images
    asked = Asked(10**9)
    solver = Solver(targets, settings, None, asked.check)
    list(solver)
    asked.left = 0
    with pytest.raises(Cancelled):
        solver.finish()
