"""python -m bridge import FORMAT SOURCE -o CAPTURE, and export-cameras FORMAT CAPTURE -o PLACE."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..capture import record as captures
from ..errors import BridgeError
from ..head import upright
from ..head.find import find_head
from ..normals import make_predictor
from . import FORMATS, read
from .detect import detect
from .export import WRITERS
from .records import Rig
from .write import write

AUTO = "auto"


def import_main(argv: list[str]) -> int:
    """Run `python -m bridge import`; returns the exit code."""
    formats = "\n".join(f"  {name:15} {what}" for name, (_, what) in FORMATS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bridge import",
        description="Write a capture folder from another program's cameras.",
        epilog=f"formats:\n{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=(AUTO, *FORMATS), metavar="FORMAT", help="see below, or auto")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the calibration, see below")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CAPTURE", help="folder of the new capture")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the images are (default: around SOURCE)")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="masks, named or numbered like the images")
    parser.add_argument("--unit-mm", type=positive, metavar="X", help="millimetres of one unit of the calibration")
    parser.add_argument(
        "--first-pixel",
        type=float,
        choices=(0.0, 0.5),
        default=0.5,
        help="where the calibration puts the centre of the first pixel, if not where the format does (0.5); "
        "0 for numbers that come straight from OpenCV",
    )
    add_upright(parser, default=False)
    parser.add_argument("--replace", action="store_true", help="write over an earlier import")
    options = parser.parse_args(argv)

    def run() -> None:
        name = detect(options.source) if options.format == AUTO else options.format
        rig = half_pixel(read(name, options.source, options.images, options.masks), 0.5 - options.first_pixel)
        unit_mm = options.unit_mm if options.unit_mm is not None else rig.unit_mm
        turn = None
        if options.upright:
            cameras = [view.camera for view in rig.views]
            head = None if options.front else find_head(rig.views, partial(make_predictor, "network"))
            turn = partial(upright.apply, turn=upright.similarity(cameras, options.front, unit_mm, head))
        capture = write(rig, options.output, unit_mm=unit_mm, replace_capture=options.replace, turn=turn)
        unit = "of unknown size" if capture.unit_mm is None else f"= {capture.unit_mm:g} mm"
        masks = sum(view.mask is not None for view in capture.views)
        with_masks = f", {masks} with masks" if masks else ""
        print(f"Imported {len(capture.views)} views{with_masks} into '{options.output}'; one unit {unit}.")
        for note in rig.notes:
            print(f"Note: {note}", file=sys.stderr)
        if options.masks and masks < len(capture.views):
            print(f"Note: {len(capture.views) - masks} views have no mask in '{options.masks}'.", file=sys.stderr)

    return _guarded(run)


def add_upright(parser: argparse.ArgumentParser, default: bool) -> None:
    """Add the options that turn a rig upright: --upright or --no-upright, and --front."""
    parser.add_argument(
        "--upright",
        action=argparse.BooleanOptionalAction,
        default=default,
        help="stand the rig upright: +Z up, the face towards -Y (Blender's front view), the head at the origin, in "
        f"metres where the scale is known (default: {'yes' if default else 'no, the world stays as it is'})",
    )
    parser.add_argument(
        "--front",
        metavar="NAME",
        help="with --upright: the view that shows the face from the front "
        "(default: where the network sees the face, else where most cameras stand)",
    )


def export_main(argv: list[str]) -> int:
    """Run `python -m bridge export-cameras`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bridge export-cameras", description="Write a capture's cameras for another program."
    )
    parser.add_argument("format", choices=WRITERS, metavar="FORMAT", help=" or ".join(WRITERS))
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PLACE", help="folder, or transforms.json")
    options = parser.parse_args(argv)

    def run() -> None:
        capture = captures.load(options.capture)
        print(f"Wrote {len(capture.views)} cameras to '{WRITERS[options.format](capture, options.output)}'.")

    return _guarded(run)


def half_pixel(rig: Rig, shift: float) -> Rig:
    """The rig with all principal points moved by shift pixels."""
    if not shift:
        return rig
    views = []
    for view in rig.views:
        K = view.camera.K.copy()
        K[:2, 2] += shift
        views.append(replace(view, camera=replace(view.camera, K=K)))
    return replace(rig, views=tuple(views))


def positive(text: str) -> float:
    """An option's value as a number above 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a positive number")
    return value


def _guarded(run) -> int:
    try:
        run()
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
