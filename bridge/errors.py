"""The one exception a user may see. Standard library only."""

from __future__ import annotations


class BridgeError(Exception):
    """A problem with a name for machines, a sentence that names the culprit, and a cure.

    code: a short constant such as "image-missing"; it is what tests and farm scripts look at.
    """

    def __init__(self, code: str, sentence: str, cure: str = "") -> None:
        super().__init__(f"{sentence} {cure}".strip())
        self.code = code
        self.sentence = sentence
        self.cure = cure


class Cancelled(Exception):
    """The user asked for the job to end without a result."""
