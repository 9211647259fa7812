"""python -m bridge weights: the normal network's (normals/fetch.py), and what templates and landmarks are read from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import BridgeError
from ..normals import fetch
from ..service.terminal import clear_errors
from .package import WHEELS, bring, bring_all, find

EVERYTHING = "template"  # all that Wrap Template needs


def main(argv: list[str]) -> int:
    """Without arguments: what is here. With a name: fetch that set. Returns the exit code."""
    if not argv:
        code = fetch.main(argv)
        for name, wheel in WHEELS.items():
            print(f"{name}: {'here' if find(wheel) is not None else 'not fetched'} ({wheel.requirement})")
        return code
    if argv[0] == EVERYTHING:
        return _everything(argv[1:])
    if argv[0] not in WHEELS:
        return fetch.main(argv)
    parser = argparse.ArgumentParser(prog="bridge weights", description=main.__doc__)
    parser.add_argument("name", choices=sorted(WHEELS))
    parser.add_argument("--from", dest="source", type=Path, help="the wheel's file, where there is no network")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    wheel = WHEELS[options.name]
    print(f"{wheel.about[0].upper()}{wheel.about[1:]}.\nLicence: {wheel.licence}.\nBy pip, without its dependencies.")
    asked = (
        options.yes
        or options.source
        or (sys.stdin.isatty() and input("Fetch it? [y/N] ").strip().lower() in ("y", "yes"))
    )
    if not asked:
        print("Nothing was fetched. Say yes, or pass --yes.", file=sys.stderr)
        return 1
    try:
        print(f"Kept in {bring(wheel, options.source)}.")
    except BridgeError as error:
        print(f"error: {error.sentence} {error.cure}", file=sys.stderr)
        return 1
    return 0


def _everything(argv: list[str]) -> int:
    """All that templates need and this machine lacks: landmark models, MakeHuman's mesh, and what runs the models."""
    parser = argparse.ArgumentParser(prog=f"bridge weights {EVERYTHING}", description=_everything.__doc__)
    parser.add_argument("--from", dest="source", type=Path, help="a folder of wheels, where there is no network")
    options = parser.parse_args(argv)
    with clear_errors() as failed:
        bring_all(lambda share, text: print(f"{share:3d}%  {text}", flush=True), options.source)
        print("100%  Templates can be wrapped", flush=True)
    return failed.code
