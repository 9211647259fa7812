"""python -m bridge sequence as it is called: whole frames, broken ones, what is kept and what is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.report.results import read_ply  # noqa: E402
from bridge.sequence import cli  # noqa: E402
from bridge.sequence.plan import Plan  # noqa: E402
from bridge.sequence.solve import Worker  # noqa: E402
from bridge.sequence.store import Store  # noqa: E402
from tests.support import ROOT, synthetic  # noqa: E402

SMALL = ["--normals", "measured", "--steps", "20", "--max-vertices", "800"]


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """Three frames of a body that grows; the photographs of the second are broken."""
    folder = tmp_path_factory.mktemp("take")
    for number in (11, 12, 13):
        synthetic.write(folder / f"frame_{number:04d}", views=6, size=96, scale=1.0 + 0.1 * (number - 11))
    (folder / "frame_0012" / "images" / "cam03.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def made(take, tmp_path_factory):
    output = tmp_path_factory.mktemp("made")
    return cli.main([str(take), "-o", str(output), *SMALL]), output


def test_frames_keep_their_numbers_and_a_broken_one_costs_itself_alone(made):
    code, output = made
    store = Store(output)
    assert code == 1 and store.finished() == [11, 13]
    (failure,) = store.failures()
    assert failure.number == 12 and "cam03" in failure.sentence and failure.cure
    sizes = [np.ptp(read_ply(store.place(number) / "head.ply")[0], axis=0).max() for number in (11, 13)]
    assert sizes[1] / sizes[0] == pytest.approx(1.2, abs=0.03)
    assert not any((output / "work").iterdir())


def test_resume_solves_what_is_missing_or_changed_and_nothing_else(made, take, tmp_path, capsys):
    copy, output = tmp_path / "take", tmp_path / "output"
    shutil.copytree(take, copy)  # with its dates
    shutil.copytree(made[1], output)
    before = {number: (output / "frames" / f"00{number}").stat().st_ino for number in (11, 13)}
    shutil.copyfile(copy / "frame_0011" / "images" / "cam03.png", copy / "frame_0012" / "images" / "cam03.png")
    assert cli.main([str(copy), "-o", str(output), *SMALL, "--resume"]) == 0
    assert "2 of 3 frames are there already" in capsys.readouterr().out
    assert Store(output).finished() == [11, 12, 13] and Store(output).failures() == []
    assert {number: (output / "frames" / f"00{number}").stat().st_ino for number in (11, 13)} == before
    assert cli.main([str(copy), "-o", str(output), *SMALL, "--resume", "--seed", "1", "--frames", "13"]) == 0
    assert (output / "frames" / "0013").stat().st_ino != before[13]


def test_the_same_frame_gives_the_same_bytes(made, take, tmp_path):
    assert cli.main([str(take), "-o", str(tmp_path), *SMALL, "--frames", "13"]) == 0
    first, again = (folder / "frames" / "0013" / "head.ply" for folder in (made[1], tmp_path))
    assert first.read_bytes() == again.read_bytes()


def test_a_driver_that_is_killed_and_resumed_gives_the_same_bytes(made, take, tmp_path):
    command = [sys.executable, "-m", "bridge", "sequence", str(take), "-o", str(tmp_path), *SMALL]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = Store(tmp_path)
    while not store.finished():
        assert driver.poll() is None
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    before = store.place(11).stat().st_ino
    assert cli.main([*command[4:], "--resume"]) == 1  # frame 12's photographs are broken
    assert store.finished() == [11, 13] and store.place(11).stat().st_ino == before
    for number in (11, 13):
        whole, resumed = (Store(folder).place(number) / "head.ply" for folder in (made[1], tmp_path))
        assert whole.read_bytes() == resumed.read_bytes()


def test_a_full_disk_ends_the_run_and_says_how_to_go_on(take, tmp_path):
    def write_nothing(number, folder, control):
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    store.claim()
    with pytest.raises(BridgeError) as caught:
        Worker(Plan(str(take), str(tmp_path)), solve=write_nothing).frame(11)
    assert caught.value.code == "output" and "No space left" in caught.value.sentence
    assert "--resume" in caught.value.cure and store.failures() == [] and not any((tmp_path / "work").iterdir())


def test_no_cluster_is_one_sentence_and_exit_code_1(take, tmp_path, capsys):
    pytest.importorskip("ray")
    assert cli.main([str(take), "-o", str(tmp_path), "--ray", "127.0.0.1:1"]) == 1
    assert "No Ray cluster answers at '127.0.0.1:1'" in capsys.readouterr().err


def test_two_workers_give_the_bytes_of_one(made, take, tmp_path):
    pytest.importorskip("ray")
    assert cli.main([str(take), "-o", str(tmp_path), *SMALL, "--workers", "2"]) == 1
    for number in (11, 13):
        files = [folder / "frames" / f"00{number}" / "head.ply" for folder in (made[1], tmp_path)]
        assert files[0].read_bytes() == files[1].read_bytes()
    body = json.loads((tmp_path / "failed" / "0012.json").read_text())
    assert body["number"] == 12
