"""Stage: views that show no head are left out and named, or the network's idea of one would be carved in."""

from __future__ import annotations

from ..capture.inputs import Inputs
from ..check.findings import WARNING, Finding
from ..mattes.headless import without_head
from .record import Job, Tools

CURE = "Use a photograph that shows the head, or give a mask of it if this one does."


def leave_out(job: Job, tools: Tools) -> None:
    """Stage: the run goes on without photographs that show no head; most of them always do."""
    job.findings = headless(job.inputs)


def headless(inputs: Inputs) -> list[Finding]:
    """Take the views that show no head out of the inputs; what was taken out, and why."""
    found = without_head(
        [photo.pixels for photo in inputs.photos],
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
