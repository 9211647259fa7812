"""What is going on now, for the panel: plain data, no bpy, gone with Blender. Nothing here enters files or undo."""

from __future__ import annotations

from dataclasses import dataclass, field

from .job import Job
from .preflight import Finding
from .setup import SetUp


@dataclass
class Outcome:
    """How the last run ended."""

    ok: bool
    text: str
    cure: str = ""
    warnings: list[str] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)  # the same with codes and cures, where they have some
    about: str = ""  # the cameras that it is about, see scene/capture.signature
    report: str = ""
    picture: str = ""
    result: str = ""  # path of the .npz
    object_name: str = ""
    code: str = ""  # of an error
    alert: bool = False  # it went well, and what it found is bad


job: Job | None = None
outcome: Outcome | None = None
findings: list[Finding] | None = None  # of the last check, None when none was made
findings_about = ""  # the cameras that they are about, see scene/capture.signature
check_picture = ""  # of the bridge's check of the cameras
last_folder = ""  # of the file browser
run_folder = ""  # what the last run of the engine wrote into, for its report
quiet = False  # the caller prints the outcome itself
doctor_text = ""
doctor_running = False
set_up: SetUp | None = None  # the one that runs, or the last one


def running() -> Job | None:
    return job if job is not None and job.running else None


def setting_up() -> SetUp | None:
    return set_up if set_up is not None and set_up.running else None


def expire() -> None:
    """The cameras have changed: what was said about them is no longer true."""
    global findings, outcome, check_picture
    findings, check_picture = None, ""
    if outcome is not None and not outcome.ok:
        outcome = None


def reset() -> None:
    """For a new file: what was said about the old one is no longer true."""
    global job, outcome, findings, check_picture, run_folder
    job = outcome = findings = None
    check_picture = run_folder = ""
