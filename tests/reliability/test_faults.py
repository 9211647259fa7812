"""Faults of machines: killed processes, garbage on the wire, broken caches, full disks, forbidden sockets."""

from __future__ import annotations

import json
import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bridge.job.cache import Cache
from bridge.mesh.environment import _kernel_folder as kernels
from bridge.service import protocol as p
from tests.support import ROOT

from . import ledger
from .processes import family

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

    def job(
        self, name: str, capture: Path, output: Path, seconds: float = 60, settings: p.JobSettings = SETTINGS
    ) -> list[p.Message]:
        self.say(p.Run(name, str(capture), str(output), settings))
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


def writes(folder: Path, name: str, bridge: Bridge) -> None:
    """Wait until the bridge is at work on a file, or through with it."""
    while not list(folder.glob(f"{name}*.tmp")) and not (folder / name).exists() and bridge.child.poll() is None:
        pass


def test_the_bridge_is_killed_at_twenty_points_of_a_job(capture, tmp_path, expected):
    row = ledger.row("`kill -9` of the bridge at 20 points of a job, 4 of them while it writes, then the same again")
    cache = tmp_path / "cache"
    files = ["head.npz", "head.ply", "report.png", "report.json"]
    for k in range(KILLS):
        output = tmp_path / f"out{k}"
        bridge = Bridge(cache)
        bridge.say(p.Hello())
        bridge.hear()
        bridge.say(p.Run("j", str(capture), str(output), SETTINGS))
        if k < KILLS - len(files):
            for _ in range(2 * k):
                if isinstance(bridge.hear(), p.Done):
                    break
        else:
            writes(output, files[k - KILLS], bridge)
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
    again.job("again", capture, tmp_path / "out19")  # over what the last one left
    again.end()
    same = mesh_of(tmp_path / "out19") == expected and whole(tmp_path / "out19")
    row.measured = "no process and no half file left; the next run gives the same head to the bit"
    assert not row.escapes and same


def test_a_bridge_that_is_stopped_goes_on(capture, tmp_path, expected):
    row = ledger.row("`SIGSTOP` for 30 s in mid-job, and twice for 3 s")
    bridge = Bridge(tmp_path / "cache")
    bridge.say(p.Hello())
    bridge.hear()
    bridge.say(p.Run("j", str(capture), str(tmp_path / "out"), SETTINGS))
    for seconds in (3, 30, 3):
        bridge.hear()
        bridge.child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
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
from bridge.mesh.environment import _kernel_folder as kernels
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
    variables = os.environ | {"NUMBA_CACHE_DIR": str(kernels())} | environment  # compiled once for all
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, preexec_fn=limited, env=variables
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


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many kilobytes; gone after the test."""
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{kilobytes}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a small disk here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [8, 16])
def test_a_small_disk_for_the_head(capture, tmp_path, small_disk, kilobytes):
    row = ledger.row(f"a real disk of {kilobytes} KB for the head, with an earlier good one on it")
    target = small_disk(kilobytes) / "head.ply"
    target.write_bytes(b"an earlier, good head")
    done = reconstruct(str(capture), "-o", str(target), SKULLPTOR_CACHE=str(tmp_path / "cache"))
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    kept = Path(line.split("The head is kept as '")[1].split("'")[0])
    clean = done.returncode == 1 and "No space left on device" in line and kept.read_bytes().startswith(b"ply")
    row.case(clean and target.read_bytes() == b"an earlier, good head", done.stderr[-300:])
    left = [path.name for path in target.parent.iterdir()]
    row.measured = "one sentence with the system's reason and where the head is kept; the earlier file untouched"
    assert not row.escapes and left == ["head.ply"], (done.stderr, left)


@pytest.mark.parametrize("kilobytes", [32, 300])
def test_a_small_disk_for_cache_and_runs(capture, tmp_path, small_disk, kilobytes):
    """The run's own folder is on it: what cannot be written there is still not lost."""
    row = ledger.row(f"a real disk of {kilobytes} KB for the cache and the run's folder")
    disk = small_disk(kilobytes)
    target = tmp_path / "head.ply"
    done = reconstruct(str(capture), "-o", str(target), SKULLPTOR_CACHE=str(disk), TMPDIR=str(tmp_path))
    if done.returncode == 0:
        row.case(target.read_bytes().startswith(b"ply"), done.stderr[-300:])
        row.measured = "done: the head is where it was asked for"
    else:
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        kept = Path(line.split("The head is kept as '")[1].split("'")[0])
        row.case("No space left" in line and kept.read_bytes().startswith(b"ply"), line)
        row.measured = "one sentence with the system's reason and the place where the head is kept"
    assert not row.escapes, done.stderr


LIMITED = """
import resource, sys
stage, least, megabytes, *words = sys.argv[1:]
from bridge.service.reporter import Reporter
real, once = Reporter.step, []
def limited(self, done, total, work=None):
    real(self, done, total, work)
    if self.stage == stage and done >= int(least) and not once:
        size = int(open("/proc/self/statm").read().split()[0]) * 4096
        once.append(resource.setrlimit(resource.RLIMIT_AS, (size + (int(megabytes) << 20),) * 2))
Reporter.step = limited
from bridge.__main__ import main
sys.exit(main(words))
"""


@pytest.mark.parametrize(
    ("stage", "step", "name"),
    [("Carving the head", 1, "measured"), ("Predicting normals", 0, "network"), ("Predicting normals", 1, "network")],
)
def test_a_limit_of_memory(capture, tmp_path, stage, step, name):
    row = ledger.row(f"no more memory than 1, 8 and 64 MB from step {step} of '{stage}' on")
    said = set()
    for megabytes in (1, 8, 64):
        words = ["reconstruct", str(capture), "-o", str(tmp_path / "head.ply"), "--preset", "draft", "--no-cache"]
        command = [sys.executable, "-c", LIMITED, stage, str(step), str(megabytes), *words]
        command += ["--normals", name, "--steps", "15"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        enough = done.returncode == 0 and (tmp_path / "head.ply").is_file()
        row.case(enough or (done.returncode == 1 and len(errors) == 1), f"{megabytes} MB: {done.stderr[-300:]}")
        said |= {"done" if enough else errors[0].removeprefix("Error: ")} if enough or errors else {"nothing"}
        (tmp_path / "head.ply").unlink(missing_ok=True)
    row.measured = "; ".join(sorted(said))
    assert not row.escapes, row.escapes
    assert said <= {"done", "There is not enough memory. Close other programs or choose a lower preset."}


def test_weights_that_are_not_those_on_record(tmp_path):
    """One byte of each file of the weights flipped; nothing of a wrong file is ever run."""
    from bridge.normals import WEIGHTS
    from bridge.normals.multiview import MultiViewPredictor

    row = ledger.row("weights with one byte flipped")
    for path in sorted(WEIGHTS.glob("*.onnx")):
        place = tmp_path / path.stem
        shutil.copytree(WEIGHTS, place)
        damage(place / path.name, "one byte", random.Random(row.cases))
        with pytest.raises(ValueError, match="another checksum") as refused:
            MultiViewPredictor(place, "cpu")
        row.case(path.name in str(refused.value) and "\n" not in str(refused.value))
    row.measured = "refused by name before they are loaded"
    assert row.cases >= 3 and not row.escapes


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
