"""What the disk and slow questions answered a moment ago: a panel is drawn many times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

DISK_SECONDS = 2.0  # how long an answer is believed
KEPT = 500  # answers
Answer = TypeVar("Answer")
_answers: dict[str, tuple[float, object]] = {}


def cached(key: str, ask: Callable[[], Answer]) -> Answer:
    """The answer to a question, asked again when it has become old."""
    now = time.monotonic()
    if key not in _answers or now - _answers[key][0] > DISK_SECONDS:
        if len(_answers) > KEPT:
            _answers.clear()
        _answers[key] = (now, ask())
    return _answers[key][1]


def forget() -> None:
    """Ask everything anew."""
    _answers.clear()
