"""The report of a run as text, from what the engine left."""

from __future__ import annotations

import json
from pathlib import Path

from skullptor_extension.skullptor_blender.link import run_report


def notes(folder, log="  0.10 s  Reading photos\n  0.20 s  Error: It broke. Mend it.\n"):
    folder.mkdir(parents=True)
    body = {
        "skullptor": "0.1.0",
        "python": "3.11.7",
        "system": "Linux",
        "packages": {"numpy": "2.4.6"},
        "started": "2026-11-27T12:00:00",
        "settings": {"preset": "draft", "seed": 7, "steps": None},
        "ended": "failed",
        "seconds": {"Reading photos": 0.1},
    }
    (folder / "run.json").write_text(json.dumps(body))
    (folder / "run.log").write_text(log)
    return folder


def test_the_report_holds_what_is_useful_and_not_the_users_name(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = notes(tmp_path / "cache" / "output")
    assert run_report.leave_notes(folder, ["Killed by the system"])
    text = run_report.text_of(folder, ["Skullptor 0.1.0, Blender 4.5", "It broke. Mend it. [broken]", ""])
    for said in ("Blender 4.5", "[broken]", "Python 3.11.7", "numpy 2.4.6", "preset draft, seed 7\n",
                 "Reading photos 0.1", "failed", "Error: It broke.", "Killed by the system", "Folder: ~"):  # fmt: skip
        assert said in text, said
    assert str(tmp_path) not in text and "steps" not in text


def test_only_the_end_of_a_long_log_is_told(tmp_path):
    folder = notes(tmp_path / "o", "".join(f"line {i}\n" for i in range(1000)))
    text = run_report.text_of(folder, [])
    assert "line 999" in text and "line 0\n" not in text and text.count("line ") == run_report.LINES


def test_a_run_that_never_began_and_notes_that_are_damaged(tmp_path):
    assert run_report.text_of(None, ["It cannot start."]) == "It cannot start.\n"
    assert not run_report.leave_notes(tmp_path)
    for damaged in ("", "[]", '{"settings": 3}'):
        (tmp_path / "run.json").write_text(damaged)
        assert "without run.json" in run_report.text_of(tmp_path, [])
