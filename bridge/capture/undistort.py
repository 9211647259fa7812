"""python -m bridge undistort CAPTURE -o CAPTURE: the same views without distortion, for Blender's cameras."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import BridgeError
from ..files import atomic, claim_folder, file_names, link_or_copy
from . import images
from . import record as captures
from .cameras import Camera
from .record import Capture, View

JPEG_QUALITY = 97
DEEP_SUFFIXES = (".exr", ".hdr", ".tif", ".tiff")  # may hold more than 8 bits


def undistort_capture(
    capture: Capture, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Write the capture with neither distortion nor skew; returns the path of its capture.json. Raises BridgeError.

    Views that are straight already keep their files, byte for byte. Measured normal maps of bent views and ground truth
    stay behind: they belong to the pixels as they were.
    """
    if (folder / "capture.json").exists():
        raise BridgeError("output", f"'{folder}' holds a capture already.", "Choose another folder.")
    claim_folder(folder)
    views = []
    for index, (view, name) in enumerate(zip(capture.views, file_names([view.name for view in capture.views]))):
        views.append(
            _undistorted_view(view, name, folder)
            if needs_undistortion(view.camera)
            else _copied_view(view, name, folder)
        )
        progress(index + 1, len(capture.views))
    return captures.save(replace(capture, views=tuple(views), evaluation=None, subsets=None), folder)


def needs_undistortion(camera: Camera) -> bool:
    """Whether Blender's cameras cannot show this one: it has distortion or skew."""
    bent = camera.distortion is not None and bool(np.any(camera.distortion.coefficients()))
    return bent or abs(camera.K[0, 1]) > 1e-9 * camera.K[0, 0]


def _undistorted_view(view: View, name: str, folder: Path) -> View:
    photo = images.read_photo(view)
    camera, shear = _without_skew(photo.camera)
    pixels = _sheared(photo.pixels, shear)
    alpha = None if photo.alpha is None else _sheared(photo.alpha, shear)
    suffix = ".jpg" if view.image.suffix.lower() in images.JPEG_SUFFIXES else ".png"
    depth = 65535 if view.image.suffix.lower() in DEEP_SUFFIXES else 255
    bgr = pixels[..., ::-1] if alpha is None else np.dstack([pixels[..., ::-1], alpha])
    target = folder / "images" / f"{name}{suffix}"
    target.parent.mkdir(exist_ok=True)
    stored = np.rint(np.clip(bgr, 0, 1) * depth).astype(np.uint16 if depth > 255 else np.uint8)
    if suffix == ".jpg":
        _write_jpeg(target, stored)
    else:
        images.write(target, stored)
    mask = None
    if view.mask is not None:
        mask = folder / "masks" / f"{name}.png"
        mask.parent.mkdir(exist_ok=True)
        matte = _sheared(images.read_mask(view.mask, view.camera), shear)
        images.write(mask, np.rint(matte * 255).astype(np.uint8))
    return View(replace(camera, distortion=None), target, mask)


def _write_jpeg(target: Path, pixels: np.ndarray) -> None:
    ok, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise BridgeError("output", f"'{target.name}' cannot be written as JPEG.", "Use PNG photographs.")
    with atomic(target) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _without_skew(camera: Camera) -> tuple[Camera, np.ndarray]:
    """The camera with a skew of 0, and the affine map [2, 3] of pixels to it."""
    K = camera.K.copy()
    K[0, 1] = 0.0
    return replace(camera, K=K), (K @ np.linalg.inv(camera.K))[:2]


def _sheared(values: np.ndarray, shear: np.ndarray) -> np.ndarray:
    if abs(shear[0, 1]) < 1e-12:
        return values
    centred = shear.copy()  # OpenCV has the first pixel's centre at (0, 0), we at (0.5, 0.5)
    centred[:, 2] += shear[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(values, centred, values.shape[1::-1], flags=cv2.INTER_LINEAR)


def _copied_view(view: View, name: str, folder: Path) -> View:
    files: dict[str, Any] = {}
    for key in ("image", "mask", "normals"):
        source = getattr(view, key)
        files[key] = None
        if source is not None:
            target = folder / (key if key == "normals" else f"{key}s") / f"{name}{source.suffix.lower()}"
            target.parent.mkdir(exist_ok=True)
            link_or_copy(source, target)
            files[key] = target
    return View(replace(view.camera, distortion=None), **files)


def main(argv: list[str]) -> int:
    """Run `python -m bridge undistort`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bridge undistort",
        description="Write a capture whose photographs show no lens distortion: what Blender's cameras can show.",
    )
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CAPTURE", help="folder of the new capture")
    options = parser.parse_args(argv)
    try:
        capture = captures.load(options.capture)

        def show(done: int, total: int) -> None:
            print(f"{done / total:4.0%}  Straightening photographs", flush=True)

        undistort_capture(capture, options.output, show)
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    bent = sum(needs_undistortion(view.camera) for view in capture.views)
    print(f"Straightened {bent} of {len(capture.views)} views into '{options.output}'.")
    return 0
