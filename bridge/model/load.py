"""A template by its name or file: what --template takes."""

from __future__ import annotations

from pathlib import Path

from ..errors import Check, unchecked
from .template import Template

NAMES = ("hm08", "hm08-body", "ict", "gnm")


def load_template(name: str, check: Check = unchecked) -> Template:
    """hm08, hm08-body, ict, gnm, or the path of an OBJ, PLY or GLB file of the artist's own.

    Raises BridgeError "template-missing", "template-damaged", and for own files "template-mesh".
    """
    if name in ("hm08", "hm08-body"):
        from . import hm08

        return hm08.load(name == "hm08-body", check)
    if name == "ict":
        from . import ict

        return ict.load()
    if name == "gnm":
        from . import gnm

        return gnm.load()
    from . import own

    return own.load(Path(name))


def file_of(name: str) -> Path:
    """The file that a template's landmarks are kept beside: the artist's own, or the user's download."""
    if name == "gnm":
        from . import gnm, package

        return package.brought(gnm.FILE, gnm.TITLE)
    return Path(name)
