"""Stages of a run: adding one is a function and a line; reporting, cancel, cache and failures are the runner's."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.check.findings import WARNING, Finding  # noqa: E402
from bridge.job import prepare, stages  # noqa: E402
from bridge.job.cache import Cache  # noqa: E402
from bridge.job.record import Cached, Stage  # noqa: E402
from bridge.job.runner import JobRunner  # noqa: E402
from bridge.mesh import environment  # noqa: E402
from bridge.service import protocol as p  # noqa: E402
from bridge.service.wire import Control  # noqa: E402
from tests.support import synthetic  # noqa: E402

SETTINGS = p.JobSettings(normals="measured", stage="normals")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    synthetic.write(folder, views=4, size=96)
    return folder


def play(capture, tmp_path, table, settings=SETTINGS, control=None, on_message=lambda m: None):
    heard = []

    def send(message):
        heard.append(message)
        on_message(message)

    run = p.Run("j", str(capture), str(tmp_path / "out"), settings)
    JobRunner(Cache(tmp_path / "cache"), table).run(run, send, control or Control())
    return heard


def with_stage(*added: Stage) -> tuple[Stage, ...]:
    """The real table with stages after the reading: the one line that a new stage costs."""
    return (stages.READ, *added, *stages.STAGES[1:])


def of(kind, heard):
    return [message for message in heard if isinstance(message, kind)]


def test_a_stage_of_ones_own_is_reported_and_sees_the_job(capture, tmp_path):
    def count(job, tools):
        for i in range(3):
            tools.report.step(i + 1, 3)
        job.findings.append(Finding("counted", WARNING, (), f"{len(job.inputs.photos)} photographs.", "None needed."))

    heard = play(capture, tmp_path, with_stage(Stage("Counting", 0.5, stages.always, count)))
    assert [(w.code, w.sentence) for w in of(p.Warning, heard)] == [("counted", "4 photographs.")]
    assert "Counting" in [message.stage for message in of(p.Progress, heard)]
    fractions = [message.fraction for message in of(p.Progress, heard)]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
    assert of(p.Result, heard)


def test_a_stage_whose_condition_fails_takes_no_part(capture, tmp_path):
    def never(job, tools):
        raise AssertionError

    heard = play(capture, tmp_path, with_stage(Stage("Idle", 0.5, stages.for_mesh, never)))
    assert of(p.Result, heard) and not of(p.Error, heard)
    assert of(p.Progress, heard)[-1].fraction == pytest.approx(1)  # its share is shared out


def test_an_extra_stage_is_left_out_once_the_artist_asks_for_what_there_is(capture, tmp_path):
    ran, control = [], Control()
    extra = Stage("Polishing", 0.3, stages.always, lambda job, tools: ran.append(1), extra=True)
    control.finish.set()
    heard = play(capture, tmp_path, with_stage(extra), control=control)
    assert not ran and of(p.Result, heard) and of(p.Progress, heard)[-1].fraction == pytest.approx(1)


def test_a_cached_stage_works_once_for_the_same_content(capture, tmp_path):
    ran = []

    def work(job, tools):
        ran.append(1)
        job.steps = 7

    kept = Cached(
        lambda job, tools: "toy",
        lambda job: {"steps": np.array([job.steps])},
        lambda job, arrays: setattr(job, "steps", int(arrays["steps"][0])),
    )
    seen = Stage("Looking", 0.1, stages.always, lambda job, tools: ran.append(job.steps))
    table = with_stage(Stage("Working", 0.1, stages.always, work, kept), seen)
    play(capture, tmp_path, table)
    play(capture, tmp_path, table)
    assert ran == [1, 7, 7]
    (tmp_path / "cache" / "stages" / "toy.npz").write_bytes(b"cut short")
    play(capture, tmp_path, table)
    assert ran == [1, 7, 7, 1, 7]
    np.savez(tmp_path / "cache" / "stages" / "toy.npz", other=np.zeros(1))  # of another version
    play(capture, tmp_path, table)
    assert ran == [1, 7, 7, 1, 7, 1, 7]


def test_only_failures_that_a_stage_forgives_let_the_run_go_on(capture, tmp_path):
    def fail(job, tools):
        raise ValueError("no luck")

    heard = play(capture, tmp_path / "a", with_stage(Stage("Trying", 0.1, stages.always, fail, forgiven=(ValueError,))))
    assert of(p.Result, heard) and not of(p.Error, heard)
    heard = play(capture, tmp_path / "b", with_stage(Stage("Trying", 0.1, stages.always, fail)))
    assert [error.sentence for error in of(p.Error, heard)] == ["no luck"] and not of(p.Result, heard)


def test_cancel_is_heard_between_stages(capture, tmp_path):
    control, ran = Control(), []

    def ask(job, tools):
        control.cancel.set()

    table = with_stage(
        Stage("Asking", 0.1, stages.always, ask), Stage("Next", 0.1, stages.always, lambda job, tools: ran.append(1))
    )
    heard = play(capture, tmp_path, table, control=control)
    assert not ran and not of(p.Result, heard) and not of(p.Error, heard)
    assert of(p.Status, heard)[-1].text == "Cancelled."


def test_every_stage_of_the_table_has_its_own_name_and_a_share():
    names = [stage.name for stage in stages.STAGES]
    assert len(set(names)) == len(names) and all(stage.share > 0 for stage in stages.STAGES)


def test_a_first_run_compiles_under_a_name_of_its_own_and_later_ones_do_not(capture, tmp_path, monkeypatch):
    """Kernels are loaded here, not compiled; who was told what is the same."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    (tmp_path / "kernels").mkdir()
    compiled = []
    monkeypatch.setattr(prepare, "TICK", 0.01)
    monkeypatch.setattr(prepare.solve, "warm_up", lambda: compiled.append("solver") or time.sleep(0.2))
    monkeypatch.setattr(prepare.photometric, "warm_up", lambda: compiled.append("matching"))
    settings = p.JobSettings(preset="draft", normals="measured", steps=4, max_vertices=500, match=False)
    first, second = (play(capture, tmp_path, stages.STAGES, settings) for _ in range(2))
    assert compiled == ["solver", "matching"]
    told = [m for m in of(p.Progress, first) if m.stage == stages.PREPARE.name]
    assert len({m.fraction for m in told}) > 5  # the bar moves while nothing says how far it is
    assert not [m for m in of(p.Progress, second) if m.stage == stages.PREPARE.name]
    assert of(p.Result, first) and of(p.Result, second)


def test_the_same_version_in_another_place_compiles_anew_and_says_so(tmp_path, monkeypatch):
    """Two Blenders have a copy of the add-on each; numba keeps what it compiled by the place of the sources."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    (tmp_path / "kernels").mkdir()
    environment.mark_compiled()
    assert environment.compiled()
    other = tmp_path / "other" / "bridge"
    for package in environment.PACKAGES:
        shutil.copytree(environment.BRIDGE / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(environment, "BRIDGE", other)
    assert not environment.compiled()


def test_the_bar_of_a_compiler_always_moves_and_never_ends_by_itself():
    shares = [prepare.share_after(seconds) for seconds in range(0, 1000, 5)]
    assert shares == sorted(set(shares)) and shares[0] == 0 and shares[-1] < 1
