"""The bridge's loop, driven as the add-on drives it: a child process and its pipes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.service import protocol as p

ROOT = Path(__file__).resolve().parents[2]


class Peer:
    """Just enough of an add-on."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "bridge", "dummy", *flags]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.child = subprocess.Popen(command, cwd=ROOT, text=True, encoding="utf-8", **pipes)

    def say(self, *messages: p.Message) -> None:
        for message in messages:
            self.child.stdin.write(p.encode(message))
        self.child.stdin.flush()

    def hear(self) -> p.Message:
        return p.decode(self.child.stdout.readline())

    def until(self, kind: type) -> list[p.Message]:
        heard = [self.hear()]
        while not isinstance(heard[-1], kind):
            heard.append(self.hear())
        return heard

    def leave(self) -> int:
        self.child.stdin.close()
        code = self.child.wait(5)
        self.child.stdout.close()
        return code


@pytest.fixture
def peer():
    peers = []

    def start(*flags: str) -> Peer:
        peers.append(Peer(*flags))
        return peers[-1]

    yield start
    for each in peers:
        each.child.kill()
        each.child.wait()


def test_one_warm_bridge_plays_two_jobs_and_leaves_with_stdin(peer, tmp_path):
    dummy = peer("--seconds", "0.1")
    dummy.say(p.Hello())
    assert isinstance(dummy.hear(), p.Hello)
    for name in ("one", "two"):
        dummy.say(p.Run(name, "capture", str(tmp_path / name)))
        heard = dummy.until(p.Done)
        assert heard[-1] == p.Done(name, True)
        fractions = [m.fraction for m in heard if isinstance(m, p.Progress)]
        assert fractions == sorted(fractions) and fractions[-1] == 1
        result = next(m for m in heard if isinstance(m, p.Result))
        assert Path(result.path).is_file() and Path(result.report).is_file()
        assert not list((tmp_path / name).glob("*.tmp"))
    assert dummy.leave() == 0


def test_cancel_gives_nothing_and_finish_gives_what_is_there(peer, tmp_path):
    dummy = peer("--seconds", "20")
    dummy.say(p.Hello(), p.Run("a", "c", str(tmp_path / "a")))
    dummy.until(p.Progress)
    start = time.monotonic()
    dummy.say(p.Cancel("a"))
    heard = dummy.until(p.Done)
    assert heard[-1] == p.Done("a", False) and not any(isinstance(m, p.Result) for m in heard)
    dummy.say(p.Run("b", "c", str(tmp_path / "b")))
    dummy.until(p.Progress)
    dummy.say(p.Finish("b"))
    heard = dummy.until(p.Done)
    assert heard[-1] == p.Done("b", True) and any(isinstance(m, p.Result) for m in heard)
    assert time.monotonic() - start < 10


def test_shutdown_ends_a_running_job(peer, tmp_path):
    dummy = peer("--seconds", "30")
    dummy.say(p.Hello(), p.Run("a", "c", str(tmp_path)))
    dummy.until(p.Progress)
    dummy.say(p.Shutdown())
    assert dummy.child.wait(10) == 0


def test_a_hanging_bridge_does_not_outlive_its_parent(peer, tmp_path):
    dummy = peer("--seconds", "0.1", "--hang")
    dummy.say(p.Hello(), p.Run("a", "c", str(tmp_path)))
    while dummy.until(p.Progress)[-1].done < 9:  # it hangs at the tenth of twenty steps
        pass
    time.sleep(0.5)
    dummy.child.stdin.close()
    assert dummy.child.wait(20) == 1


def test_an_addon_of_another_protocol_is_told_so(peer):
    dummy = peer()
    dummy.say(p.Hello(protocol=99))
    heard = dummy.until(p.Error)
    assert "protocol 99" in heard[-1].sentence
    assert dummy.child.wait(5) == 1


def test_garbage_on_stdin_is_answered_and_survived(peer, tmp_path):
    dummy = peer("--seconds", "0.05")
    dummy.say(p.Hello())
    dummy.hear()
    dummy.child.stdin.write("what?\n")
    dummy.say(p.Run("a", "c", str(tmp_path)))
    heard = dummy.until(p.Done)
    assert isinstance(heard[0], p.Error) and heard[-1].ok


def test_an_output_folder_that_cannot_be_made_is_one_error(peer, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    dummy = peer("--seconds", "0.05")
    dummy.say(p.Hello(), p.Run("a", "c", str(blocked / "job")))
    heard = dummy.until(p.Done)
    error = next(m for m in heard if isinstance(m, p.Error))
    assert error.code == "output" and "file" in error.sentence and error.cure and not heard[-1].ok


@pytest.mark.parametrize("when", ["before hello", "in mid-run", "at an odd line"])
def test_a_bridge_whose_reader_dies_leaves_quietly_with_a_code(tmp_path, when):
    """Once an abort: at its end the interpreter waited for the thread that reads stdin, which stays open here."""
    command = [sys.executable, "-m", "bridge", "dummy", "--seconds", "2"]
    child = subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        if when == "before hello":
            child.stdout.close()
        child.stdin.write(p.encode(p.Hello()))
        if when != "before hello":
            child.stdin.write(p.encode(p.Run("one", "capture", str(tmp_path / "one"))))
        child.stdin.flush()
        if when != "before hello":
            child.stdout.readline(), child.stdout.readline()
            child.stdout.close()
        else:  # a job makes it write again, if its hello went into the pipe's buffer
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(p.encode(p.Run("one", "capture", str(tmp_path / "one"))))
                child.stdin.flush()
        if when == "at an odd line":
            child.stdin.write("garbage\n")
            child.stdin.flush()
        assert child.wait(10) == 1
        complaint = child.stderr.read()
        assert "Fatal" not in complaint and "Traceback" not in complaint and "Exception" not in complaint
    finally:
        child.kill()
        child.wait()
        child.stderr.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def test_a_command_whose_lines_nobody_reads_ends_without_a_traceback():
    command = f"{sys.executable} -m bridge --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
