"""Faults of machines: killed processes, garbage on the wire, broken caches, full disks, forbidden sockets."""

from __future__ import annotations

import json
import os
import queue
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bridge.job.cache import Cache
from bridge.service import protocol as p
from tests.support import ROOT

from . import ledger

SETTINGS = p.JobSettings(preset="draft", normals="measured", steps=20, max_vertices=1500)
KILLS = 20


class Bridge:
    """The real bridge as a child, its messages in a queue."""

    def __init__(self, cache: Path, command: tuple[str, ...] = ("serve",)) -> None:
        words = [sys.executable, "-m", "bridge", *command]
        if command == ("serve",):
            words += ["--cache", str(cache)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.child = subprocess.Popen(words, cwd=ROOT, **pipes, start_new_session=True)
        self.messages: queue.Queue[bytes] = queue.Queue()
        self.complaints: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=lambda: self.complaints.extend(self.child.stderr), daemon=True).start()

    def _read(self) -> None:
        for line in self.child.stdout:
            self.messages.put(line)
        self.messages.put(b"")

    def say(self, *messages: p.Message | bytes) -> None:
        for message in messages:
            self.child.stdin.write(message if isinstance(message, bytes) else p.encode(message).encode())
        self.child.stdin.flush()

    def hear(self, seconds: float = 60) -> p.Message | None:
        line = self.messages.get(timeout=seconds)
        return p.decode(line.decode()) if line else None

    def job(self, name: str, capture: Path, output: Path, seconds: float = 60) -> list[p.Message]:
        self.say(p.Run(name, str(capture), str(output), SETTINGS))
        heard = []
        while not heard or not (isinstance(heard[-1], p.Done) and heard[-1].id == name):
            heard.append(self.hear(seconds))
            assert heard[-1] is not None, "the bridge is gone"
        return heard

    def rest(self) -> bytes:
        return b"".join(self.complaints)

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            pipe.close()


def family(leader: int) -> list[int]:
    """Processes of a child's session that are still there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, session = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0::3][:2]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(entry.name))
    return found


def whole(folder: Path) -> bool:
    """Every file that has its name can be read to its end."""
    for path in folder.rglob("*"):
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                [arrays[name] for name in arrays.files]
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".ply":
            assert path.read_bytes().startswith(b"ply")
    return True


def mesh_of(output: Path) -> bytes:
    with np.load(output / "head.npz") as arrays:
        return arrays["vertices"].tobytes() + arrays["faces"].tobytes()


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory) -> bytes:
    """The head that the capture gives."""
    folder = tmp_path_factory.mktemp("expected")
    bridge = Bridge(folder / "cache")
    bridge.say(p.Hello())
    bridge.hear()
    bridge.job("e", source, folder / "out", 300)  # the first one compiles
    bridge.end()
    return mesh_of(folder / "out")


def test_the_bridge_is_killed_at_twenty_points_of_a_job(capture, tmp_path, expected):
    row = ledger.row("`kill -9` of the bridge at 20 points of a job, then the same job on the same cache")
    cache = tmp_path / "cache"
    for k in range(KILLS):
        output = tmp_path / f"out{k}"
        bridge = Bridge(cache)
        bridge.say(p.Hello())
        bridge.hear()
        bridge.say(p.Run("j", str(capture), str(output), SETTINGS))
        for _ in range(2 * k):
            if isinstance(bridge.hear(), p.Done):
                break
        os.kill(bridge.child.pid, signal.SIGKILL)
        bridge.child.wait()
        time.sleep(0.05)
        left = family(bridge.child.pid)
        clean = not left and (not output.exists() or whole(output))
        bridge.end()
        row.case(clean, f"point {k}: processes {left}")
    again = Bridge(cache)
    again.say(p.Hello())
    again.hear()
    again.job("again", capture, tmp_path / "again")
    again.end()
    same = mesh_of(tmp_path / "again") == expected
    row.measured = "no process and no half file left; the next run gives the same head to the bit"
    assert not row.escapes and same


def test_a_bridge_that_is_stopped_goes_on(capture, tmp_path, expected):
    row = ledger.row("`SIGSTOP` for 3 s in mid-job, three times")
    bridge = Bridge(tmp_path / "cache")
    bridge.say(p.Hello())
    bridge.hear()
    bridge.say(p.Run("j", str(capture), str(tmp_path / "out"), SETTINGS))
    for _ in range(3):
        bridge.hear()
        bridge.child.send_signal(signal.SIGSTOP)
        time.sleep(3)
        bridge.child.send_signal(signal.SIGCONT)
        row.case(bridge.child.poll() is None)
    while not isinstance(bridge.hear(), p.Done):
        pass
    bridge.end()
    row.measured = "the same head to the bit"
    assert not row.escapes and mesh_of(tmp_path / "out") == expected


def test_garbage_on_the_wire(tmp_path):
    row = ledger.row("garbage on the wire: random bytes, half messages, wrong types, lines of a megabyte")
    rng = random.Random(0)
    good = p.encode(p.Run("x", "c", "o")).encode()
    lines = [rng.randbytes(rng.randint(1, 200)).replace(b"\n", b"") + b"\n" for _ in range(100)]
    lines += [good[: rng.randint(1, len(good) - 2)] + b"\n" for _ in range(100)]
    lines += [b'{"type": "run", "id": %d}\n' % i for i in range(20)]
    lines += [b"[" * 100_000 + b"\n", b"x" * 1_000_000 + b"\n", b'{"type": "done", "id": "x", "ok": true}\n']
    bridge = Bridge(tmp_path, ("dummy", "--seconds", "0.05"))
    bridge.say(p.Hello())
    bridge.hear()
    for index, line in enumerate(lines):
        bridge.say(line)
        row.case(bridge.child.poll() is None, f"line {index}")
    heard = bridge.job("j", tmp_path, tmp_path / "out")
    bridge.end()
    errors = sum(isinstance(message, p.Error) for message in heard)
    row.measured = f"{errors} lines answered with an error each, the job that followed done"
    assert not row.escapes and heard[-1].ok and errors >= len(lines) - 5
    assert b"Traceback" not in bridge.rest()


@pytest.mark.parametrize("number", [p.PROTOCOL - 1, p.PROTOCOL + 1])
def test_a_protocol_off_by_one(tmp_path, number):
    row = ledger.row(f"an add-on that speaks protocol {number}")
    bridge = Bridge(tmp_path, ("dummy",))
    bridge.say(p.Hello(protocol=number))
    bridge.hear()
    error = bridge.hear()
    code = bridge.child.wait(10)
    row.case(isinstance(error, p.Error) and code == 1 and "update both" in error.sentence)
    row.measured = "one sentence that names both versions, exit code 1"
    bridge.end()
    assert not row.escapes


def damage(path: Path, kind: str, rng: random.Random) -> None:
    data = path.read_bytes()
    if kind == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "random":
        path.write_bytes(rng.randbytes(len(data)))
    elif kind == "one byte":
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    elif kind == "other arrays":
        np.savez(path, other=np.zeros(3))
    elif kind == "folder":
        path.unlink()
        path.mkdir()


def test_a_damaged_cache_is_an_empty_one(tmp_path):
    row = ledger.row("entries of the cache cut, emptied, overwritten, one byte flipped, replaced")
    rng = random.Random(1)
    cache = Cache(tmp_path)
    arrays = {"a": np.arange(500.0), "b": np.ones((20, 3), np.float32)}
    for kind in ("cut", "empty", "random", "one byte", "folder") * 20:
        key = f"k{row.cases}"
        cache.put(key, arrays)
        damage(tmp_path / "stages" / f"{key}.npz", kind, rng)
        try:
            found = cache.get(key)
            right = found is None or all(np.array_equal(found[name], arrays[name]) for name in arrays)
        except Exception as error:  # noqa: BLE001  that is what is counted
            right = False
            kind += repr(error)
        row.case(right, kind)
        cache.put(key, arrays)
    row.measured = "missing or right, never wrong"
    assert not row.escapes, row.escapes


WRITER = """
import sys, numpy as np
from pathlib import Path
from bridge.job.cache import Cache
cache, wrong = Cache(Path(sys.argv[1])), 0
for i in range(300):
    key = f"k{i % 7}"
    found = cache.get(key)
    wrong += found is not None and not (found["a"] == i % 7).all()
    cache.put(key, {"a": np.full(20_000, i % 7)})
print(wrong)
"""


def test_two_processes_on_one_cache(tmp_path):
    row = ledger.row("three processes that read and write the same seven cache entries 300 times each")
    words = [sys.executable, "-c", WRITER, str(tmp_path)]
    children = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for child in children:
        out, complaint = child.communicate(timeout=120)
        row.case(child.returncode == 0 and out.strip() == b"0" and not complaint, complaint.decode()[-200:])
    left = list((tmp_path / "stages").glob("*.tmp"))
    row.measured = "no wrong entry, no temporary file left"
    assert not row.escapes and not left


def reconstruct(*words: str, limit: int | None = None, **environment: str) -> subprocess.CompletedProcess:
    def limited() -> None:
        if limit is not None:  # as a disk that is full: every longer write fails
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "bridge", "reconstruct", *words, "--normals", "measured", "--preset", "draft"]
    command += ["--steps", "15", "--max-vertices", "1500"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, preexec_fn=limited, env=os.environ | environment
    )


def test_outputs_that_cannot_be_written(capture, tmp_path):
    row = ledger.row("outputs and reports in places that cannot be written")
    (tmp_path / "file").touch()
    (tmp_path / "folder.ply").mkdir()
    cases = [
        ("-o", str(tmp_path / "file" / "head.ply")),
        ("-o", str(tmp_path / "folder.ply")),
        ("-o", str(tmp_path / "head.ply"), "--report", str(tmp_path / "file" / "r.json")),
        ("-o", str(tmp_path / "head.ply"), "--picture", str(tmp_path / "file" / "r.png")),
        ("-o", "/proc/head.ply"),
    ]
    for words in cases:
        done = reconstruct(str(capture), *words)
        refused = done.returncode == 1 and "Error: " in done.stderr and "Traceback" not in done.stderr
        row.case(refused and "Carving" not in done.stdout, done.stderr[-200:])
    row.measured = "refused before any work"
    assert not row.escapes, row.escapes


@pytest.mark.parametrize("kilobytes", [1, 20, 60, 200])
def test_a_disk_that_fills_up(capture, tmp_path, kilobytes):
    row = ledger.row(f"a disk on which no file grows beyond {kilobytes} KB, over an earlier good head")
    target = tmp_path / "head.ply"
    target.write_bytes(b"an earlier, good head")
    done = reconstruct(str(capture), "-o", str(target), limit=kilobytes << 10, SKULLPTOR_CACHE=str(tmp_path / "cache"))
    if done.returncode == 0:
        clean = target.read_bytes().startswith(b"ply")
        row.measured = "enough: the head is written"
    else:
        clean = target.read_bytes() == b"an earlier, good head" and "Traceback" not in done.stderr.split("Error: ")[-1]
        row.measured = "one sentence, the earlier file untouched"
    row.case(clean and "Error: Success" not in done.stderr, done.stderr[-300:])
    assert not row.escapes, done.stderr


NO_SOCKETS = """
import sys
def forbid(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise RuntimeError("a socket was asked for: " + event)
sys.addaudithook(forbid)
from bridge.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_whole_reconstruction_with_sockets_forbidden(capture, tmp_path):
    row = ledger.row("the main job, predicted normals, with every socket forbidden")
    words = ["reconstruct", str(capture), "-o", str(tmp_path / "h.ply"), "--preset", "draft", "--steps", "15"]
    words += ["--max-vertices", "1500"]
    done = subprocess.run(
        [sys.executable, "-c", NO_SOCKETS, *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    row.case(done.returncode == 0 and (tmp_path / "h.ply").is_file(), done.stderr[-300:])
    row.measured = "done; nothing asked for a socket"
    assert not row.escapes, done.stderr
