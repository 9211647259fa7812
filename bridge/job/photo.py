"""python -m bridge photo: a capture from one to five photographs of a face that nobody calibrated.

The landmarks of the face and the statistical model say where each photograph was taken from, and how long its lens is
where EXIF does not. The head stands upright at the origin, in metres, a head of usual size.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..calibrate.photographs import Photograph, read, upright
from ..capture import record as captures
from ..capture.cameras import Camera, Similarity
from ..capture.images import read_photo
from ..errors import BridgeError
from ..files import claim_folder, file_names, link_or_copy
from ..head.landmarks import Face, Landmarker
from ..model import head_model
from ..model.package import LANDMARKS, need
from ..prior.evidence import SIZE, View
from ..prior.fit import Fitted, Free, fit
from ..prior.prior import MOST_VIEWS
from ..prior.start import stand
from ..service.terminal import clear_errors
from .prior import large_enough, no_face, single

# Without EXIF: of the longer side, between a telephone's (0.75) and a portrait lens (2.4) or a crop; where people stand
# (prior/fit.py) says the rest
FOCAL, FOCAL_SIGMA = 1.2, 0.45
EXIF_SIGMA = 0.03  # zooms and crops are rounded
# from the model's frame (mm, +Y up, +Z out of the face) to Blender's (metres, +Z up, the face towards -Y)
TO_WORLD = Similarity(0.001, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.zeros(3))
UNIT_MM = 1000.0


def main(argv: list[str]) -> int:
    """Make the cameras of one to five photographs of a face, and write a capture; exit code 0 if done."""
    parser = argparse.ArgumentParser(prog="python -m bridge photo", description=main.__doc__)
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="one to five photographs of one head")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CAPTURE", help="folder of the new capture")
    parser.add_argument("--replace", action="store_true", help="write over an earlier capture")
    options = parser.parse_args(argv)
    with clear_errors() as failed:
        if len(options.photos) > MOST_VIEWS:
            raise BridgeError(
                "photos",
                f"{len(options.photos)} photographs were given; {MOST_VIEWS} is the most that a face alone can place.",
                "Use `python -m bridge calibrate` for more.",
            )
        if (options.output / "capture.json").exists() and not options.replace:
            raise BridgeError(
                "output",
                f"'{options.output}' holds a capture already.",
                "Choose another folder, or add --replace to write it anew.",
            )
        capture, fitted = make_capture(options.photos, options.output)
        lenses = ", ".join(f"{view.camera.K[0, 0]:.0f}" for view in capture.views)
        print(f"Wrote {options.output}: focal lengths in pixels {lenses}; the face's landmarks are "
              f"{100 * fitted.landmark_px / SIZE:.1f} % of the picture from the model's in the middle")  # fmt: skip
    return failed.code


def make_capture(photos: list[Path], output: Path) -> tuple[captures.Capture, Fitted]:
    """Write images and capture.json. Raises BridgeError "photo-small", "face-none", "faces-several" and those of
    unreadable photographs and missing models."""
    landmarker = Landmarker(need(LANDMARKS))
    claim_folder(output / "images")
    taken = upright([read(path) for path in photos], output / "images")
    views = []
    for photograph, name in zip(taken, file_names(photograph.path.stem for photograph in taken), strict=True):
        target = output / "images" / f"{name}{photograph.path.suffix.lower()}"
        if target != photograph.path:
            target.unlink(missing_ok=True)
            link_or_copy(photograph.path, target)
        views.append(captures.View(first_camera(photograph, name), target))
    faces = [face_of(landmarker, view) for view in views]
    cameras, fitted = place([view.camera for view in views], faces, [photograph.focal_px for photograph in taken])
    placed = tuple(replace(view, camera=camera) for view, camera in zip(views, cameras, strict=True))
    capture = captures.Capture(output.name, placed, UNIT_MM, upright=Similarity(1.0, np.eye(3), np.zeros(3)))
    captures.save(capture, output)
    return capture, fitted


def first_camera(photograph: Photograph, name: str) -> Camera:
    """The lens as EXIF or the usual says, somewhere."""
    large_enough(photograph.name, photograph.width, photograph.height)
    focal = photograph.focal_px or FOCAL * max(photograph.width, photograph.height)
    K = np.array([[focal, 0, photograph.width / 2], [0, focal, photograph.height / 2], [0, 0, 1.0]])
    return Camera(name, K, np.eye(3), np.zeros(3), photograph.width, photograph.height)


def face_of(landmarker: Landmarker, view: captures.View) -> Face:
    """The one face of a photograph, in its pixels."""
    pixels = read_photo(view).pixels
    single(landmarker, view.name, pixels)
    face = landmarker.find(pixels)
    if face is None:
        raise no_face((view.name,))
    return face


def place(cameras: list[Camera], faces: list[Face], focals: list[float | None]) -> tuple[list[Camera], Fitted]:
    """Poses and, where they are not known, focal lengths from the landmarks; cameras in Blender's world."""
    model = head_model.load()
    views = []
    for camera, face in zip(cameras, faces, strict=True):
        shrink = SIZE / max(camera.width, camera.height)
        small = camera.resize(max(round(camera.width * shrink), 1), max(round(camera.height * shrink), 1))
        face = Face(face.points * shrink, face.presence, face.frontal)
        nothing = np.zeros((small.height, small.width), np.float32)
        placed = stand(small, face, model.template)
        views.append(View(placed, face, nothing, np.zeros((*nothing.shape, 3), np.float32), nothing))
    here = Similarity(1.0, np.eye(3), np.zeros(3))
    free = Free(tuple(FOCAL_SIGMA if focal is None else EXIF_SIGMA for focal in focals))
    fitted = fit(model, views, here, None, free)
    found = []
    for camera, small in zip(cameras, fitted.cameras, strict=True):
        world = TO_WORLD.camera(small.resize(camera.width, camera.height))
        focal = world.K[1, 1]  # square pixels: the small picture's sides were rounded
        K = np.array([[focal, 0, camera.width / 2], [0, focal, camera.height / 2], [0, 0, 1.0]])
        found.append(replace(world, K=K))
    return found, fitted
