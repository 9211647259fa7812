"""Frames are solved exactly once and none is lost: in this process and on Ray, whoever is killed."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.farm import Sleeper
from bridge.errors import BridgeError, Cancelled
from bridge.sequence.farm import Farm, join, probe
from bridge.sequence.pace import Pace
from bridge.sequence.store import Failure, Store
from bridge.service.wire import Control
from tests.support import ROOT


def solved(folder: Path) -> list[int]:
    return sorted(int(line.split()[0]) for line in (folder / "log.txt").read_text().splitlines())


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.claim()
    return store


def test_a_frame_is_there_whole_or_not_at_all(store):
    with pytest.raises(ZeroDivisionError), store.work(7, "a") as folder:
        (folder / "half.txt").write_text("half")
        raise ZeroDivisionError
    assert store.finished() == [] and not any((store.folder / "work").iterdir())
    store.fail(Failure(7, "code", "Sentence.", "Cure."))
    with store.work(7, "a") as folder:
        (folder / "whole.txt").write_text("whole")
    assert store.done(7, "a") and not store.done(7, "b") and store.failures() == []
    with store.work(7, "b") as folder:
        (folder / "new.txt").write_text("new")
    assert store.finished() == [7] and store.done(7, "b")
    assert sorted(path.name for path in store.place(7).iterdir()) == ["frame.json", "new.txt"]
    assert not any((store.folder / "work").iterdir())


def test_a_damaged_record_counts_as_no_frame(store):
    with store.work(1, "a"):
        pass
    (store.place(1) / "frame.json").write_text("{")
    assert not store.done(1, "a")


def test_in_this_process_frames_come_in_order_and_cancel_ends_them(store):
    control, seen = Control(), []
    with pytest.raises(Cancelled):
        for outcome in Farm().run(functools.partial(Sleeper, str(store.folder)), range(10), control):
            seen.append(outcome.number)
            if outcome.number == 3:
                control.cancel.set()
    assert seen == [0, 1, 2, 3] == store.finished()


def test_the_pace_is_that_of_late():
    pace = Pace(200, now=0.0)
    pace.next(60.0)  # compiled first
    for i in range(100):
        message = pace.next(60.5 + 0.5 * i)
    assert pace.rate == pytest.approx(2.0) and message.eta_s == pytest.approx(99 / 2)
    assert message.done == 101 and "2.00 a second" in message.stage


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port", "ray://no.such.host.invalid"]
)
def test_an_address_of_no_cluster_is_said_at_once(address):
    with pytest.raises(BridgeError) as caught:
        probe(address)
    assert caught.value.code == "farm-address" and address in caught.value.sentence and "ray start" in caught.value.cure


def test_without_ray_the_cure_is_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BridgeError) as caught:
        join(Farm(2))
    assert caught.value.code == "farm-missing" and "farm" in caught.value.cure


def test_on_ray_every_frame_is_solved_once_although_a_worker_is_killed(store):
    pytest.importorskip("ray")
    make = functools.partial(Sleeper, str(store.folder), 0.02, deadly=5)
    outcomes = list(Farm(2).run(make, range(20), Control()))
    assert sorted(outcome.number for outcome in outcomes) == list(range(20))
    assert all(outcome.failure is None for outcome in outcomes)
    assert solved(store.folder) == list(range(20)) == store.finished()


def test_a_frame_that_always_kills_its_worker_costs_that_frame_alone(store):
    pytest.importorskip("ray")
    make = functools.partial(Sleeper, str(store.folder), 0.0, deadly=2, times=100)
    outcomes = {outcome.number: outcome for outcome in Farm(1).run(make, range(5), Control())}
    assert sorted(outcomes) == [0, 1, 2, 3, 4] and store.finished() == [0, 1, 3, 4]
    failure = outcomes[2].failure
    assert failure is not None and failure.code == "worker-died" and "--resume" in failure.cure


LONG = """
import functools, sys
from bridge.sequence.farm import Farm
from bridge.service.wire import Control
from bench.farm import Sleeper
if __name__ == "__main__":
    make = functools.partial(Sleeper, sys.argv[1], deadly=612)
    print(sum(not outcome.kept for outcome in Farm().run(make, range(1000), Control())))
"""


def test_a_crash_at_frame_612_of_1000_costs_that_frame_alone(store):
    """Frame 612 ends the process, as a fault in a library would: what was finished stays, once each."""
    command = [sys.executable, "-c", LONG, str(store.folder)]
    environment = os.environ | {"PYTHONPATH": "."}
    assert subprocess.run(command, cwd=ROOT, env=environment).returncode == -signal.SIGKILL
    assert store.finished() == list(range(612)) == solved(store.folder)
    again = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert again.stdout.split() == [str(1000 - 612)]
    assert store.finished() == list(range(1000)) == solved(store.folder)


DRIVER = """
import functools, sys
from bridge.sequence.farm import Farm
from bridge.service.wire import Control
from bench.farm import Sleeper
if __name__ == "__main__":
    for outcome in Farm(2).run(functools.partial(Sleeper, sys.argv[1], 0.1), range(40), Control()):
        print(outcome.number, flush=True)
"""


def test_a_driver_that_is_killed_is_resumed_and_no_frame_is_solved_twice(store):
    pytest.importorskip("ray")
    command = [sys.executable, "-c", DRIVER, str(store.folder)]
    driver = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    assert driver.stdout is not None
    for _ in range(5):
        assert driver.stdout.readline().strip()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    last, until = -1, time.monotonic() + 30
    while last != (last := len(store.finished())) and time.monotonic() < until:
        time.sleep(1.0)  # its workers find that it is gone
    assert 5 <= last < 40
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert store.finished() == list(range(40)) == solved(store.folder)
    assert {(store.place(i) / "result.txt").read_text() for i in range(40)} == {f"frame {i}" for i in range(40)}
