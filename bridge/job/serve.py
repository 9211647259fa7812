"""python -m bridge serve: a warm bridge that answers the add-on. Top level: standard library only."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..service import wire


def main(argv: list[str]) -> int:
    """Run `python -m bridge serve`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bridge serve", description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder of the stage cache (default: the user's cache folder)")
    options = parser.parse_args(argv)
    wire_out = wire.claim_stdout()  # before anything that may print is imported
    from .cache import Cache
    from .runner import JobRunner

    return wire.leave(wire.serve(JobRunner(Cache(options.cache)).run, wire_out))
