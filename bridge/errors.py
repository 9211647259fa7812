"""The one exception a user may see, and the one that ends a cancelled job. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

# called between pieces of long work, at least twice a second: raises Cancelled when the user asked for the end
Check = Callable[[], None]


class BridgeError(Exception):
    """A problem with a name for machines, a sentence that names the culprit, and a cure.

    code: a short constant such as "image-missing"; it is what tests and farm scripts look at.
    """

    def __init__(self, code: str, sentence: str, cure: str = "") -> None:
        sentence = " ".join(sentence.splitlines())  # names in files may hold line ends
        super().__init__(f"{sentence} {cure}".strip())
        self.code = code
        self.sentence = sentence
        self.cure = cure


class Cancelled(Exception):
    """The user asked for the job to end without a result."""


def unchecked() -> None:
    """The Check of callers that nobody can cancel."""
