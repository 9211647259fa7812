"""The pre-flight inside a run: what the check finds becomes warnings before the head is carved. Cached by content."""

from __future__ import annotations

import json
import sys
import traceback

import numpy as np

from ..capture.inputs import Inputs
from ..check import INFO, inspect
from ..service.reporter import Reporter
from .cache import Cache

VERSION = "check 7"  # part of the cache's key: another check finds other things
TOLD_LATER = ("scale",)  # by the finished mesh, which knows better


def warn(inputs: Inputs, content: str, cache: Cache, report: Reporter) -> None:
    """One warning a finding. content: the key of the inputs and their maps. A check that fails never stops a run."""
    name = f"{VERSION.replace(' ', '-')}-{content}"
    try:
        stored = cache.get(name)
        if stored is None:
            stored = {"findings": np.frombuffer(json.dumps(_findings(inputs, report)).encode(), np.uint8)}
            cache.put(name, stored)
        findings = json.loads(stored["findings"].tobytes())
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, IndexError):
        traceback.print_exc(file=sys.stderr)  # in the run's log; the run itself may well succeed
        return
    for code, sentence, cure in findings:
        report.warn(code, sentence, cure)


def _findings(inputs: Inputs, report: Reporter) -> list[list[str]]:
    photos = [photo.pixels for photo in inputs.photos]
    given = [mask is not None for mask in inputs.given_masks]
    mattes = [m.matte if mask is None else mask for m, mask in zip(inputs.maps, inputs.given_masks, strict=True)]
    told = inspect(
        inputs.cameras, photos, mattes, given, inputs.capture.unit_mm, maps=inputs.maps, check=report.check
    ).findings
    return [[f.code, f.sentence, f.cure] for f in told if f.severity != INFO and f.code not in TOLD_LATER]
