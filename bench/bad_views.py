"""python -m bench.bad_views CAPTURE... [--preset draft] [--view 0]: one bad photograph among others, and without it.

Each capture with ground truth is reconstructed without its photograph number --view, and with it, spoilt in one way:

other      the photograph and mask of another view: right camera, wrong picture
stranger   another head's photograph (from the next capture, where two are given), with its mask
bright     exposed three stops more, clipped at white
dark       exposed three stops less
blurred    out of focus: a Gaussian of 1 % of the picture's width
two-lights every second photograph exposed three stops less than the rest

The head with the spoilt photograph must not be worse than the one without it, and the view must be named.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from bridge.capture import record
from bridge.capture.record import Capture, View
from bridge.job.runner import JobRunner
from bridge.report import results
from bridge.report.evaluate import Score, evaluate
from bridge.service.protocol import Error, JobSettings, Run, Warning
from bridge.service.wire import Control

GAMMA = 2.2  # near enough to sRGB for an exposure


def exposed(pixels: np.ndarray, stops: float) -> np.ndarray:  # [H, W, 3] uint8 -> the same
    light = (pixels / 255.0) ** GAMMA * 2.0**stops
    return (np.clip(light, 0, 1) ** (1 / GAMMA) * 255).round().astype(np.uint8)


def blurred(pixels: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8 -> the same
    return cv2.GaussianBlur(pixels, (0, 0), pixels.shape[1] / 100)


def spoilt(capture: Capture, folder: Path, spoil: Callable[[np.ndarray], np.ndarray], which: set[int]) -> Capture:
    """The capture with some photographs changed; they are written into the folder."""
    folder.mkdir()
    views = list(capture.views)
    for i in which:
        path = folder / f"{views[i].name}.png"
        pixels = cv2.imread(str(views[i].image))
        assert pixels is not None, views[i].image
        cv2.imwrite(str(path), spoil(pixels))
        views[i] = replace(views[i], image=path)
    return replace(capture, views=tuple(views))


def swapped(capture: Capture, index: int, source: View) -> Capture:
    """The capture with the photograph and the mask of another view in one place."""
    views = list(capture.views)
    views[index] = replace(views[index], image=source.image, mask=source.mask, normals=None)
    return replace(capture, views=tuple(views))


def gathered(capture: Capture, folder: Path) -> Capture:
    """Photographs and masks alone, copied into one folder under the views' names."""
    folder.mkdir()
    views = []
    for view in capture.views:
        assert view.image is not None, view.name
        image = folder / f"{view.name}{view.image.suffix}"
        shutil.copyfile(view.image, image)
        mask = None
        if view.mask is not None:
            mask = folder / f"{view.name}_mask{view.mask.suffix}"
            shutil.copyfile(view.mask, mask)
        views.append(replace(view, image=image, mask=mask, normals=None))
    return replace(capture, views=tuple(views), evaluation=None)


def run(capture: Capture, preset: str) -> tuple[Score, list[str]]:
    """What a whole run makes of the capture, judged by its ground truth, and the sentences of its warnings."""
    with tempfile.TemporaryDirectory() as work:
        folder, output = Path(work) / "capture", Path(work) / "output"
        record.save(gathered(capture, folder), folder)
        heard: list = []
        JobRunner().run(Run("bench", str(folder), str(output), JobSettings(preset=preset)), heard.append, Control())
        for message in heard:
            if isinstance(message, Error):
                raise SystemExit(message.sentence)
        warned = [message.sentence for message in heard if isinstance(message, Warning)]
        return evaluate(capture, *results.read_ply(output / "head.ply")), warned


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.bad_views", description=__doc__)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--cases", nargs="+", help="these alone")
    options = parser.parse_args()
    captures = [record.load(path) for path in options.captures]
    print("| capture | photograph | depth_mm | degrees | below 10 | gradient | surface % | warnings |")
    print("|" + "---|" * 8)
    for number, capture in enumerate(captures):
        i, count = options.view, len(capture.views)
        without = replace(capture, views=capture.views[:i] + capture.views[i + 1 :])
        stranger = captures[(number + 1) % len(captures)].views[i]
        with tempfile.TemporaryDirectory() as kept:
            work = Path(kept)
            cases = {
                "all right": capture,
                "without it": without,
                "other": swapped(capture, i, capture.views[(i + count // 3) % count]),
                "stranger": swapped(capture, i, stranger),
                "bright": spoilt(capture, work / "bright", lambda pixels: exposed(pixels, 3), {i}),
                "dark": spoilt(capture, work / "dark", lambda pixels: exposed(pixels, -3), {i}),
                "blurred": spoilt(capture, work / "blurred", blurred, {i}),
                "two-lights": spoilt(
                    capture, work / "two", lambda pixels: exposed(pixels, -3), set(range(0, count, 2))
                ),
            }
            for case, given in cases.items():
                if (options.cases and case not in options.cases) or (case == "stranger" and len(captures) == 1):
                    continue
                score, warned = run(given, options.preset)
                figures = f"{score.depth_mm:.3f} | {score.normal_deg:.2f} | {score.below_10_pct:.1f}"
                figures += f" | {score.normal_gradient:.4f} | {score.surface_pct:.3f}"
                print(f"| {capture.name} | {case} | {figures} | {' '.join(warned)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
