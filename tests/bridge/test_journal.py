"""What a run leaves behind: notes always, results until somebody has them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("numba")

from bridge.job import cli, run_folder, runner, stages  # noqa: E402
from bridge.job.record import Stage  # noqa: E402
from bridge.service import protocol as p  # noqa: E402
from bridge.service.wire import Control  # noqa: E402

SETTINGS = p.JobSettings(normals="measured", seed=7)


def play(output, *functions, control=None):
    """A run of toy stages. Returns its run.json, its log and what it said."""
    table = tuple(
        Stage(f"Stage {name}", 0.5, stages.always, function) for name, function in zip("AB", functions, strict=False)
    )
    heard = []
    runner.JobRunner(stages=table).run(p.Run("j", "capture", str(output), SETTINGS), heard.append, control or Control())
    return json.loads((output / "run.json").read_text()), (output / "run.log").read_text(), heard


def test_a_run_leaves_its_settings_versions_and_timings(tmp_path):
    body, log, _ = play(
        tmp_path, lambda job, tools: tools.report.warn("w", "A word.", "Listen."), lambda job, tools: None
    )
    assert body["ended"] == "done" and body["settings"]["seed"] == 7 and body["capture"] == "capture"
    assert body["skullptor"] == p.VERSION and "numpy" in body["packages"]
    assert list(body["seconds"]) == ["Stage A", "Stage B"] and body["seconds_total"] >= sum(body["seconds"].values())
    assert body["warnings"] == ["A word."] and "Warning: A word. Listen." in log


def test_a_fault_of_our_own_leaves_its_trace_and_says_where(tmp_path):
    def broken(job, tools):
        raise KeyError("nothing of this name")

    body, log, heard = play(tmp_path, broken)
    (error,) = [message for message in heard if isinstance(message, p.Error)]
    assert body["ended"] == "failed" and body["error"]["code"] == "internal"
    assert "Traceback" in log and "in broken" in log and str(tmp_path / "run.log") in error.cure


def test_a_sentence_of_our_own_leaves_no_trace_and_a_cancelled_run_says_so(tmp_path):
    def refuse(job, tools):
        raise p.ProtocolError("This cannot be.")

    control = Control()
    body, log, _ = play(tmp_path, lambda job, tools: control.cancel.set(), lambda job, tools: None, control=control)
    assert body["ended"] == "cancelled" and "Traceback" not in log
    body, _, _ = play(tmp_path, refuse)
    assert body["error"]["sentence"] == "This cannot be." and "warnings" not in body


def test_while_it_runs_the_notes_are_there_for_whoever_finds_it_dead(tmp_path):
    def look(job, tools):
        assert json.loads((job.output / "run.json").read_text())["ended"] == "running"
        assert "Stage A" in (job.output / "run.log").read_text()

    assert play(tmp_path, look)[0]["ended"] == "done"


def test_notes_that_cannot_be_written_cost_no_run(tmp_path):
    (tmp_path / "run.log").mkdir()
    (tmp_path / "run.json").mkdir()
    heard = []
    table = (Stage("Stage", 1.0, stages.always, lambda job, tools: None),)
    runner.JobRunner(stages=table).run(p.Run("j", "c", str(tmp_path), SETTINGS), heard.append, Control())
    assert not [message for message in heard if isinstance(message, p.Error)]


class Made:
    """Stands for the runner: the head is there at once, and no camera was moved."""

    def __init__(self, cache) -> None:
        pass

    def run(self, run, send, control):
        for name in ("head.ply", "report.json", "run.json", "run.log"):
            Path(run.output, name).write_bytes(b"of this run")
        send(p.Result("cli", "head.npz", "report.json", "report.png"))


@pytest.fixture
def made(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "JobRunner", Made)
    monkeypatch.setenv("SKULLPTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run_folder.tempfile, "tempdir", str(tmp_path))


def full(source, target):
    """As a disk that fills up while the file is copied."""
    Path(target).write_bytes(b"of t")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("home", ["writable", "not writable"])
@pytest.mark.parametrize("asked", [["-o", "head.ply"], ["-o", "head.ply", "--report", "r.json"]])
def test_a_finished_head_that_cannot_be_delivered_is_kept_and_its_place_said(
    made, tmp_path, monkeypatch, capsys, home, asked
):
    monkeypatch.chdir(tmp_path)
    if home == "not writable":
        (tmp_path / "cache").touch()  # neither the cache nor a run's folder in it can be made
    earlier = tmp_path / asked[-1]
    earlier.write_bytes(b"an earlier, good file")
    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda a, b: full(a, b) if earlier.name in Path(b).name else copy(a, b))
    assert cli.reconstruct(["capture", *asked]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{asked[-1]}' cannot be written: No space left on device. The head is kept as '" in line
    kept = Path(line.split("The head is kept as '")[1].split("'")[0])
    assert kept.read_bytes() == b"of this run" and kept.is_relative_to(tmp_path)
    assert earlier.read_bytes() == b"an earlier, good file"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_delivered_run_leaves_its_notes_only_and_a_kept_head_is_never_pruned(made, tmp_path, monkeypatch):
    runs = tmp_path / "cache" / "runs"
    (runs / "20200101-000000-kept").mkdir(parents=True)
    (runs / "20200101-000000-kept" / "head.ply").touch()
    for i in range(run_folder.KEEP):
        (runs / f"20200101-000001-{i:02d}").mkdir()
    assert cli.reconstruct(["capture", "-o", str(tmp_path / "head.ply")]) == 0
    assert (tmp_path / "head.ply").read_bytes() == b"of this run"
    names = sorted(path.name for path in runs.iterdir())
    assert names[0] == "20200101-000000-kept" and len(names) == run_folder.KEEP + 1
    assert sorted(path.name for path in (runs / names[-1]).iterdir()) == ["run.json", "run.log"]


def test_where_no_camera_was_moved_no_refined_capture_and_no_empty_folder_is_left(made, tmp_path, capsys):
    asked = ["capture", "-o", str(tmp_path / "head.ply"), "--refined", str(tmp_path / "refined")]
    assert cli.reconstruct(asked) == 0
    assert not (tmp_path / "refined").exists() and "no refined capture" in capsys.readouterr().out
    (tmp_path / "refined").mkdir()
    (tmp_path / "refined" / "notes.txt").touch()  # what is the user's own stays
    assert cli.reconstruct(asked) == 0 and (tmp_path / "refined" / "notes.txt").exists()
