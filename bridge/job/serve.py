"""python -m bridge serve: a warm bridge that plays the add-on's jobs (wire.py) with the real workshop (job.py)."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..service import wire


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bridge serve", description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder of the stage cache (default: the user's cache folder)")
    options = parser.parse_args(argv)
    wire_out = wire.claim_stdout()  # before anything that may print is imported
    from .cache import Cache
    from .run import Workshop

    return wire.serve(Workshop(Cache(options.cache)).play, wire_out)
