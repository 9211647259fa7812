"""python -m bridge calibrate PHOTOS -o CAPTURE, and scale CAPTURE."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..capture import images
from ..capture import record as captures
from ..capture.record import Capture, View
from ..errors import BridgeError, Check, unchecked
from ..files import claim_file, link_or_copy
from ..head import upright
from ..head.find import find_head
from ..importers.cli import add_upright, positive
from ..importers.pictures import Pictures
from ..importers.records import Rig
from ..importers.write import write
from ..normals import make_predictor
from ..report import results
from ..service.reporter import Reporter
from ..service.terminal import Terminal, clear_errors, stoppable
from . import metric, photographs
from .photographs import Photograph

if TYPE_CHECKING:
    from .motion import Motion, Registered

REPORT, POINTS = "calibration.json", "points.ply"
LENSES = ("auto", "none", "simple", "radial", "opencv", "fisheye")
FEWEST_JOINED = 3
MASK_RIM = 0.004  # of the longer side: the outline of a mask is no feature of the head, it moves with the camera
UNKNOWN_UNIT = "The unit is unknown: structure from motion cannot see it. Run 'python -m bridge scale' to tell it."


@dataclass(frozen=True)
class Length:
    """A known distance between two places, each picked in two or more photographs."""

    mm: float
    ends: tuple[tuple[metric.Pick, ...], ...]


def calibrate_main(argv: list[str]) -> int:
    """Find the cameras of a folder of photographs by structure from motion, and write a capture."""
    parser = argparse.ArgumentParser(prog="python -m bridge calibrate", description=calibrate_main.__doc__)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of 8 to 60 photographs of one head")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CAPTURE", help="folder of the new capture")
    lens = parser.add_argument_group("lens")
    lens.add_argument(
        "--separate", action="store_true", help="solve a focal length for each photograph (default: one for each kind)"
    )
    lens.add_argument(
        "--lens",
        choices=LENSES,
        default="auto",
        help="distortion: none, one radial term (simple), two (radial), OpenCV's four; auto takes one or two",
    )
    focal = lens.add_mutually_exclusive_group()
    focal.add_argument(
        "--focal-mm35", type=positive, metavar="MM", help="35 mm equivalent (default: EXIF, else a guess)"
    )
    focal.add_argument("--focal-px", type=positive, metavar="PX", help="focal length in pixels")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="masks named like the photographs: nothing outside them is matched"
    )
    parser.add_argument(
        "--keep-background",
        action="store_true",
        help="match the background too; --masks are then only written to the capture (the head kept still)",
    )
    add_length(parser, required=False)
    add_upright(parser, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="also write the report as JSON here")
    parser.add_argument("--replace", action="store_true", help="write over an earlier calibration")
    options = parser.parse_args(argv)
    length = length_of(parser, options)
    code = 1
    with clear_errors() as failed, tempfile.TemporaryDirectory(prefix="skullptor-calibrate-") as work:
        needs_pycolmap()
        if options.report:
            claim_file(options.report)
        if (options.output / "capture.json").exists() and not options.replace:
            raise BridgeError(
                "output",
                f"'{options.output}' holds a capture already.",
                "Choose another folder, or add --replace to write it anew.",
            )
        with Terminal() as terminal, stoppable() as control:
            from .cancellation import cancel_on_sigterm
            from .motion import SHARES

            report = Reporter("cli", terminal.show, control, SHARES)
            with cancel_on_sigterm(control):
                code = _calibrate(options, length, Path(work), report)

    from .cancellation import call_still_running

    if call_still_running():  # COLMAP is still busy with what nobody wants any more
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    return failed.code or code


def scale_main(argv: list[str]) -> int:
    """Tell a capture its scale from a known length."""
    parser = argparse.ArgumentParser(prog="python -m bridge scale", description=scale_main.__doc__)
    parser.add_argument("capture", type=Path, metavar="CAPTURE", help="capture folder, or a capture*.json in it")
    add_length(parser, required=True)
    options = parser.parse_args(argv)
    length = length_of(parser, options)
    with clear_errors() as failed:
        capture = captures.load(options.capture)
        known = replace(capture, unit_mm=_unit(capture.views, length, options.marker))
        file = options.capture / "capture.json" if options.capture.is_dir() else options.capture
        captures.save(known, file.parent, file.name)
        print(f"One unit of '{capture.name}' is {known.unit_mm:.6g} mm.")
    return failed.code


def add_length(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add the options that tell a known length: --length, --interpupillary, --marker and --between."""
    group = parser.add_argument_group("scale, from a length that you know")
    kind = group.add_mutually_exclusive_group(required=required)
    kind.add_argument("--length", type=positive, metavar="MM", help="distance of the two places of --between")
    kind.add_argument(
        "--interpupillary",
        type=positive,
        nargs="?",
        const=metric.INTERPUPILLARY_MM,
        metavar="MM",
        help=f"the two places are the pupils; without a number {metric.INTERPUPILLARY_MM:g} mm, an adult's mean",
    )
    kind.add_argument(
        "--marker",
        type=positive,
        metavar="MM",
        help="side of printed ArUco or AprilTag markers seen in the photographs",
    )
    group.add_argument(
        "--between",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME:x,y",
        help="one end of the length, picked in two or more photographs (pixels from the top left corner); twice",
    )


def length_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Length | None:
    """The known length that the options tell, None without one; the parser refuses options that contradict."""
    mm = options.length or options.interpupillary
    if options.marker and options.between:
        parser.error("--between goes with --length or --interpupillary, not with --marker")
    if mm is None and not options.between:
        return None
    if mm is None:
        parser.error("--between needs --length or --interpupillary")
    if len(options.between) != 2:
        parser.error("give --between twice, once for each end of the length")
    try:
        ends = tuple(tuple(metric.Pick.parse(text) for text in picks) for picks in options.between)
    except ValueError as error:
        parser.error(f"{error}, such as IMG_0012:1520,880")
    return Length(mm, ends)


def _unit(views: Sequence[View], length: Length | None, marker: float | None, check: Check = unchecked) -> float:
    """Millimetres of one unit of the views' world."""
    if length is not None:
        return metric.unit_mm([view.camera for view in views], length.ends, length.mm)
    from . import markers

    assert marker is not None  # one of the two is known
    unit, count = markers.unit_mm(views, marker, check)
    print(f"The scale is the median of {count} marker{'s' if count != 1 else ''}.")
    return unit


def needs_pycolmap() -> None:
    """Raises BridgeError "no-pycolmap" where COLMAP's package is not installed."""
    if importlib.util.find_spec("pycolmap") is None:
        raise BridgeError(
            "no-pycolmap",
            "Finding cameras needs the package pycolmap (COLMAP, BSD licence), which this Python lacks.",
            f"Install it: {sys.executable} -m pip install 'pycolmap>=4.2,<5'.",
        )


def _calibrate(options: argparse.Namespace, length: Length | None, work: Path, report: Reporter) -> int:
    from . import motion
    from . import report as reports

    report.begin("Reading photographs")
    found, notes = photographs.gather(options.photos)
    found = [_with_focal(photograph, options) for photograph in found]
    if unknown := sum(not photograph.focal_px for photograph in found):
        notes.append(f"{unknown} photographs do not tell their focal length: it is found from the matches alone.")
    pictures = Pictures(options.photos, options.photos, options.masks)
    found = _in_one_folder(found, work / "photos")
    masks = {photograph.name: _mask(pictures, photograph, options) for photograph in found}
    report.step(1, 1)
    lost = [photograph.name for photograph in found if options.masks and masks[photograph.name] is None]
    if lost:
        notes.append(f"{len(lost)} photographs have no mask: {', '.join(lost[:5])}{' ...' if len(lost) > 5 else ''}.")
    matched = None
    if options.masks and not options.keep_background:
        matched = _matching_masks(found, masks, work / "masks")
    settings = motion.Settings(options.lens, not options.separate, options.seed)
    solved = motion.solve(found, settings, matched, work, report)
    if options.report and len(solved.joined) < FEWEST_JOINED:
        results.write_json(options.report, reports.body(solved, None, report.seconds, notes))
    if len(solved.joined) < FEWEST_JOINED:
        print(reports.table(solved), flush=True)
        raise BridgeError(
            "too-few-joined",
            f"Only {len(solved.joined)} of {len(found)} photographs could be joined.",
            reports.advice(solved)[0],
        )
    if solved.failed:
        notes.append(f"Left out {len(solved.failed)} photographs that did not join.")
    views = [View(joined.camera, joined.photograph.path) for joined in solved.joined]
    unit = _unit(views, length, options.marker, report.check) if length or options.marker else None
    rig = Rig(tuple(_view(joined, masks) for joined in solved.joined), unit, tuple(notes))
    capture = _write(options, solved, rig, report)
    body = reports.body(solved, capture, report.seconds, notes)
    results.write_json(options.output / REPORT, body)
    if options.report:
        results.write_json(options.report, body)
    report.step(1, 1)
    print(reports.table(solved))
    print(
        f"Registered {len(solved.joined)} of {len(found)} photographs into '{options.output}': {len(solved.points)} "
        f"points, {solved.error_px:.2f} pixels off on average."
    )
    for sentence in (*notes, *([] if unit else [UNKNOWN_UNIT])):
        print(f"Note: {sentence}", file=sys.stderr)
    for sentence in body["advice"]:
        print(f"Warning: {sentence}", file=sys.stderr)
    return 0


def _with_focal(photograph: Photograph, options: argparse.Namespace) -> Photograph:
    """With the user's focal length, which knows better than EXIF."""
    if options.focal_px:
        return replace(photograph, focal_px=options.focal_px)
    if options.focal_mm35:
        focal = photographs.focal_of(options.focal_mm35, photograph.width, photograph.height)
        return replace(photograph, focal_px=focal)
    return photograph


def _in_one_folder(found: Sequence[Photograph], folder: Path) -> list[Photograph]:
    """All photographs under one folder with their pixels turned as EXIF says: links, and copies of the turned ones."""
    folder.mkdir(parents=True)
    turned = photographs.upright(found, folder)
    for photograph in turned:
        target = folder / photograph.name
        if not target.exists():
            try:
                target.symlink_to(photograph.path.resolve())
            except OSError:  # Windows lets only some users make links
                link_or_copy(photograph.path, target)
    return [replace(photograph, path=folder / photograph.name) for photograph in turned]


def _mask(pictures: Pictures, photograph: Photograph, options: argparse.Namespace) -> Path | None:
    if options.masks is None:
        return None
    return pictures.mask(photograph.path, photograph.path.stem, (photograph.width, photograph.height))


def _matching_masks(found: Sequence[Photograph], masks: dict[str, Path | None], folder: Path) -> Path:
    """COLMAP's folder of masks: NAME.EXT.png, features where it is not black. The rim is taken off."""
    import cv2

    folder.mkdir()
    for photograph in found:
        mask = masks[photograph.name]
        if mask is None:
            continue
        matte = images.read_matte(mask, photograph.path.stem, photograph.width, photograph.height)
        side = max(3, int(MASK_RIM * max(matte.shape)) | 1)
        solid = cv2.erode((matte > 0.5).astype(np.uint8) * 255, np.ones((side, side), np.uint8))
        images.write(folder / f"{photograph.name}.png", solid)
    return folder


def _view(joined: Registered, masks: dict[str, Path | None]) -> View:
    """With the file itself, so that the capture holds a hard link to it and no link into the work folder."""
    return View(joined.camera, joined.photograph.path.resolve(), masks[joined.photograph.name])


def _write(options: argparse.Namespace, solved: Motion, rig: Rig, report: Reporter) -> Capture:
    turn = None
    if options.upright:
        head = None
        if not options.front:
            report.begin("Finding the face")
            predictor = partial(make_predictor, "network")
            head = find_head(rig.views, predictor, report.step, report.control.cancel.is_set)
        turn = upright.similarity([view.camera for view in rig.views], options.front, rig.unit_mm, head)
    report.begin("Writing")
    points = solved.points if turn is None else turn.points(solved.points)

    def cloud(folder: Path) -> None:
        channels = {name: solved.colors[:, i] for i, name in enumerate(("red", "green", "blue"))}
        results.write_ply(folder / POINTS, points, np.zeros((0, 3), np.int32), **channels)

    report.check()
    last = partial(upright.apply, turn=turn) if turn else None
    return write(rig, options.output, replace_capture=options.replace, turn=last, more=cloud)
