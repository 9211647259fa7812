"""Remaining time: the only figure an artist reads while a head grows."""

from __future__ import annotations

import time

import pytest

from bridge.service.reporter import Reporter
from bridge.service.wire import Control


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is told; returns a function that lets seconds pass."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_time_left_goes_by_the_stage_that_runs(clock):
    """Normals that were given take no time, a first step compiles; the steps get slower; work says how far it is."""
    sent = []
    report = Reporter("x", sent.append, Control(), {"Predicting": 0.4, "Carving": 0.5, "Measuring": 0.1})
    report.begin("Predicting")
    assert sent[-1].eta_s is None
    clock(0.1)
    report.step(10, 10)
    report.begin("Carving")
    clock(30.0)  # kernels are compiled
    report.step(1, 200, 0.001)
    for done, work, more in ((50, 0.1, 0.1), (100, 0.4, 0.3), (190, 0.9, 0.5)):
        clock(20 * more)
        report.step(done, 200, work)
        assert sent[-1].eta_s == pytest.approx(20 * (1 - work) + 4, rel=0.1)  # and 4 s of measuring
    fractions = [message.fraction for message in sent]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(0.4 + 0.5 * 0.9)


def test_before_a_stage_has_a_pace_the_job_says_what_is_left(clock):
    sent = []
    report = Reporter("x", sent.append, Control(), {"Reading": 0.5, "Carving": 0.5})
    report.begin("Reading")
    clock(6.0)
    report.step(1, 1)
    report.begin("Carving")
    assert sent[-1].eta_s == pytest.approx(6.0)
