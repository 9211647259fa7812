"""Stages: views that show no head or cannot be right are left out and named, or they would be carved in."""

from __future__ import annotations

from ..capture.inputs import Inputs
from ..check.findings import ERROR, WARNING, Finding, names
from ..mattes.headless import without_head
from .record import Job, Tools

# Of the check's errors: so large a share of the views may be wrong, and so many must stay, for the rest to be believed.
MOST, LEAST = 0.25, 3
CURE = "Use a photograph that shows the head, or give a mask of it if this one does."


def leave_out(job: Job, tools: Tools) -> None:
    """Stage: the run goes on without photographs that show no head; most of them always do."""
    job.findings = headless(job.inputs)


def leave_out_faulty(job: Job, tools: Tools) -> None:
    """Stage: the run goes on without views of which the check is sure that something is wrong, where they are few."""
    inputs = job.inputs
    faulty = {name for found in job.checked if found.severity == ERROR for name in found.views}
    stay = [i for i, view in enumerate(inputs.capture.views) if view.name not in faulty]
    out = len(inputs.capture.views) - len(stay)
    if not out or out > MOST * len(inputs.capture.views) or len(stay) < LEAST:
        return
    inputs.keep(stay)
    left = tuple(sorted(faulty))
    sentence = f"{names(left)} took no part in this head."
    job.findings = [Finding("left-out", WARNING, left, sentence, "Correct what is wrong there, and it will.")]


def headless(inputs: Inputs) -> list[Finding]:
    """Take the views that show no head out of the inputs; what was taken out, and why."""
    found = without_head(
        inputs.pixels,
        [m.matte for m in inputs.maps],
        [m.confidence for m in inputs.maps],
        [mask is not None for mask in inputs.given_masks],
    )
    if not found:
        return []
    names = tuple(inputs.capture.views[i].name for i in found)
    which = f"View '{names[0]}' shows" if len(names) == 1 else f"Views {', '.join(names)} show"
    inputs.keep([i for i in range(len(inputs.photos)) if i not in found])
    return [Finding("no-head", WARNING, names, f"{which} no head: left out.", CURE)]
