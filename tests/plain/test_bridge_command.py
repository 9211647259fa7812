"""A command of the bridge as a child: what it says becomes state, every end is clean, nobody is left."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
from skullptor_extension.skullptor_blender.link import command
from skullptor_extension.skullptor_blender.link.command import BridgeCommand
from skullptor_extension.skullptor_blender.link.job import CANCELLED, FAILED, FINISHED
from skullptor_extension.skullptor_blender.link.worker import WorkerError

from tests.support import ROOT

FAKE = """
import os, signal, sys, time
how = sys.argv[1]
print(" 10%  Matching  about 12 s left", flush=True)
print("plain ü", flush=True)
print("Note: three cameras were skipped.", file=sys.stderr, flush=True)
if how == "fail":
    print("Error: The photograph 'a.jpg' is blurred. Take it again.", file=sys.stderr)
    sys.exit(1)
if how == "crash":
    raise ValueError("boom")
if how == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if how in ("deaf", "slow"):
    open(sys.argv[2], "w").write(str(os.getpid()))
    time.sleep(60)
print("100%  Done", flush=True)
"""


@pytest.fixture(autouse=True)
def fake(tmp_path, monkeypatch):
    (tmp_path / "fake.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setattr(command, "ENTRY", ("-u", str(tmp_path / "fake.py")))
    yield
    assert not command._alive


def start(tmp_path, *arguments, **keywords) -> BridgeCommand:
    return BridgeCommand("Test", Path(sys.executable), ROOT, list(map(str, arguments)), tmp_path / "e.log", **keywords)


def until_done(task, seconds=20.0):
    end = time.monotonic() + seconds
    while task.running:
        assert time.monotonic() < end
        task.step()
        time.sleep(0.01)
    return task


def until_pid(task, file) -> int:
    while not (file.is_file() and file.read_text()):
        task.step()
        time.sleep(0.01)
    return int(file.read_text())


def test_what_it_says_becomes_state(tmp_path):
    task = start(tmp_path, "well")
    seen = []
    while task.running:
        if task.step():
            seen.append((task.stage, task.fraction, task.eta_s))
        time.sleep(0.005)
    assert task.state == FINISHED and task.fraction == 1.0
    assert task.stage == "Done" and "plain ü" in (tmp_path / "e.log").read_text(encoding="utf-8")
    assert task.warnings == ["three cameras were skipped."]
    assert "Matching" in (tmp_path / "e.log").read_text(encoding="utf-8")


def test_its_error_is_the_artists_sentence(tmp_path):
    task = until_done(start(tmp_path, "fail"))
    assert task.state == FAILED
    assert str(task.error) == "The photograph 'a.jpg' is blurred. Take it again."


def test_a_crash_names_its_last_words_and_the_log(tmp_path):
    task = until_done(start(tmp_path, "crash"))
    assert task.state == FAILED and task.error.code == "bridge-died"
    assert "ValueError: boom" in str(task.error) and "e.log" in str(task.error)


@pytest.mark.parametrize("how", ["slow", "deaf"])
def test_cancel_takes_less_than_a_second_or_two(tmp_path, how):
    task = start(tmp_path, how, tmp_path / "pid")
    pid = until_pid(task, tmp_path / "pid")
    task.cancel()
    assert until_done(task).state == CANCELLED
    assert not Path(f"/proc/{pid}").exists()


def test_abandon_waits_for_nothing(tmp_path):
    task = start(tmp_path, "deaf", tmp_path / "pid")
    pid = until_pid(task, tmp_path / "pid")
    task.abandon()
    assert task.state == CANCELLED and not Path(f"/proc/{pid}").exists()


def test_one_command_after_another(tmp_path):
    more = [["well"], ["fail"]]
    task = start(tmp_path, "well", follow=lambda: more.pop(0))
    assert until_done(task).state == FAILED and "a.jpg" in str(task.error) and not more
    steps = iter([["well"], None])
    assert until_done(start(tmp_path, "well", follow=lambda: next(steps))).state == FINISHED

    def trouble():
        raise WorkerError("x", "No.")

    task = until_done(start(tmp_path, "well", follow=trouble))
    assert task.state == FAILED and task.error.code == "x"


def test_a_python_that_is_not_there(tmp_path):
    with pytest.raises(WorkerError, match="cannot be started"):
        BridgeCommand("Test", tmp_path / "python", ROOT, [], tmp_path / "e.log")


def test_the_bridge_leaves_when_blender_is_gone(tmp_path, monkeypatch):
    """The leash, on the real entry: stdin closes, a command that would wait for ever ends."""
    monkeypatch.setattr(command, "ENTRY", ("-u", "-m", "bridge"))
    task = start(tmp_path, "dummy", "--no-hello")  # waits for lines that never come
    time.sleep(0.3)
    assert task._child.poll() is None
    task._child.stdin.close()
    assert task._child.wait(10) in (0, 1)
    task.abandon()


def reading(arguments, pieces, seen, fails=False):
    for piece in range(pieces):
        seen.append(threading.get_ident())
        time.sleep(0.02)
        yield (piece + 1) / pieces
    if fails:
        raise WorkerError("frames-none", "No frame is seen.", "Look.")
    arguments.append("ok")


def test_what_is_read_first_is_read_in_pieces_between_looks_in_the_callers_thread(tmp_path):
    arguments, seen, prepared = [], [], []
    task = BridgeCommand(
        "Test", Path(sys.executable), ROOT, arguments, tmp_path / "e.log",
        read=reading(arguments, 12, seen), prepare=lambda: prepared.append(list(arguments)),
    )  # fmt: skip
    shares = []
    while task.stage == command.READING:
        task.step()
        shares.append(task.fraction)
    assert (
        len(shares) > 3 and shares[:-1] == sorted(shares[:-1]) and shares[-1] == 0
    )  # then the next stage begins from 0
    assert until_done(task).state == FINISHED and prepared == [["ok"]]
    assert set(seen) == {threading.get_ident()} and len(seen) == 12


def test_reading_is_cancelled_between_two_pieces_and_nothing_is_started(tmp_path):
    seen = []
    task = start(tmp_path, read=reading([], 1000, seen), prepare=lambda: seen.append("prepared"))
    task.step()
    task.cancel()
    assert until_done(task).state == CANCELLED and len(seen) < 100 and "prepared" not in seen


def test_what_cannot_be_read_is_the_commands_error(tmp_path):
    task = until_done(start(tmp_path, read=reading([], 2, [], fails=True)))
    assert task.state == FAILED and task.error.code == "frames-none"
    left = start(tmp_path, read=reading([], 1000, []))
    left.abandon()
    assert left.state == CANCELLED and left.step() == []
