"""The bridge's keeper against the dummy bridge, in every way that it can misbehave; and nobody is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from skullptor_extension.bridge.service import protocol
from skullptor_extension.skullptor_blender.link import job as jobs
from skullptor_extension.skullptor_blender.link import worker as workers

from tests.support import ROOT

PYTHON = Path(sys.executable)


def alive(pid: int) -> bool:
    """A zombie is not alive: its parent is this test."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def start(tmp_path):
    """start("--die") -> a job with a dummy bridge of its own."""
    made = []

    def begin(options="", python=PYTHON) -> jobs.Job:
        name = f"job{len(made)}"
        worker = workers.Worker(python, ROOT, tmp_path / "log" / f"{name}.log", f"dummy --seconds 0.3 {options}")
        made.append(worker)
        return jobs.Job(name, tmp_path, tmp_path / "out", protocol.JobSettings(), worker)

    yield begin
    for worker in made:
        worker.stop()
        assert not alive(worker.pid)


def run(job: jobs.Job, seconds: float = 20.0, each=lambda job: None) -> jobs.Job:
    """Step to the end; no step may take long, because the window waits for it."""
    end = time.monotonic() + seconds
    while job.running:
        assert time.monotonic() < end, f"still {job.stage} after {seconds} s"
        before = time.monotonic()
        job.step()
        if job.running:
            assert time.monotonic() - before < 0.25
        each(job)
        time.sleep(0.01)
    return job


def test_a_job_to_its_end(start):
    fractions, previews = [], set()

    def look(job):
        fractions.append(job.fraction)
        previews.add(job.preview)

    job = run(start(), each=look)
    assert job.state == jobs.FINISHED
    assert job.error is None
    assert Path(job.result.path).is_file()
    assert Path(job.result.report).is_file()
    assert fractions == sorted(fractions)
    assert job.fraction == 1.0
    assert len(previews) > 1
    assert [w.code for w in job.warnings] == ["dummy"]


def test_one_warm_bridge_serves_several_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv(workers.COMMAND_VARIABLE, "dummy --seconds 0.1")
    pids = []
    for number in range(3):
        worker = workers.warm_worker(PYTHON, ROOT, tmp_path)
        pids.append(worker.pid)
        assert run(jobs.Job(f"j{number}", tmp_path, tmp_path / "o", protocol.JobSettings(), worker)).state == "FINISHED"
    assert len(set(pids)) == 1
    monkeypatch.setenv(workers.COMMAND_VARIABLE, "dummy --seconds 0.2")
    other = workers.warm_worker(PYTHON, ROOT, tmp_path)
    assert other.pid != pids[0]
    assert not alive(pids[0])
    workers.stop_all()
    assert not alive(other.pid)


def test_finish_now_gives_a_result_early(start):
    job = start("--seconds 5")

    def look(job):
        if job.fraction > 0.05:
            job.finish()

    began = time.monotonic()
    run(job, each=look)
    assert job.state == jobs.FINISHED
    assert time.monotonic() - began < 15


def test_cancel_within_a_second(start):
    job = start("--seconds 10")
    while job.fraction == 0:
        job.step()
        time.sleep(0.01)
    job.cancel()
    began = time.monotonic()
    run(job)
    assert (job.state, job.result, job.error) == (jobs.CANCELLED, None, None)
    assert time.monotonic() - began < 1.0
    assert job.worker.running  # warm for the next


def test_cancel_before_the_bridge_has_said_hello(start):
    job = start("--seconds 10")
    job.cancel()
    assert run(job).state == jobs.CANCELLED


def test_a_bridge_that_fails_says_why(start):
    job = run(start("--fail"))
    assert job.state == jobs.FAILED
    assert job.error.code == "dummy"
    assert job.error.cure


def test_a_bridge_that_dies_is_an_error_at_once_with_its_last_words(start):
    job = run(start("--die"))
    assert job.state == jobs.FAILED
    assert job.error.code == "bridge-died"
    assert "dying as told" in job.error.sentence
    assert "exit code 3" in job.error.sentence
    assert "log" in job.error.cure


def test_a_bridge_that_is_killed_from_outside(start):
    job = start("--seconds 10")
    while job.fraction == 0:
        job.step()
        time.sleep(0.01)
    os.kill(job.worker.pid, 9)
    began = time.monotonic()
    run(job)
    assert time.monotonic() - began < 2
    assert job.error.code == "bridge-died"


def test_garbage_ends_the_job_and_the_bridge(start):
    job = run(start("--garbage"))
    assert job.error.code == "garbage"
    assert not alive(job.worker.pid)


@pytest.mark.parametrize("how", ["--hang", "--deaf --seconds 3"])
def test_a_bridge_that_ignores_cancel_is_killed_within_a_second(start, how):
    job = start(how)
    while job.fraction < 0.45:
        job.step()
        time.sleep(0.01)
    time.sleep(0.2)  # into the middle, where it stops listening
    began = time.monotonic()
    job.cancel()
    run(job, 10)
    assert job.state == jobs.CANCELLED
    assert time.monotonic() - began > workers.CANCEL_SECONDS / 2  # it was given its chance
    end = time.monotonic() + 10
    while alive(job.worker.pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_another_protocol_is_named(start):
    job = run(start("--protocol 99"))
    assert job.error.code == "no-bridge"
    assert "protocol 99" in job.error.sentence


def test_no_hello(start, monkeypatch):
    monkeypatch.setattr(workers, "HELLO_SECONDS", 0.5)
    job = run(start("--no-hello"))
    assert job.error.code == "no-bridge"
    assert "does not answer" in job.error.sentence
    assert not alive(job.worker.pid)


def test_no_interpreter(tmp_path, monkeypatch):
    monkeypatch.delenv(workers.PYTHON_VARIABLE, raising=False)
    with pytest.raises(workers.WorkerError) as caught:
        workers.find_interpreter("", tmp_path)
    assert caught.value.code == "no-bridge"
    assert caught.value.cure
    with pytest.raises(workers.WorkerError, match="no such file"):
        workers.find_interpreter(str(tmp_path / "python"), tmp_path)
    monkeypatch.setenv(workers.PYTHON_VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(workers.WorkerError, match=workers.PYTHON_VARIABLE):
        workers.find_interpreter("", tmp_path)


def test_the_interpreter_is_found_in_the_order_that_is_promised(tmp_path, monkeypatch):
    monkeypatch.delenv(workers.PYTHON_VARIABLE, raising=False)

    def environment(name):
        python = workers.environment_python(tmp_path / name)
        python.parent.mkdir(parents=True)
        python.touch()
        return python

    own = environment("user/environment")
    made = [tmp_path / "nowhere", tmp_path / "user" / "environment"]
    with pytest.raises(workers.WorkerError, match="not finished"):
        workers.find_interpreter("", tmp_path, made)
    (made[1] / workers.READY).touch()
    assert workers.find_interpreter("", tmp_path, made) == own
    checkout = environment(".venv")
    assert workers.find_interpreter("", tmp_path, made) == checkout
    variable = environment("variable")
    monkeypatch.setenv(workers.PYTHON_VARIABLE, str(variable))
    assert workers.find_interpreter("", tmp_path, made) == variable
    preferred = environment("größe mit leer")
    assert workers.find_interpreter(str(preferred), tmp_path) == preferred
    assert workers.find_interpreter(str(preferred.parents[1]), tmp_path) == preferred  # the environment's folder


def test_something_that_is_no_python(start, tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    job = run(start(python=fake))
    assert job.error.code == "no-bridge"
    fake.write_text("no program at all")
    with pytest.raises(workers.WorkerError) as caught:
        start(python=fake)
    assert caught.value.code == "no-bridge"


def test_a_python_without_the_bridges_packages(start, tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho \"This Python lacks the package 'numba'.\" >&2\nexit 1\n")
    fake.chmod(0o755)
    job = run(start(python=fake))
    assert job.error.code == "no-bridge"
    assert "numba" in job.error.sentence


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(workers.WorkerError) as caught:
        workers.Worker(PYTHON, ROOT, tmp_path / "file" / "log", "dummy")
    assert caught.value.code == "output"


def test_blenders_python_variables_do_not_reach_the_child(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nonsense")
    monkeypatch.setenv("PYTHONHOME", "/nonsense")
    environment = workers.child_environment()
    assert not [key for key in environment if key.startswith("PYTHON")]


SCRIPT = """
    import importlib.util, pathlib, signal, sys, time
    root = pathlib.Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location("ext", root / "__init__.py", submodule_search_locations=[str(root)])
    sys.modules["ext"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    from ext.skullptor_blender.link import worker
    from ext.bridge.service import protocol
    {before}
    w = worker.Worker(pathlib.Path(sys.executable), root, pathlib.Path(sys.argv[2]), "dummy --seconds 60 {options}")
    while not w.greeted:
        w.poll(); time.sleep(.01)
    w.send(protocol.Run("a", ".", sys.argv[3]))
    time.sleep(.3)
    print(w.pid, flush=True)
    {after}
"""


def host(tmp_path, before="pass", options="", after="pass"):
    code = textwrap.dedent(SCRIPT).format(before=before, options=options, after=after.strip())
    arguments = [sys.executable, "-c", code, str(ROOT), str(tmp_path / "log"), str(tmp_path / "o")]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


def gone(pid, seconds):
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


def test_a_host_that_ends_leaves_nobody(tmp_path):
    done = host(tmp_path, options="--hang")
    assert done.returncode == 0, done.stderr
    assert gone(int(done.stdout), 1)


def test_a_host_that_is_killed_leaves_nobody(tmp_path):
    """The pipe closes, and the bridge ends itself."""
    done = host(tmp_path, after="import os; os.kill(os.getpid(), 9)")
    assert done.returncode == -9
    assert gone(int(done.stdout), 5)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_writing_to_a_dead_bridge_does_not_kill_blender(tmp_path):
    """Blender 4.3 leaves SIGPIPE deadly."""
    done = host(
        tmp_path,
        before="signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
        after="""
import os
os.kill(w.pid, 9)
w._process.wait()
try:
    for _ in range(3):
        w.send(protocol.Cancel("a"))
except worker.WorkerError as error:
    print(error.code)
""",
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.split()[1] == "bridge-died"
