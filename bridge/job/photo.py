"""python -m bridge photo: a capture from one to five photographs of a face that nobody calibrated.

The landmarks of the face (from the side: the network's canonical points) and the statistical model say where each
photograph was taken from, and how long its lens is where EXIF does not. The head stands upright at the origin, in
metres, a head of usual size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..calibrate.photographs import Photograph, read, upright
from ..capture import pillow
from ..capture import record as captures
from ..capture.cameras import Camera, Similarity
from ..capture.images import read_photo
from ..capture.normal_map import NormalMap
from ..check.findings import names
from ..errors import BridgeError
from ..files import claim_folder, file_names, link_or_copy
from ..head.landmarks import CHIN, FOREHEAD, Face, Landmarker
from ..model import head_model
from ..model.package import LANDMARKS, need
from ..normals import make_predictor
from ..prior import profile
from ..prior.covered import covered_shares
from ..prior.evidence import SIZE, View
from ..prior.fit import Fitted, Free, fit
from ..prior.prior import MOST_VIEWS
from ..prior.start import APART, stand
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
        said = f"Wrote {options.output}: focal lengths in pixels {lenses}"
        if np.isfinite(fitted.landmark_px):  # from the side none are found
            off = 100 * fitted.landmark_px / SIZE
            said += f"; the face's landmarks are {off:.1f} % of the picture from the model's in the middle"
        print(said)
    return failed.code


def make_capture(photos: list[Path], output: Path) -> tuple[captures.Capture, Fitted]:
    """Write images and capture.json. Raises BridgeError "photo-small", "face-none", "faces-several", "photos-alike" and
    those of unreadable photographs and missing models."""
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
    shown = [shown_in(landmarker, view) for view in views]
    for i, seen in enumerate(shown):
        if isinstance(seen, Face) and (quarters := lying(seen)):
            image = views[i].image
            pillow.write_upright(image, image, quarters)
            if quarters != 2:
                taken[i] = replace(taken[i], width=taken[i].height, height=taken[i].width)
            views[i] = captures.View(first_camera(taken[i], views[i].name), image)
            shown[i] = shown_in(landmarker, views[i])
    cameras, fitted = place([view.camera for view in views], shown, [photograph.focal_px for photograph in taken])
    look_apart(cameras)
    placed = tuple(replace(view, camera=camera) for view, camera in zip(views, cameras, strict=True))
    capture = captures.Capture(output.name, placed, UNIT_MM, upright=Similarity(1.0, np.eye(3), np.zeros(3)))
    captures.save(capture, output)
    return capture, fitted


def lying(face: Face) -> int:  # 0..3
    """Quarters to the left that stand the picture of a face upright: where EXIF was lost, the network would see it
    lying and know no such faces."""
    x, y = face.points[CHIN, :2] - face.points[FOREHEAD, :2]
    if abs(x) > abs(y):
        return 1 if x < 0 else 3
    return 2 if y < 0 else 0


def look_apart(cameras: Sequence[Camera]) -> None:
    """Refuse several photographs from one side: cameras made of faces are off by degrees, so nearer ones tell no depth
    but pretend to. cameras: around the head at the origin. Raises BridgeError "photos-alike"."""
    sides = np.array([camera.center / np.linalg.norm(camera.center) for camera in cameras])
    if len(cameras) > 1 and (sides @ sides.T).min() > np.cos(APART):
        raise BridgeError(
            "photos-alike",
            f"The photographs {names([camera.name for camera in cameras])} all show the head from the same side.",
            "Give the best of them alone, or one more from another side.",
        )


def first_camera(photograph: Photograph, name: str) -> Camera:
    """The lens as EXIF or the usual says, somewhere."""
    large_enough(photograph.name, photograph.width, photograph.height)
    focal = photograph.focal_px or FOCAL * max(photograph.width, photograph.height)
    K = np.array([[focal, 0, photograph.width / 2], [0, focal, photograph.height / 2], [0, 0, 1.0]])
    return Camera(name, K, np.eye(3), np.zeros(3), photograph.width, photograph.height)


def shown_in(landmarker: Landmarker, view: captures.View) -> Face | NormalMap:
    """The one face of a photograph, in its pixels; where its landmarks are not found, as from the side, what the
    network sees there. Raises BridgeError "face-none" where that cannot be asked, and "faces-several"."""
    taken = read_photo(view)
    single(landmarker, view.name, taken.pixels)
    face = landmarker.seek(taken.pixels)
    if face is not None:
        return face
    try:
        (found,) = make_predictor("network").predict([taken.pixels], [taken.camera], [taken.alpha])
    except BridgeError as error:
        raise no_face((view.name,)) from error
    return found


def place(
    cameras: list[Camera], shown: Sequence[Face | NormalMap], focals: Sequence[float | None]
) -> tuple[list[Camera], Fitted]:
    """Poses and, where they are not known, focal lengths from what the photographs show; cameras in Blender's world.
    Raises BridgeError "face-none" where that is no face."""
    model = head_model.load()
    views = []
    for camera, seen in zip(cameras, shown, strict=True):
        shrink = SIZE / max(camera.width, camera.height)
        small = camera.resize(max(round(camera.width * shrink), 1), max(round(camera.height * shrink), 1))
        if isinstance(seen, Face):
            face = Face(seen.points * shrink, seen.presence, seen.frontal)
            nothing = np.zeros((small.height, small.width), np.float32)
            placed = stand(small, face, model.template)
            views.append(View(placed, face, nothing, np.zeros((*nothing.shape, 3), np.float32), nothing))
        else:
            view = View.of(seen, None, camera.width)
            stood = profile.stand(view)
            if stood is None:
                raise no_face((camera.name,))
            views.append(replace(view, camera=stood[0]))
    here = Similarity(1.0, np.eye(3), np.zeros(3))
    free = Free(tuple(FOCAL_SIGMA if focal is None else EXIF_SIGMA for focal in focals))
    fitted = fit(model, views, here, None, free)
    for view, odd in zip(views, covered_shares(fitted, model, views), strict=True):
        if view.face is None and odd > profile.ODD:
            raise no_face((view.camera.name,))
    found = []
    for camera, small in zip(cameras, fitted.cameras, strict=True):
        world = TO_WORLD.camera(small.resize(camera.width, camera.height))
        focal = world.K[1, 1]  # square pixels: the small picture's sides were rounded
        K = np.array([[focal, 0, camera.width / 2], [0, focal, camera.height / 2], [0, 0, 1.0]])
        found.append(replace(world, K=K))
    return found, fitted
